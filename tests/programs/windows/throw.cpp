// SPDX-License-Identifier: GPL-2.0-only
// Throws where nobody catches: in a main thread that a C++ runtime watches, and past it.
#include <cstdio>
#include <stdexcept>

int main()
{
	std::printf("1..1 # throw\n* 1 throwing\n");
	std::fflush(stdout);
	throw std::runtime_error("nobody catches this");
}
