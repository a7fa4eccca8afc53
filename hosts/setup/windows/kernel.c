// SPDX-License-Identifier: GPL-2.0-only
/* The kernel side's beginning (calls.h): LKL's host operations and its disks. */
#include <stdlib.h>

#include <lkl_host.h>
#include "iomem.h"
#include "jmp_buf.h"

#include "calls.h"

struct calls windows;

/* ---- LKL's disks ---- */

static int get_capacity(struct lkl_disk disk, unsigned long long *bytes)
{
	int64_t size = windows.size(disk.fd);

	*bytes = size;
	return size < 0 ? -1 : 0;
}

static int64_t transfer(const struct lkl_blk_req *request, struct lkl_disk disk,
			const struct iovec *part, uint64_t at)
{
	if (request->type == LKL_DEV_BLK_TYPE_READ)
		return windows.read_at(disk.fd, part->iov_base, part->iov_len, at);
	return windows.write_at(disk.fd, part->iov_base, part->iov_len, at);
}

static int serve(struct lkl_disk disk, struct lkl_blk_req *request)
{
	uint64_t at = request->sector * 512;
	int i;

	switch (request->type) {
	case LKL_DEV_BLK_TYPE_READ:
	case LKL_DEV_BLK_TYPE_WRITE:
		for (i = 0; i < request->count; i++) {
			const struct iovec *part = &request->buf[i];

			if (transfer(request, disk, part, at) != (int64_t)part->iov_len)
				return LKL_DEV_BLK_STATUS_IOERR;
			at += part->iov_len;
		}
		return LKL_DEV_BLK_STATUS_OK;
	case LKL_DEV_BLK_TYPE_FLUSH:
	case LKL_DEV_BLK_TYPE_FLUSH_OUT:
		return windows.sync(disk.fd) < 0 ? LKL_DEV_BLK_STATUS_IOERR :
						   LKL_DEV_BLK_STATUS_OK;
	}
	return LKL_DEV_BLK_STATUS_UNSUP;
}

struct lkl_dev_blk_ops lkl_dev_blk_ops = {
	.get_capacity = get_capacity,
	.request = serve,
};

/* ---- LKL's host operations ---- */

static void print(const char *text, int len)
{
	windows.write(1, text, len);
}

static void *mem_alloc(unsigned long size)
{
	return malloc(size);
}

static void thread_detach(void)
{
}

static int thread_equal(lkl_thread_t a, lkl_thread_t b)
{
	return a == b;
}

/* The rest comes with the table of calls. */
struct lkl_host_operations lkl_host_ops = {
	.virtio_devices = lkl_virtio_devs,
	.print = print,
	.mem_alloc = mem_alloc,
	.mem_free = free,
	.thread_detach = thread_detach,
	.thread_equal = thread_equal,
	.ioremap = lkl_ioremap,
	.iomem_access = lkl_iomem_access,
	.jmp_buf_set = jmp_buf_set,
	.jmp_buf_longjmp = jmp_buf_longjmp,
};

#define TAKE(operation, call) lkl_host_ops.operation = (void *)windows.call

int main(int argc, char **argv);

int _start(const struct calls *calls, int argc, char **argv)
{
	windows = *calls;

	TAKE(panic, panic);
	TAKE(time, now_ns);
	TAKE(sem_alloc, sem_alloc);
	TAKE(sem_free, sem_free);
	TAKE(sem_up, sem_up);
	TAKE(sem_down, sem_down);
	TAKE(mutex_alloc, mutex_alloc);
	TAKE(mutex_free, mutex_free);
	TAKE(mutex_lock, mutex_lock);
	TAKE(mutex_unlock, mutex_unlock);
	TAKE(thread_create, thread_create);
	TAKE(thread_exit, thread_exit);
	TAKE(thread_join, thread_join);
	TAKE(thread_self, thread_self);
	TAKE(gettid, thread_self);
	TAKE(tls_alloc, tls_alloc);
	TAKE(tls_free, tls_free);
	TAKE(tls_set, tls_set);
	TAKE(tls_get, tls_get);
	TAKE(timer_alloc, timer_alloc);
	TAKE(timer_set_oneshot, timer_set);
	TAKE(timer_free, timer_free);

	return main(argc, argv);
}
