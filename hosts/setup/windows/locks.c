// SPDX-License-Identifier: GPL-2.0-only
/* The Windows side's calls (calls.h) for semaphores and mutexes. */
#include <windows.h>

#include <stdlib.h>

#include "calls.h"

/* Windows' own semaphores are the server's under Wine: each call is a message to it. */
struct sem {
	SRWLOCK lock;
	CONDITION_VARIABLE raised;
	int count;
};

static SYSV void *sem_alloc(int count)
{
	struct sem *sem = calloc(1, sizeof(*sem));

	if (sem)
		sem->count = count;
	return sem;
}

static SYSV void sem_free(void *sem)
{
	free(sem);
}

static SYSV void sem_up(void *opaque)
{
	struct sem *sem = opaque;

	AcquireSRWLockExclusive(&sem->lock);
	sem->count++;
	WakeConditionVariable(&sem->raised);
	ReleaseSRWLockExclusive(&sem->lock);
}

static SYSV void sem_down(void *opaque)
{
	struct sem *sem = opaque;

	AcquireSRWLockExclusive(&sem->lock);
	while (!sem->count)
		SleepConditionVariableSRW(&sem->raised, &sem->lock, INFINITE, 0);
	sem->count--;
	ReleaseSRWLockExclusive(&sem->lock);
}

struct mutex {
	int recursive;
	CRITICAL_SECTION section;
	struct sem sem;	/* when not recursive: another thread may release it */
};

static SYSV void *mutex_alloc(int recursive)
{
	struct mutex *mutex = calloc(1, sizeof(*mutex));

	if (!mutex)
		return NULL;
	mutex->recursive = recursive;
	mutex->sem.count = 1;
	InitializeCriticalSection(&mutex->section);
	return mutex;
}

static SYSV void mutex_free(void *opaque)
{
	struct mutex *mutex = opaque;

	DeleteCriticalSection(&mutex->section);
	free(mutex);
}

static SYSV void mutex_lock(void *opaque)
{
	struct mutex *mutex = opaque;

	if (mutex->recursive)
		EnterCriticalSection(&mutex->section);
	else
		sem_down(&mutex->sem);
}

static SYSV void mutex_unlock(void *opaque)
{
	struct mutex *mutex = opaque;

	if (mutex->recursive)
		LeaveCriticalSection(&mutex->section);
	else
		sem_up(&mutex->sem);
}

void add_lock_calls(struct calls *calls)
{
	calls->sem_alloc = sem_alloc;
	calls->sem_free = sem_free;
	calls->sem_up = sem_up;
	calls->sem_down = sem_down;
	calls->mutex_alloc = mutex_alloc;
	calls->mutex_free = mutex_free;
	calls->mutex_lock = mutex_lock;
	calls->mutex_unlock = mutex_unlock;
}
