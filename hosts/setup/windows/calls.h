/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A Windows program with LKL's kernel in it has two sides:
 *
 *	kernel.c, libc.c	and the kernel, the suite's program, musl: compiled for
 *			System V, where long has 64 bits, as the kernel wants it,
 *			and linked at a fixed address
 *	windows.c, locks.c, threads.c	a Windows program that holds the other as data,
 *			loads it to its address and calls it
 *
 * The kernel side has nothing but these calls of the Windows side. All follow
 * the System V convention, and no type in them differs between the two.
 */
#ifndef LKLTEST_WINDOWS_CALLS_H
#define LKLTEST_WINDOWS_CALLS_H

#include <stdint.h>

#ifdef _WIN32
#define SYSV __attribute__((sysv_abi))
#else
#define SYSV
#endif

struct calls {
	void *(SYSV *resize)(void *memory, uint64_t size);	/* size 0 frees */
	uint64_t (SYSV *now_ns)(void);
	uint64_t (SYSV *process)(void);
	void (SYSV *sleep_ms)(uint32_t ms);
	void (SYSV *panic)(void);

	/* Each -1 when it fails; the standard streams are 1 and 2 for write. */
	int64_t (SYSV *write)(int fd, const void *data, uint64_t size);
	int64_t (SYSV *open)(const char *path, int writable);
	int64_t (SYSV *close)(int64_t file);
	int64_t (SYSV *size)(int64_t file);
	int64_t (SYSV *read_at)(int64_t file, void *data, uint64_t size, uint64_t at);
	int64_t (SYSV *write_at)(int64_t file, const void *data, uint64_t size, uint64_t at);
	int64_t (SYSV *sync)(int64_t file);

	void *(SYSV *sem_alloc)(int count);
	void (SYSV *sem_free)(void *sem);
	void (SYSV *sem_up)(void *sem);
	void (SYSV *sem_down)(void *sem);

	void *(SYSV *mutex_alloc)(int recursive);
	void (SYSV *mutex_free)(void *mutex);
	void (SYSV *mutex_lock)(void *mutex);
	void (SYSV *mutex_unlock)(void *mutex);

	uint64_t (SYSV *thread_create)(void (SYSV *run)(void *), void *arg);
	void (SYSV *thread_exit)(void);
	int (SYSV *thread_join)(uint64_t thread);
	uint64_t (SYSV *thread_self)(void);

	void *(SYSV *tls_alloc)(void (SYSV *destructor)(void *));
	void (SYSV *tls_free)(void *key);
	int (SYSV *tls_set)(void *key, void *value);
	void *(SYSV *tls_get)(void *key);

	void *(SYSV *timer_alloc)(void (SYSV *fire)(void *), void *arg);
	int (SYSV *timer_set)(void *timer, uint64_t ns);
	void (SYSV *timer_free)(void *timer);
};

#ifdef _WIN32
SYSV uint64_t now_ns(void);
void add_lock_calls(struct calls *calls);
void add_thread_calls(struct calls *calls);
#else
extern struct calls windows;
#endif

typedef int (SYSV *kernel_entry)(const struct calls *calls, int argc, char **argv);

#endif
