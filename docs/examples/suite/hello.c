// SPDX-License-Identifier: GPL-2.0-only
/* A test program: a plan, a line for each test point, status 0 if all is well. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int number, failed;

static void point(const char *name, int ok)
{
	failed |= !ok;
	printf("%sok %d %s\n", ok ? "" : "not ", ++number, name);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	printf("1..2 # hello\n");
	point("has a process id", getpid() > 0);
	point("is greeted", argc > 1 && strcmp(argv[1], "world") == 0);
	return failed;
}
