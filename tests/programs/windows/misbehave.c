// SPDX-License-Identifier: GPL-2.0-only
/*
 * One Windows program that misbehaves in the way its first argument names, in
 * the middle of a test point: what the Wine host has to recognise without the
 * help of the exit status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static volatile int *volatile nowhere;

static void begin(void)
{
	printf("1..2 # misbehave\n");
	printf("* 1 first\nok 1 first\n ---\n time_us: 1000\n log: |\n ...\n");
	printf("* 2 middle\n");
	fflush(stdout);
}

static void end(void)
{
	printf("ok 2 middle\n ---\n time_us: 0\n log: |\n ...\n");
	fflush(stdout);
}

static int sink;

static int overflow(int depth)
{
	volatile char room[4096];

	room[0] = depth;
	return overflow(depth + 1) + room[0];
}

static DWORD WINAPI crash_elsewhere(void *unused)
{
	*nowhere = 1;
	return 0;
}

/* A child of this program; "sleep" outlives its parent's death unless somebody sees to it. */
static HANDLE spawn_child(const char *mode)
{
	STARTUPINFOA startup = { .cb = sizeof(startup) };
	char file[MAX_PATH], line[MAX_PATH + 16];
	PROCESS_INFORMATION child;

	GetModuleFileNameA(NULL, file, sizeof(file));
	snprintf(line, sizeof(line), "\"%s\" %s", file, mode);
	if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &child))
		printf("# CreateProcess: error %lu\n", GetLastError());
	fflush(stdout);
	return child.hProcess;
}

/* A child's crash, which is what this program wants to see. */
static void see_a_child_crash(const char *mode)
{
	WaitForSingleObject(spawn_child(mode), INFINITE);
}

static void __attribute__((noinline)) wait_for_ever(void)
{
	for (;;)
		Sleep(1000000);
}

static DWORD WINAPI second_thread(void *unused)
{
	wait_for_ever();
	return 0;
}

static int die(const char *mode)
{
	if (!strcmp(mode, "null"))
		*nowhere = 1;
	else if (!strcmp(mode, "overflow"))
		sink = overflow(0);
	else if (!strcmp(mode, "abort"))
		abort();
	else if (!strcmp(mode, "illegal"))
		__builtin_trap();
	else if (!strcmp(mode, "divide"))
		sink = 7 / *(volatile int *)&sink;
	else if (!strcmp(mode, "breakpoint"))
		DebugBreak();
	else if (!strcmp(mode, "raise"))
		RaiseException(0xe0001234, EXCEPTION_NONCONTINUABLE, 0, NULL);
	else if (!strcmp(mode, "thread"))
		WaitForSingleObject(CreateThread(NULL, 0, crash_elsewhere, NULL, 0, NULL), INFINITE);
	else if (!strcmp(mode, "terminate"))
		TerminateProcess(GetCurrentProcess(), 0);
	else
		return 0;
	return 1;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : getenv("LKLTEST_MISBEHAVE");

	if (!mode)
		mode = "";
	if (!strcmp(mode, "nothing"))
		return 0;
	if (!strcmp(mode, "sleep"))
		wait_for_ever();
	if (!strcmp(mode, "silent-null"))
		return die("null");
	if (!strcmp(mode, "silent-raise"))
		return die("raise");
	begin();
	if (!strcmp(mode, "child-null") || !strcmp(mode, "child-raise")) {
		see_a_child_crash(strcmp(mode, "child-null") ? "silent-raise" : "silent-null");
		if (argc > 2)
			die(argv[2]);
		end();
		return 0;
	}
	if (!strcmp(mode, "status")) {
		end();
		ExitProcess(strtoul(argv[2], NULL, 0));
	}
	if (!strcmp(mode, "late")) {
		end();
		*nowhere = 1;
	}
	if (!strcmp(mode, "hang")) {
		CreateThread(NULL, 0, second_thread, NULL, 0, NULL);
		wait_for_ever();
	}
	if (!strcmp(mode, "child-hang")) {
		spawn_child("sleep");
		wait_for_ever();
	}
	if (!strcmp(mode, "child")) {
		spawn_child("sleep");
		end();
		return 0;
	}
	if (!strcmp(mode, "delete")) {
		DeleteFileA(argv[2]);
		return 1;
	}
	if (!die(mode)) {
		fprintf(stderr, "%s: unknown mode\n", mode);
		return 255;
	}
	end();
	return 0;
}
