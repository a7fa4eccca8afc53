// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of a C library would ask Linux, by calls of the Windows side (calls.h).
 * What asks nobody (strings, printf's formats, getopt) is musl's. Debian has
 * that compiled with stack protection, which reads %fs: Wine's threads have one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <lkl_host.h>

#include "calls.h"

#define SECOND_NS 1000000000ULL
#define MS_NS 1000000ULL

static int last_error; /* of the main thread alone: no other asks */

int *__errno_location(void)
{
	return &last_error;
}

int *___errno_location(void) /* musl's own name for it */
	__attribute__((alias("__errno_location"), const));

static long refuse(int reason)
{
	last_error = reason;
	return -1;
}

void *realloc(void *memory, size_t size)
{
	return windows.resize(memory, size);
}

void *malloc(size_t size)
{
	return windows.resize(NULL, size ? size : 1);
}

void *calloc(size_t count, size_t size)
{
	void *memory = malloc(count * size);

	return memory ? memset(memory, 0, count * size) : NULL;
}

void free(void *memory)
{
	if (memory)
		windows.resize(memory, 0);
}

ssize_t write(int fd, const void *data, size_t size)
{
	ssize_t done = windows.write(fd, data, size);

	return done < 0 ? refuse(EIO) : done;
}

int fprintf(FILE *restrict stream, const char *restrict format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return write(2, text, len < (int)sizeof(text) ? len : (int)sizeof(text) - 1);
}

int open(const char *path, int flags, ...)
{
	int64_t file = windows.open(path, (flags & O_ACCMODE) != O_RDONLY);

	return file < 0 ? refuse(ENOENT) : file;
}

int close(int file)
{
	return windows.close(file);
}

int fsync(int file)
{
	return windows.sync(file) < 0 ? refuse(EIO) : 0;
}

char *strerror(int error)
{
	return error == ENOENT ? "it cannot be opened" : "it failed";
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	uint64_t now = windows.now_ns();

	time->tv_sec = now / SECOND_NS;
	time->tv_nsec = now % SECOND_NS;
	return 0;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
	windows.sleep_ms(time->tv_sec * 1000 + (time->tv_nsec + MS_NS - 1) / MS_NS);
	return 0;
}

pid_t getpid(void)
{
	return windows.process();
}

/* The programs' own mutexes guard a few lines, and are not held for long. */
int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	while (__atomic_exchange_n((int *)mutex, 1, __ATOMIC_ACQUIRE))
		windows.sleep_ms(0);
	return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	__atomic_store_n((int *)mutex, 0, __ATOMIC_RELEASE);
	return 0;
}

void abort(void)
{
	windows.panic();
	__builtin_unreachable();
}

int raise(int number)
{
	abort();
}

/* A crash is Wine's to report: there are no signals. */
int sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
	return 0;
}

int sigaltstack(const stack_t *new, stack_t *old)
{
	return 0;
}

void (*signal(int number, void (*handler)(int)))(int)
{
	return SIG_DFL;
}

/* Network back ends that Windows does not have. */
ssize_t read(int fd, void *data, size_t size)
{
	return refuse(ENOSYS);
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
	return refuse(ENOSYS);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	return refuse(ENOSYS);
}

int pipe2(int ends[2], int flags)
{
	return refuse(ENOSYS);
}

int poll(struct pollfd *files, nfds_t count, int timeout)
{
	return refuse(ENOSYS);
}

struct lkl_netdev *lkl_netdev_tap_create(const char *name, int offload)
{
	return NULL;
}

struct lkl_netdev *lkl_netdev_macvtap_create(const char *path, int offload)
{
	return NULL;
}

struct lkl_netdev *lkl_netdev_raw_create(const char *name)
{
	return NULL;
}

unsigned int if_nametoindex(const char *name)
{
	return 0;
}
