/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The suite programs are written against LKL's API. This header makes one out
 * of its two forms, the one before lkl_init() (the bundled 4.9) and today's,
 * and stands in for it in a process inside of a Linux guest (UML, QEMU), where
 * LKL's calls are libc's: -DLKLTEST_GUEST, guest.h.
 */
#ifndef LKLTEST_LKL_COMPAT_H
#define LKLTEST_LKL_COMPAT_H

#ifdef LKLTEST_GUEST

#include "guest.h"

#else

#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>
#include <lkl.h>
#include <lkl_host.h>

#if defined(LKL_HOST_CONFIG_POSIX) || defined(LKL_HOST_CONFIG_NT)

#define LKLTEST_PIPE_UPSTREAM 1

typedef struct __lkl__kernel_timespec lkltest_timespec;

static inline int lkltest_init(void)
{
	return lkl_init(&lkl_host_ops);
}

static inline void lkltest_cleanup(void)
{
	lkl_cleanup();
}

#define lkltest_start_kernel(megabytes, extra) \
	lkl_start_kernel("mem=%dM loglevel=8 %s", megabytes, extra)

#else

/* Part of the ABI, but not of that tree's exported headers. */
#define LKL_EPOLLIN 0x001
#define LKL_EPOLLHUP 0x010

typedef struct lkl_timespec lkltest_timespec;

static inline int lkltest_init(void)
{
	return 0;
}

static inline void lkltest_cleanup(void)
{
}

#define lkltest_start_kernel(megabytes, extra) \
	lkl_start_kernel(&lkl_host_ops, (megabytes) * 1024UL * 1024UL, "loglevel=8 %s", extra)

#endif
#endif

#include "tap.h"

/* Of test points: the others' failure is not theirs. */
#define NEED_KERNEL() \
	do { \
		if (!lkl_is_running()) \
			return tap_skip("the kernel is not running"); \
	} while (0)

/* Logs what was called and what came back, and hands it on to be compared. */
#define CALL(call) lkltest_called(#call, call)

static inline long lkltest_called(const char *text, long ret)
{
	if (ret < 0)
		tap_logf("%s = %ld %s\n", text, ret, lkl_strerror(ret));
	else
		tap_logf("%s = %ld\n", text, ret);
	return ret;
}

#endif
