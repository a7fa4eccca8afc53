/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TAP emitter of the suite programs, in the dialect of LKL's own tests:
 *
 *	1..35 # boot
 *	* 1 mutex		announced before it runs: names a crash or a hang
 *	ok 1 mutex
 *	 ---			YAML indented by one space
 *	 time_us: 7		wall time
 *	 log: |
 *	  text			the log by two, of the program and of the kernel
 *	 ...
 *
 * A group of lines leaves in one write() under the lock, past stdio: a crash
 * loses none of it, and what the kernel prints from its own threads meanwhile
 * waits for the log of the point in flight and never cuts a TAP line.
 *
 * If the program dies, the log of that point is printed as plain lines first:
 * it holds the kernel's last words.
 */
#ifndef LKLTEST_TAP_H
#define LKLTEST_TAP_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#include <io.h>
#else
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#endif

enum tap_result {
	TAP_OK,
	TAP_FAIL,
	TAP_SKIP,
};

struct tap_point {
	const char *name;
	enum tap_result (*run)(void);
};

#define TAP_POINT(name) { #name, test_##name }
#define TAP_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

struct tap_text {
	char *data;
	size_t len;
	size_t size;
};

static struct {
	struct tap_text log;
	int line_open;		/* the log's last line has no newline yet */
	int lost;		/* memory ran out */
} tap;

#ifdef _WIN32

static SRWLOCK tap_mutex = SRWLOCK_INIT;

static inline void tap_lock(void)
{
	AcquireSRWLockExclusive(&tap_mutex);
}

static inline void tap_unlock(void)
{
	ReleaseSRWLockExclusive(&tap_mutex);
}

static inline long long tap_now_us(void)
{
	LARGE_INTEGER now, frequency;

	QueryPerformanceCounter(&now);
	QueryPerformanceFrequency(&frequency);
	return now.QuadPart / frequency.QuadPart * 1000000 +
	       now.QuadPart % frequency.QuadPart * 1000000 / frequency.QuadPart;
}

#else

static pthread_mutex_t tap_mutex = PTHREAD_MUTEX_INITIALIZER;

static inline void tap_lock(void)
{
	pthread_mutex_lock(&tap_mutex);
}

static inline void tap_unlock(void)
{
	pthread_mutex_unlock(&tap_mutex);
}

static inline long long tap_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

#endif

