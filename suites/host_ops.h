/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of struct lkl_host_operations that the boot suite tests, on top of
 * POSIX threads, for guest programs, which have no LKL to bring it. The names
 * are LKL's, so that the tests are the same source.
 */
#ifndef LKLTEST_HOST_OPS_H
#define LKLTEST_HOST_OPS_H

#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef pthread_t lkl_thread_t;

struct lkl_mutex {
	pthread_mutex_t mutex;
};

struct lkl_sem {
	sem_t sem;
};

struct lkl_tls_key {
	pthread_key_t key;
};

static struct lkl_mutex *host_mutex_alloc(int recursive)
{
	struct lkl_mutex *mutex = malloc(sizeof(*mutex));
	pthread_mutexattr_t attr;

	if (!mutex)
		return NULL;
	pthread_mutexattr_init(&attr);
	if (recursive)
		pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&mutex->mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	return mutex;
}

static void host_mutex_free(struct lkl_mutex *mutex)
{
	pthread_mutex_destroy(&mutex->mutex);
	free(mutex);
}

static void host_mutex_lock(struct lkl_mutex *mutex)
{
	pthread_mutex_lock(&mutex->mutex);
}

static void host_mutex_unlock(struct lkl_mutex *mutex)
{
	pthread_mutex_unlock(&mutex->mutex);
}

static struct lkl_sem *host_sem_alloc(int count)
{
	struct lkl_sem *sem = malloc(sizeof(*sem));

	if (sem)
		sem_init(&sem->sem, 0, count);
	return sem;
}

static void host_sem_free(struct lkl_sem *sem)
{
	sem_destroy(&sem->sem);
	free(sem);
}

static void host_sem_up(struct lkl_sem *sem)
{
	sem_post(&sem->sem);
}

static void host_sem_down(struct lkl_sem *sem)
{
	while (sem_wait(&sem->sem))
		;
}

struct host_start {
	void (*fn)(void *arg);
	void *arg;
};

static void *host_thread(void *arg)
{
	struct host_start start = *(struct host_start *)arg;

	free(arg);
	start.fn(start.arg);
	return NULL;
}

static lkl_thread_t host_thread_create(void (*fn)(void *), void *arg)
{
	struct host_start *start = malloc(sizeof(*start));
	pthread_t thread;

	if (!start)
		return 0;
	start->fn = fn;
	start->arg = arg;
	if (pthread_create(&thread, NULL, host_thread, start)) {
		free(start);
		return 0;
	}
	return thread;
}

static int host_thread_join(lkl_thread_t thread)
{
	return pthread_join(thread, NULL) ? -1 : 0;
}

static struct lkl_tls_key *host_tls_alloc(void (*destructor)(void *))
{
	struct lkl_tls_key *key = malloc(sizeof(*key));

	if (key && pthread_key_create(&key->key, destructor)) {
		free(key);
		return NULL;
	}
	return key;
}

static void host_tls_free(struct lkl_tls_key *key)
{
	pthread_key_delete(key->key);
	free(key);
}

static int host_tls_set(struct lkl_tls_key *key, void *data)
{
	return pthread_setspecific(key->key, data) ? -1 : 0;
}

static void *host_tls_get(struct lkl_tls_key *key)
{
	return pthread_getspecific(key->key);
}

static unsigned long long host_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/*
 * One thread a timer: POSIX timers with SIGEV_THREAD are not everywhere, and
 * the test wants a callback on a thread that is not its own, no more.
 */
struct host_timer {
	void (*fn)(void *arg);
	void *arg;
	unsigned long long due;		/* 0: not armed */
	int freed;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
};

