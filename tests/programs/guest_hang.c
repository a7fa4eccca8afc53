/* SPDX-License-Identifier: GPL-2.0-only */
/* Hangs in a Linux guest: `blocked` in the kernel, `asleep` in a system call, or `busy` in itself. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static __attribute__((noinline)) void spin_for_ever(void)
{
	for (volatile int turn = 0;; turn++)
		;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IONBF, 0);
	puts("1..1 # hang\n* 1 hangs");
	if (!strcmp(how, "busy"))
		spin_for_ever();
	if (!strcmp(how, "blocked") && vfork() > 0) /* waits for its child, and no signal wakes it */
		return 1;
	pause();
	return 0;
}
