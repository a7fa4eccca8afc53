/* SPDX-License-Identifier: GPL-2.0-only */
/* A program to be compiled with --coverage: with an argument it runs two lines more. */

#include <stdio.h>

static int twice(int number)
{
	return 2 * number;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		printf("# %d\n", twice(argc));
	puts("1..1 # covered\n* 1 runs\nok 1 runs");
	return 0;
}
