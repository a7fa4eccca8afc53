// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into a UML kernel: ptrace() that hands on the whole of the
 * processor's extended state.
 *
 * A UML kernel before 6.13 knows 2696 bytes of it. Where the machine's
 * processor has more (AMX: 11 KB), the machine's kernel refuses a
 * PTRACE_SETREGSET of less than all (arch/x86/kernel/fpu/regset.c,
 * xstateregs_set()), and UML panics at its first process: "ptrace set fp regs
 * failed, errno = 14". The rest is added here, in its initial state: a process
 * can have nothing else there unless it asked for it with arch_prctl(2).
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

/* The XSAVE header: which components are not in their initial state. */
#define XSTATE_BV 512
/* Components 0 to 9, up to PKRU, lie in the first 2696 bytes. */
#define KNOWN_COMPONENTS 0x3ffULL

/* Static: UML calls with kernel stacks of 16 KB, and from one thread only. */
static char state[64 * 1024] __attribute__((aligned(64)));
static size_t whole;

static long set_whole(long pid, const struct iovec *part)
{
	struct iovec all = { .iov_base = state, .iov_len = sizeof(state) };
	uint64_t components;

	if (!whole) {
		if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &all) < 0)
			return -1;
		whole = all.iov_len;
		memset(state, 0, sizeof(state));
	}
	if (part->iov_len >= whole || part->iov_len < XSTATE_BV + sizeof(components)) {
		errno = EFAULT;
		return -1;
	}
	memcpy(state, part->iov_base, part->iov_len);
	memcpy(&components, state + XSTATE_BV, sizeof(components));
	components &= KNOWN_COMPONENTS;
	memcpy(state + XSTATE_BV, &components, sizeof(components));
	all.iov_len = whole;
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &all);
}

/* libc's: the value of a PEEK is the result, as its manual page says. */
long ptrace(enum __ptrace_request request, ...)
{
	long pid, address, data, value, ret;
	int peek = request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA ||
		   request == PTRACE_PEEKUSER;
	va_list arguments;

	va_start(arguments, request);
	pid = va_arg(arguments, long);
	address = va_arg(arguments, long);
	data = va_arg(arguments, long);
	va_end(arguments);

	/* Once it is known that a part is refused, ask no more. */
	if (request == PTRACE_SETREGSET && address == NT_X86_XSTATE && whole)
		return set_whole((int)pid, (const struct iovec *)data);

	ret = syscall(SYS_ptrace, request, (long)(int)pid, address, peek ? (long)&value : data);
	if (ret < 0 && errno == EFAULT && request == PTRACE_SETREGSET && address == NT_X86_XSTATE)
		return set_whole((int)pid, (const struct iovec *)data);
	if (ret < 0 || !peek)
		return ret;
	errno = 0;
	return value;
}
