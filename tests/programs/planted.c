// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prints what a kernel prints that is broken on purpose, in its second test
 * point of three, and ends as such a kernel does.
 *
 *     planted panic|bug|warn|oops|slab|hang
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK \
	"[    1.1] CPU: 0 PID: 1 Comm: boot Not tainted 6.1.0 #1\n" \
	"[    1.1] Call Trace:\n" \
	"[    1.1]  dump_stack_lvl+0x34/0x45\n" \
	"[    1.1]  planted_here+0x12/0x34\n" \
	"[    1.1]  do_syscall+0x1/0x2\n"
#define END_OF_PANIC "[    1.1] ---[ end Kernel panic - not syncing: "

static void point(int number, const char *name)
{
	printf("* %d %s\nok %d %s\n", number, name, number, name);
	fflush(stdout);
}

static void die(void)
{
	fflush(stdout);
	signal(SIGABRT, SIG_DFL);
	abort();
}

int main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";

	printf("1..3 # planted\n");
	point(1, "before");
	printf("* 2 during\n");
	if (!strcmp(what, "panic")) {
		printf("[    1.1] Kernel panic - not syncing: planted\n" STACK END_OF_PANIC
		       "planted ]---\n");
		die();
	} else if (!strcmp(what, "bug")) {
		printf("[    1.1] ------------[ cut here ]------------\n"
		       "[    1.1] kernel BUG at lib/planted.c:1!\n"
		       "[    1.1] invalid opcode: 0000 [#1] PREEMPT\n"
		       STACK "[    1.1] ---[ end trace 0000000000000000 ]---\n"
		       "[    1.1] Kernel panic - not syncing: Fatal exception\n"
		       END_OF_PANIC "Fatal exception ]---\n");
		die();
	} else if (!strcmp(what, "warn")) {
		printf("[    1.1] ------------[ cut here ]------------\n"
		       "[    1.1] WARNING: CPU: 0 PID: 1 at lib/planted.c:2 planted_here+0x1/0x2\n"
		       STACK "[    1.1] ---[ end trace 0000000000000000 ]---\n");
	} else if (!strcmp(what, "oops")) {
		printf("[    1.1] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
		       "[    1.1] #PF: supervisor read access in kernel mode\n"
		       "[    1.1] Oops: 0000 [#1] PREEMPT\n"
		       STACK "[    1.1] ---[ end trace 0000000000000000 ]---\n"
		       "[    1.1] Kernel panic - not syncing: Fatal exception in interrupt\n"
		       END_OF_PANIC "Fatal exception in interrupt ]---\n");
		die();
	} else if (!strcmp(what, "slab")) {
		printf("[    1.1] ==========================================================\n"
		       "[    1.1] BUG kmalloc-32 (Tainted: G   N): Right Redzone overwritten\n"
		       "[    1.1] ----------------------------------------------------------\n"
		       STACK "[    1.1] FIX kmalloc-32: Restoring Right Redzone\n");
	} else if (!strcmp(what, "hang")) {
		printf("[  122.1] INFO: task boot:1 blocked for more than 122 seconds.\n"
		       "[  122.1]       Not tainted 6.1.0 #1\n" STACK);
		fflush(stdout);
		for (;;)
			pause();
	}
	printf("ok 2 during\n");
	point(3, "after");
	return 0;
}