/* Safe in a signal handler. */
static inline void tap_put(const char *data, size_t len)
{
	while (len) {
		long done = write(1, data, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		data += done;
		len -= done;
	}
}

static inline void tap_append(struct tap_text *text, const char *data, size_t len)
{
	if (text->len + len > text->size) {
		size_t size = (text->len + len) * 2 + 4096;
		char *grown = realloc(text->data, size);

		if (!grown) {
			tap.lost = 1;
			return;
		}
		text->data = grown;
		text->size = size;
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
}

static inline void tap_appendf(struct tap_text *text, const char *fmt, ...)
{
	char line[512];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (len >= (int)sizeof(line))
		len = sizeof(line) - 1;
	if (len > 0)
		tap_append(text, line, len);
}

/* Called with the lock held. */
static inline void tap_log_locked(const char *str, size_t len)
{
	while (len) {
		const char *end = memchr(str, '\n', len);
		size_t part = end ? (size_t)(end - str) + 1 : len;

		if (!tap.line_open)
			tap_append(&tap.log, "  ", 2);
		tap_append(&tap.log, str, part);
		tap.line_open = !end;
		str += part;
		len -= part;
	}
}

/*
 * Has the signature of lkl_host_ops.print. What comes between two points goes
 * into the log of the next one: the kernel does not wait for ours to begin.
 */
static inline void tap_log(const char *str, int len)
{
	tap_lock();
	if (len > 0)
		tap_log_locked(str, len);
	tap_unlock();
}

static inline void tap_vlogf(const char *fmt, va_list args)
{
	char text[4096];
	int len = vsnprintf(text, sizeof(text), fmt, args);

	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	tap_log(text, len);
}

__attribute__((format(gnu_printf, 1, 2)))
static inline void tap_logf(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	tap_vlogf(fmt, args);
	va_end(args);
}

/* The reason stands in the log, where readers of the dialect look for it. */
__attribute__((format(gnu_printf, 1, 2)))
static inline enum tap_result tap_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	tap_vlogf(fmt, args);
	va_end(args);
	tap_log("\n", 1);
	return TAP_SKIP;
}

static inline enum tap_result tap_check(int good)
{
	return good ? TAP_OK : TAP_FAIL;
}

/* Called with the lock held, or where nobody will release it any more. */
static inline void tap_flush_log(void)
{
	tap_put(tap.log.data, tap.log.len);
	if (tap.line_open)
		tap_put("\n", 1);
	tap.log.len = 0;
	tap.line_open = 0;
}

static void tap_on_signal(int number)
{
	/* The lock may be ours: better a torn last line than a deadlock. */
	tap_flush_log();
	signal(number, SIG_DFL);
	raise(number);
}

/*
 * The stack that overflowed cannot run the handler, so it gets one of its own.
 */
static inline void tap_catch_signals(void)
{
	static const int numbers[] = {
		SIGABRT, SIGFPE, SIGILL, SIGSEGV, SIGINT, SIGTERM,
#ifndef _WIN32
		SIGBUS, SIGQUIT, SIGHUP, SIGSYS, SIGTRAP,
#endif
	};
	int i;

#ifndef _WIN32
	static char stack[64 * 1024];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = {
		.sa_handler = tap_on_signal,
		.sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER,
	};

	sigaltstack(&alternate, NULL);
	for (i = 0; i < TAP_COUNT(numbers); i++) {
		struct sigaction old;

		/* What nohup and the like had ignored stays ignored. */
		if (!sigaction(numbers[i], NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(numbers[i], &action, NULL);
	}
#else
	for (i = 0; i < TAP_COUNT(numbers); i++)
		signal(numbers[i], tap_on_signal);
#endif
}

static inline enum tap_result tap_run_point(int number, const struct tap_point *point)
{
	static const char * const words[] = {
		[TAP_OK] = "ok", [TAP_FAIL] = "not ok", [TAP_SKIP] = "ok",
	};
	struct tap_text text = { 0 };
	enum tap_result result;
	long long start;

	tap_lock();
	tap_appendf(&text, "* %d %s\n", number, point->name);
	tap_put(text.data, text.len);
	tap_unlock();

	start = tap_now_us();
	result = point->run();
	start = tap_now_us() - start;

	text.len = 0;
	tap_appendf(&text, "%s %d %s%s\n ---\n time_us: %lld\n log: |\n",
		    words[result], number, point->name,
		    result == TAP_SKIP ? " # SKIP" : "", start);
	tap_lock();
	if (tap.line_open)
		tap_log_locked("\n", 1);
	if (tap.log.len)
		tap_append(&text, tap.log.data, tap.log.len);
	if (tap.lost)
		tap_appendf(&text, "  (some of this log was lost: out of memory)\n");
	tap_appendf(&text, " ...\n");
	tap_put(text.data, text.len);
	tap.log.len = 0;
	tap.lost = 0;
	tap_unlock();

	free(text.data);
	return result;
}

/*
 * Runs the points in order and returns the program's exit status. A failed
 * point stops nothing: those that need what it did say so and skip.
 */
__attribute__((format(gnu_printf, 3, 4)))
static inline int tap_run(const struct tap_point *points, int count, const char *fmt, ...)
{
	char name[256], plan[300];
	int i, failed = 0;
	va_list args;

	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);

	tap_catch_signals();
	tap_put(plan, snprintf(plan, sizeof(plan), "1..%d # %s\n", count, name));
	for (i = 0; i < count; i++)
		failed |= tap_run_point(i + 1, &points[i]) == TAP_FAIL;

	tap_lock();
	tap_flush_log();
	tap_unlock();
	return failed;
}

#endif
