// SPDX-License-Identifier: GPL-2.0-only
/*
 * A Windows program that dies and hangs as upstream's do, in the way its first
 * argument names: a kernel's log that waits for a test point's end in a buffer
 * (whence this file's name, which the program's symbols say), a panic() that
 * writes to 0, a thread that spins amid others that wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static char log_buf[4096];
static char *head = log_buf, *tail = log_buf;

static void __attribute__((noinline)) print(const char *text)
{
	while (*text)
		*tail++ = *text++;
}

static void __attribute__((noinline)) panic(void)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 1;
}

static void __attribute__((noinline)) do_exit(const char *why)
{
	print("[    0.010000] Kernel panic - not syncing: ");
	print(why);
	print("\n");
	panic();
	printf("# not reached\n");
}

static void __attribute__((noinline)) start_kernel(int loud)
{
	if (loud)
		do_exit("Attempted to kill init!");
	else
		panic();
	printf("# not reached\n");
}

static void __attribute__((noinline)) call_driver(void)
{
	void (*volatile driver)(void) = NULL;

	driver();
	printf("# not reached\n");
}

static DWORD WINAPI wait_thread(void *unused)
{
	Sleep(INFINITE);
	return 0;
}

static DWORD WINAPI spin_thread(void *unused)
{
	__asm__ volatile("1: jmp 1b");
	return 0;
}

static LONG WINAPI fault_again(EXCEPTION_POINTERS *fault)
{
	*(volatile int *volatile)NULL = 2;
	return EXCEPTION_CONTINUE_SEARCH;
}

extern char behind_fault[];

static LONG WINAPI step_over(EXCEPTION_POINTERS *fault)
{
	fault->ContextRecord->Rip = (DWORD64)behind_fault;
	return EXCEPTION_CONTINUE_EXECUTION;
}

static DWORD WINAPI fault_thread(void *unused)
{
	__asm__ volatile("xor %%eax, %%eax\n movb $1, (%%rax)\n .globl behind_fault\nbehind_fault:"
			 : : : "rax", "memory");
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int i;

	printf("1..2 # test\n* 1 first\nok 1 first\n* 2 middle\n");
	fflush(stdout);
	head = tail; /* what was before has been printed */
	if (!strcmp(mode, "panic"))
		start_kernel(1);
	if (!strcmp(mode, "quiet-panic"))
		start_kernel(0);
	if (!strcmp(mode, "null-call"))
		call_driver();
	if (!strcmp(mode, "spin")) {
		for (i = 0; i < 20; i++)
			CreateThread(NULL, 0, wait_thread, NULL, 0, NULL);
		CreateThread(NULL, 0, spin_thread, NULL, 0, NULL);
		Sleep(INFINITE);
	}
	if (!strcmp(mode, "nest")) { /* faults until the stack is full */
		CreateThread(NULL, 0, wait_thread, NULL, 0, NULL);
		AddVectoredExceptionHandler(1, fault_again);
		start_kernel(0);
	}
	if (!strcmp(mode, "handled")) {
		AddVectoredExceptionHandler(1, step_over);
		WaitForSingleObject(CreateThread(NULL, 0, fault_thread, NULL, 0, NULL), INFINITE);
	}
	if (!strcmp(mode, "lost")) { /* of those that are left, the first is in Windows alone */
		CreateThread(NULL, 0, (LPTHREAD_START_ROUTINE)Sleep, (void *)(size_t)INFINITE, 0, NULL);
		CreateThread(NULL, 0, wait_thread, NULL, 0, NULL);
		ExitThread(0);
	}
	printf("ok 2 middle\n");
	return head != tail;
}