static void *host_timer_thread(void *arg)
{
	struct host_timer *timer = arg;

	pthread_mutex_lock(&timer->lock);
	while (!timer->freed) {
		unsigned long long now = host_time();

		if (timer->due && timer->due <= now) {
			timer->due = 0;
			pthread_mutex_unlock(&timer->lock);
			timer->fn(timer->arg);
			pthread_mutex_lock(&timer->lock);
		} else if (timer->due) {
			struct timespec until;
			unsigned long long ns;

			clock_gettime(CLOCK_REALTIME, &until);
			ns = until.tv_nsec + (timer->due - now);
			until.tv_sec += ns / 1000000000;
			until.tv_nsec = ns % 1000000000;
			pthread_cond_timedwait(&timer->changed, &timer->lock, &until);
		} else {
			pthread_cond_wait(&timer->changed, &timer->lock);
		}
	}
	pthread_mutex_unlock(&timer->lock);
	return NULL;
}

static void *host_timer_alloc(void (*fn)(void *), void *arg)
{
	struct host_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return NULL;
	timer->fn = fn;
	timer->arg = arg;
	pthread_mutex_init(&timer->lock, NULL);
	pthread_cond_init(&timer->changed, NULL);
	if (pthread_create(&timer->thread, NULL, host_timer_thread, timer)) {
		free(timer);
		return NULL;
	}
	return timer;
}

static int host_timer_set_oneshot(void *arg, unsigned long ns)
{
	struct host_timer *timer = arg;

	pthread_mutex_lock(&timer->lock);
	timer->due = host_time() + ns;
	pthread_cond_signal(&timer->changed);
	pthread_mutex_unlock(&timer->lock);
	return 0;
}

static void host_timer_free(void *arg)
{
	struct host_timer *timer = arg;

	pthread_mutex_lock(&timer->lock);
	timer->freed = 1;
	pthread_cond_signal(&timer->changed);
	pthread_mutex_unlock(&timer->lock);
	pthread_join(timer->thread, NULL);
	pthread_cond_destroy(&timer->changed);
	pthread_mutex_destroy(&timer->lock);
	free(timer);
}

static long host_gettid(void)
{
	return syscall(SYS_gettid);
}

static struct {
	void (*print)(const char *str, int len);
	struct lkl_sem *(*sem_alloc)(int count);
	void (*sem_free)(struct lkl_sem *sem);
	void (*sem_up)(struct lkl_sem *sem);
	void (*sem_down)(struct lkl_sem *sem);
	struct lkl_mutex *(*mutex_alloc)(int recursive);
	void (*mutex_free)(struct lkl_mutex *mutex);
	void (*mutex_lock)(struct lkl_mutex *mutex);
	void (*mutex_unlock)(struct lkl_mutex *mutex);
	lkl_thread_t (*thread_create)(void (*fn)(void *), void *arg);
	int (*thread_join)(lkl_thread_t thread);
	struct lkl_tls_key *(*tls_alloc)(void (*destructor)(void *));
	void (*tls_free)(struct lkl_tls_key *key);
	int (*tls_set)(struct lkl_tls_key *key, void *data);
	void *(*tls_get)(struct lkl_tls_key *key);
	unsigned long long (*time)(void);
	void *(*timer_alloc)(void (*fn)(void *), void *arg);
	int (*timer_set_oneshot)(void *timer, unsigned long ns);
	void (*timer_free)(void *timer);
	long (*gettid)(void);
} lkl_host_ops __attribute__((unused)) = {
	.sem_alloc = host_sem_alloc,
	.sem_free = host_sem_free,
	.sem_up = host_sem_up,
	.sem_down = host_sem_down,
	.mutex_alloc = host_mutex_alloc,
	.mutex_free = host_mutex_free,
	.mutex_lock = host_mutex_lock,
	.mutex_unlock = host_mutex_unlock,
	.thread_create = host_thread_create,
	.thread_join = host_thread_join,
	.tls_alloc = host_tls_alloc,
	.tls_free = host_tls_free,
	.tls_set = host_tls_set,
	.tls_get = host_tls_get,
	.time = host_time,
	.timer_alloc = host_timer_alloc,
	.timer_set_oneshot = host_timer_set_oneshot,
	.timer_free = host_timer_free,
	.gettid = host_gettid,
};

#endif
