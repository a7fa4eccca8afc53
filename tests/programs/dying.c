// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dies, or hangs, as LKL's own test programs do: with the kernel's log in a
 * buffer that is printed only when a test point ends.
 *
 *     dying segv|abort|thread|caught|hang
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char log_buf[0x80000];
static char *head = log_buf;

static void *volatile nowhere;

static void __attribute__((noinline)) kernel_function(void)
{
	*(volatile int *)nowhere = 1;
}

static void *crash(void *unused)
{
	kernel_function();
	return unused;
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void caught(int number)
{
	(void)number;
	printf("ok 1 first\n");
	fflush(stdout);
	_exit(0);
}

static void __attribute__((noinline)) spin(void)
{
	for (;;)
		nowhere = 0;
}

int main(int argc, char *argv[])
{
	const char *how = argc > 1 ? argv[1] : "";
	pthread_t idle, thread;

	pthread_create(&idle, NULL, wait_for_ever, NULL);
	printf("1..1 # dying\n* 1 first\n");
	fflush(stdout);
	usleep(200000);	/* a kernel boots for as long, and whoever traces it is quicker */
	head += 40;
	strcpy(log_buf, "[    0.0] Kernel panic - printed before\n");
	strcpy(head, "[    0.1] Kernel panic - not syncing: planted\n[    0.1] Call Trace:\n");
	if (!strcmp(how, "segv")) {
		kernel_function();
	} else if (!strcmp(how, "abort")) {
		abort();
	} else if (!strcmp(how, "thread")) {
		pthread_create(&thread, NULL, crash, NULL);
		pthread_join(thread, NULL);
	} else if (!strcmp(how, "caught")) {
		signal(SIGSEGV, caught);
		kernel_function();
	} else {
		spin();
	}
	return 0;
}
