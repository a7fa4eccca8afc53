// SPDX-License-Identifier: GPL-2.0-only
/*
 * One program that misbehaves in the way its first argument names, for the
 * contract that every host has to pass (lkltest.testing). Plain C, so
 * that it builds for guests and, without fork, for Windows.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#include <io.h>
#define sleep(seconds) Sleep((seconds) * 1000)
#else
#include <fcntl.h>
#include <unistd.h>
#endif

static void plan(int count)
{
	printf("1..%d # contract\n", count);
}

static void point(int number, const char *name, const char *result)
{
	printf("* %d %s\n%s %d %s\n ---\n time_us: 5\n log: |\n  about %s\n ...\n",
	       number, name, result, number, name, name);
	fflush(stdout);
}

static void announce(int number, const char *name)
{
	printf("* %d %s\n", number, name);
	fflush(stdout);
}

static void hang(void)
{
	for (;;)
		sleep(1000);
}

static int arguments(int argc, char **argv)
{
	const char *value = getenv("LKLTEST_CONTRACT");
	int i;

	plan(argc - 1);
	for (i = 2; i < argc; i++)
		point(i - 1, argv[i], "ok");
	point(argc - 1, value ? value : "(unset)", "ok");
	return 0;
}

static int garbage(void)
{
	static const unsigned char bytes[] = "\xff\xfe\x00\x1b[31m\x07ok 99 forged\r";
	int i;

	plan(1);
	for (i = 0; i < 100; i++)
		fwrite(bytes, 1, sizeof(bytes) - 1, stdout);
	printf("\n");
	point(1, "survived", "ok");
	return 0;
}

static int flood(long megabytes)
{
	static char line[1024];
	long i;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	plan(1);
	for (i = 0; i < megabytes * 1024; i++)
		fwrite(line, 1, sizeof(line), stdout);
	point(1, "flooded", "ok");
	return 0;
}

static int bytewise(void)
{
	const char *text = "1..1 # contract\n* 1 slow\nok 1 slow\n"
			   " ---\n time_us: 5\n log: |\n ...\n";

	for (; *text; text++) {
		putchar(*text);
		fflush(stdout);
	}
	return 0;
}

#ifndef _WIN32
/* A daemon as they are: forked twice, in a session of its own, deaf to SIGTERM. */
static int daemonise(int keep_console)
{
	if (fork() == 0) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		if (fork() == 0) {
			if (!keep_console) {
				close(0);
				close(1);
				close(2);
			}
			hang();
		}
		_exit(0);
	}
	plan(1);
	point(1, "forked", "ok");
	return 0;
}
#endif

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "pass")) {
		plan(2);
		point(1, "first", "ok");
		point(2, "second", "ok");
		return 0;
	}
	if (!strcmp(mode, "fail")) {
		plan(2);
		point(1, "first", "ok");
		point(2, "second", "not ok");
		return 1;
	}
	if (!strcmp(mode, "status")) {
		plan(1);
		point(1, "first", "ok");
		return argc > 2 ? atoi(argv[2]) : 3;
	}
	if (!strcmp(mode, "silent"))
		return 0;
	if (!strcmp(mode, "short")) {
		plan(3);
		point(1, "first", "ok");
		return 0;
	}
	if (!strcmp(mode, "segfault")) {
		plan(2);
		point(1, "first", "ok");
		announce(2, "crashing");
		*(volatile int *)8 = 1;
	}
	if (!strcmp(mode, "abort")) {
		plan(2);
		point(1, "first", "ok");
		announce(2, "aborting");
		abort();
	}
	if (!strcmp(mode, "late-segfault")) {
		plan(1);
		point(1, "first", "ok");
		*(volatile int *)8 = 1;
	}
	if (!strcmp(mode, "hang") || !strcmp(mode, "deaf")) {
		if (mode[0] == 'd')
			signal(SIGTERM, SIG_IGN);
		plan(2);
		point(1, "first", "ok");
		announce(2, "hanging");
		hang();
	}
	if (!strcmp(mode, "bail")) {
		plan(2);
		point(1, "first", "ok");
		printf("BAIL OUT! no device\n");
		fflush(stdout);
		hang();
	}
	if (!strcmp(mode, "oops")) {
		plan(2);
		point(1, "first", "ok");
		printf("[    1.234567] BUG: unable to handle kernel NULL pointer dereference\n");
		point(2, "second", "ok");
		return 0;
	}
	if (!strcmp(mode, "arguments"))
		return arguments(argc, argv);
	if (!strcmp(mode, "garbage"))
		return garbage();
	if (!strcmp(mode, "flood"))
		return flood(argc > 2 ? atol(argv[2]) : 1);
	if (!strcmp(mode, "bytewise"))
		return bytewise();
	if (!strcmp(mode, "close-stdout")) {
		plan(2);
		point(1, "first", "ok");
		fflush(stdout);
		close(0);
		close(1);
		close(2);
		return 0;
	}
#ifndef _WIN32
	if (!strcmp(mode, "daemon"))
		return daemonise(0);
	if (!strcmp(mode, "daemon-with-console"))
		return daemonise(1);
#endif
	fprintf(stderr, "usage: contract MODE\n");
	return 255;
}
