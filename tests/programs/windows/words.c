// SPDX-License-Identifier: GPL-2.0-only
// Prints its arguments, and an environment variable, a line each in hexadecimal digits.
#include <stdio.h>
#include <stdlib.h>

static void show(const char *text)
{
	printf("word");
	for (; *text; text++)
		printf(" %02x", (unsigned char)*text);
	printf("\n");
}

int main(int count, char **words)
{
	for (int number = 1; number < count; number++)
		show(words[number]);
	if (getenv("LKLTEST_WORD"))
		show(getenv("LKLTEST_WORD"));
	fflush(stdout);
	printf("1..1\nok 1 shown\n");
	return 0;
}
