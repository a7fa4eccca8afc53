// SPDX-License-Identifier: GPL-2.0-only
/* The Windows side's calls (calls.h) for threads, their own values, and timers. */
#include <windows.h>

#include <stdlib.h>

#include "calls.h"

#define STACK_BYTES (1 << 20)
#define MS_NS 1000000ULL

/* ---- thread-local values ---- */

struct key {
	void (SYSV *destructor)(void *);
	struct key *next;
	DWORD index;
};

static struct key *keys;
static SRWLOCK keys_lock = SRWLOCK_INIT;

static SYSV void *tls_alloc(void (SYSV *destructor)(void *))
{
	struct key *key = malloc(sizeof(*key));

	if (!key)
		return NULL;
	key->index = TlsAlloc();
	key->destructor = destructor;
	AcquireSRWLockExclusive(&keys_lock);
	key->next = keys;
	keys = key;
	ReleaseSRWLockExclusive(&keys_lock);
	return key;
}

static SYSV void tls_free(void *opaque)
{
	struct key *key = opaque, **at = &keys;

	AcquireSRWLockExclusive(&keys_lock);
	while (*at != key)
		at = &(*at)->next;
	*at = key->next;
	ReleaseSRWLockExclusive(&keys_lock);
	TlsFree(key->index);
	free(key);
}

static SYSV int tls_set(void *key, void *value)
{
	return TlsSetValue(((struct key *)key)->index, value) ? 0 : -1;
}

static SYSV void *tls_get(void *key)
{
	return TlsGetValue(((struct key *)key)->index);
}

/* A value of the thread's that has a destructor, which it loses; NULL when there is none. */
static void *take_value(void (SYSV **destructor)(void *))
{
	void *value = NULL;
	struct key *key;

	AcquireSRWLockShared(&keys_lock);
	for (key = keys; key && !value; key = key->next) {
		value = key->destructor ? TlsGetValue(key->index) : NULL;
		if (value) {
			*destructor = key->destructor;
			TlsSetValue(key->index, NULL);
		}
	}
	ReleaseSRWLockShared(&keys_lock);
	return value;
}

static void destroy_values(void)
{
	void (SYSV *destructor)(void *) = NULL;
	void *value;

	while ((value = take_value(&destructor)))
		destructor(value);
}

/* ---- threads ---- */

struct start {
	void (SYSV *run)(void *);
	void *arg;
};

static DWORD WINAPI thread_main(void *opaque)
{
	struct start start = *(struct start *)opaque;

	free(opaque);
	start.run(start.arg);
	destroy_values();
	return 0;
}

/* The handle stays open, so that the id remains the thread's for thread_join(). */
static SYSV uint64_t thread_create(void (SYSV *run)(void *), void *arg)
{
	struct start *start = malloc(sizeof(*start));
	DWORD id;

	if (!start)
		return 0;
	*start = (struct start){ run, arg };
	if (CreateThread(NULL, STACK_BYTES, thread_main, start, 0, &id))
		return id;
	free(start);
	return 0;
}

static SYSV void thread_exit(void)
{
	destroy_values();
	ExitThread(0);
}

static SYSV int thread_join(uint64_t id)
{
	HANDLE thread = OpenThread(SYNCHRONIZE, FALSE, id);
	DWORD waited;

	if (!thread)
		return -1;
	waited = WaitForSingleObject(thread, INFINITE);
	CloseHandle(thread);
	return waited == WAIT_OBJECT_0 ? 0 : -1;
}

static SYSV uint64_t thread_self(void)
{
	return GetCurrentThreadId();
}

/* ---- timers: a thread each ---- */

struct timer {
	void (SYSV *fire)(void *);
	void *arg;
	HANDLE changed, thread;
	SRWLOCK lock;
	uint64_t due;	/* 0: it is not set */
	int end;
};

/* How long to wait, in ms; 0 when it was due, which it is no longer then. */
static DWORD until_due(struct timer *timer)
{
	uint64_t now = now_ns();

	if (!timer->due)
		return INFINITE;
	if (now < timer->due)
		return (timer->due - now + MS_NS - 1) / MS_NS;
	timer->due = 0;
	return 0;
}

static DWORD WINAPI timer_main(void *opaque)
{
	struct timer *timer = opaque;
	DWORD wait;
	int end;

	do {
		AcquireSRWLockExclusive(&timer->lock);
		end = timer->end;
		wait = until_due(timer);
		ReleaseSRWLockExclusive(&timer->lock);
		if (end)
			break;
		if (wait)
			WaitForSingleObject(timer->changed, wait);
		else
			timer->fire(timer->arg);
	} while (1);
	return 0;
}

static SYSV void *timer_alloc(void (SYSV *fire)(void *), void *arg)
{
	struct timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return NULL;
	timer->fire = fire;
	timer->arg = arg;
	timer->changed = CreateEventA(NULL, FALSE, FALSE, NULL);
	timer->thread = CreateThread(NULL, STACK_BYTES, timer_main, timer, 0, NULL);
	return timer;
}

static SYSV int timer_set(void *opaque, uint64_t ns)
{
	struct timer *timer = opaque;

	AcquireSRWLockExclusive(&timer->lock);
	timer->due = now_ns() + ns;
	ReleaseSRWLockExclusive(&timer->lock);
	return SetEvent(timer->changed) ? 0 : -1;
}

static SYSV void timer_free(void *opaque)
{
	struct timer *timer = opaque;

	AcquireSRWLockExclusive(&timer->lock);
	timer->end = 1;
	ReleaseSRWLockExclusive(&timer->lock);
	SetEvent(timer->changed);
	WaitForSingleObject(timer->thread, INFINITE);
	CloseHandle(timer->thread);
	CloseHandle(timer->changed);
	free(timer);
}

void add_thread_calls(struct calls *calls)
{
	calls->thread_create = thread_create;
	calls->thread_exit = thread_exit;
	calls->thread_join = thread_join;
	calls->thread_self = thread_self;
	calls->tls_alloc = tls_alloc;
	calls->tls_free = tls_free;
	calls->tls_set = tls_set;
	calls->tls_get = tls_get;
	calls->timer_alloc = timer_alloc;
	calls->timer_set = timer_set;
	calls->timer_free = timer_free;
}
