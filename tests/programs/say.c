// SPDX-License-Identifier: GPL-2.0-only
/* Prints the file that lies beside it: `boot` prints `boot.stream`. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	char path[PATH_MAX], buffer[65536];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(".stream"));
	size_t count;
	FILE *file;

	if (length < 0)
		return 255;
	memcpy(path + length, ".stream", sizeof(".stream"));
	file = fopen(path, "rb");
	if (!file)
		return 255;
	while ((count = fread(buffer, 1, sizeof(buffer), file)) > 0)
		fwrite(buffer, 1, count, stdout);
	return 0;
}
