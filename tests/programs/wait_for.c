// SPDX-License-Identifier: GPL-2.0-only
/* A `boot` that passes once the file FILE is there, however long that takes. */
#include <stdio.h>
#include <unistd.h>

#define STRING(x) #x
#define QUOTED(x) STRING(x)

int main(void)
{
	printf("1..1\n");
	fflush(stdout);
	while (access(QUOTED(FILE_NAME), F_OK))
		usleep(20000);
	printf("ok 1 - waited\n");
	return 0;
}
