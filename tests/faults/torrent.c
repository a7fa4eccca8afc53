// SPDX-License-Identifier: GPL-2.0-only
/* Programs that write too much: MODE is one of the functions' names. */
#include <stdio.h>
#include <string.h>

#define STRING(x) #x
#define QUOTED(x) STRING(x)

static char block[1 << 20];

/* A gigabyte of lines between two test points. */
__attribute__((unused)) static int gigabyte(void)
{
	int i;

	memset(block, 'x', sizeof(block));
	for (i = 99; i < (int)sizeof(block); i += 100)
		block[i] = '\n';
	printf("1..1 # torrent\n* 1 last\n");
	for (i = 0; i < 1024; i++) {
		fwrite(block, 1, sizeof(block) - sizeof(block) % 100, stdout);
		if (i == 1023)
			printf("\n");
	}
	printf("ok 1 last\n");
	return 0;
}

/* A line that does not end for 200 MB. */
__attribute__((unused)) static int endless(void)
{
	int i;

	memset(block, 'x', sizeof(block));
	printf("1..2 # torrent\nok 1 first\n");
	for (i = 0; i < 200; i++)
		fwrite(block, 1, sizeof(block), stdout);
	printf("\nok 2 last\n");
	return 0;
}

/* Test points as quickly as they can be written: 30 MB of them. */
__attribute__((unused)) static int points(void)
{
	int i, count = 5000;

	memset(block, 'y', 6000);
	printf("1..%d # torrent\n", count);
	for (i = 1; i <= count; i++)
		printf("ok %d point%d\n ---\n log: |\n  %.6000s\n ...\n", i, i, block);
	return 0;
}

int main(void)
{
	return MODE();
}
