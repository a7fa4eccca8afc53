// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dies, or hangs, as LKL's own test programs do: with the kernel's log in a
 * buffer that is printed only when a test point ends.
 *
 *     dying early|deep|segv|abort|thread|caught|leaderless|hang
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char log_buf[0x80000];
static char *head = log_buf;

static pthread_barrier_t idle_is_there;
static void *volatile nowhere;

static void __attribute__((noinline)) kernel_function(void)
{
	*(volatile int *)nowhere = 1;
}

/* A frame that is not made at once: debuggers that guess by a function's first bytes go wrong. */
static long __attribute__((noinline)) deep(volatile char *data, long length)
{
	if (length > 4096)
		return -1;
	volatile char copy[64];

	copy[length & 63] = data[length & 63];
	kernel_function();
	return copy[0];
}

static void *crash(void *unused)
{
	kernel_function();
	return unused;
}

static void *wait_for_ever(void *unused)
{
	pthread_barrier_wait(&idle_is_there);
	for (;;)
		pause();
	return unused;
}

static void *spin_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		nowhere = 0;
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

/* glibc hands main's arguments on to constructors, too. */
static void __attribute__((constructor)) before_main(int argc, char *argv[])
{
	if (argc > 1 && !strcmp(argv[1], "early"))
		kernel_function();
}

int main(int argc, char *argv[])
{
	const char *how = argc > 1 ? argv[1] : "";
	pthread_t idle, thread;

	pthread_barrier_init(&idle_is_there, NULL, 2);
	pthread_create(&idle, NULL, wait_for_ever, NULL);
	pthread_barrier_wait(&idle_is_there);
	printf("1..1 # dying\n* 1 first\n");
	fflush(stdout);
	head += 40;
	strcpy(log_buf, "[    0.0] Kernel panic - printed before\n");
	strcpy(head, "[    0.1] Kernel panic - not syncing: planted\n[    0.1] Call Trace:\n");
	if (!strcmp(how, "segv")) {
		kernel_function();
	} else if (!strcmp(how, "deep")) {
		return (int)deep(head, argc);
	} else if (!strcmp(how, "abort")) {
		abort();
	} else if (!strcmp(how, "thread")) {
		pthread_create(&thread, NULL, crash, NULL);
		pthread_join(thread, NULL);
	} else if (!strcmp(how, "caught")) {
		signal(SIGSEGV, caught);
		kernel_function();
	} else if (!strcmp(how, "leaderless")) {
		pthread_create(&thread, NULL, spin_for_ever, NULL);
		pthread_exit(NULL);
	} else {
		spin();
	}
	return 0;
}
