// SPDX-License-Identifier: GPL-2.0-only
/*
 * boot: the host primitives that a library kernel stands on, its start, the
 * system calls of everyday life, its end.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "lkl_compat.h"

/* ---- host primitives ---- */

#define ROUNDS 20000

static struct {
	struct lkl_mutex *mutex;
	long counter;
} shared;

static void count_up(void *arg)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		lkl_host_ops.mutex_lock(shared.mutex);
		/* Read and write apart, so that a lock that does not lock shows. */
		*(volatile long *)&shared.counter = shared.counter + 1;
		lkl_host_ops.mutex_unlock(shared.mutex);
	}
}

static enum tap_result test_mutex(void)
{
	struct lkl_mutex *recursive;
	lkl_thread_t threads[2];
	int i;

	shared.counter = 0;
	shared.mutex = lkl_host_ops.mutex_alloc(0);
	recursive = lkl_host_ops.mutex_alloc(1);
	if (!shared.mutex || !recursive) {
		tap_logf("mutex_alloc() failed\n");
		return TAP_FAIL;
	}

	for (i = 0; i < 2; i++)
		threads[i] = lkl_host_ops.thread_create(count_up, NULL);
	for (i = 0; i < 2; i++)
		lkl_host_ops.thread_join(threads[i]);
	tap_logf("2 threads counted to %ld of %d\n", shared.counter, 2 * ROUNDS);

	for (i = 0; i < 3; i++)
		lkl_host_ops.mutex_lock(recursive);
	for (i = 0; i < 3; i++)
		lkl_host_ops.mutex_unlock(recursive);
	tap_logf("a recursive one was taken 3 times\n");

	lkl_host_ops.mutex_free(recursive);
	lkl_host_ops.mutex_free(shared.mutex);
	return tap_check(shared.counter == 2 * ROUNDS);
}

static struct {
	struct lkl_sem *ping, *pong;
	int turns, out_of_turn;
} game;

static void answer(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++) {
		lkl_host_ops.sem_down(game.ping);
		if (game.turns++ != 2 * i + 1)
			game.out_of_turn++;
		lkl_host_ops.sem_up(game.pong);
	}
}

static enum tap_result test_semaphore(void)
{
	struct lkl_sem *counting = lkl_host_ops.sem_alloc(2);
	lkl_thread_t thread;
	int i;

	memset(&game, 0, sizeof(game));
	game.ping = lkl_host_ops.sem_alloc(0);
	game.pong = lkl_host_ops.sem_alloc(0);
	if (!counting || !game.ping || !game.pong) {
		tap_logf("sem_alloc() failed\n");
		return TAP_FAIL;
	}

	lkl_host_ops.sem_down(counting);
	lkl_host_ops.sem_down(counting);
	lkl_host_ops.sem_up(counting);
	lkl_host_ops.sem_down(counting);

	thread = lkl_host_ops.thread_create(answer, NULL);
	for (i = 0; i < 1000; i++) {
		if (game.turns++ != 2 * i)
			game.out_of_turn++;
		lkl_host_ops.sem_up(game.ping);
		lkl_host_ops.sem_down(game.pong);
	}
	lkl_host_ops.thread_join(thread);
	tap_logf("%d turns between 2 threads, %d out of turn\n", game.turns, game.out_of_turn);

	lkl_host_ops.sem_free(game.pong);
	lkl_host_ops.sem_free(game.ping);
	lkl_host_ops.sem_free(counting);
	return tap_check(game.turns == 2000 && !game.out_of_turn);
}

static void set_flag(void *arg)
{
	*(int *)arg = 1;
}

static enum tap_result test_join(void)
{
	int flag = 0, ret = -1;
	lkl_thread_t thread;

	thread = lkl_host_ops.thread_create(set_flag, &flag);
	if (thread)
		ret = lkl_host_ops.thread_join(thread);
	tap_logf("thread_join() = %d, the thread %s\n", ret, flag ? "ran" : "did not run");
	return tap_check(thread && !ret && flag);
}

static enum tap_result test_timer(void)
{
	const unsigned long delay = 5000000;
	struct lkl_sem *fired = lkl_host_ops.sem_alloc(0);
	void *timer = lkl_host_ops.timer_alloc((void (*)(void *))lkl_host_ops.sem_up, fired);
	int i, good = 1;

	if (!fired || !timer) {
		tap_logf("timer_alloc() failed\n");
		return TAP_FAIL;
	}
	for (i = 0; i < 2; i++) {
		unsigned long long took = lkl_host_ops.time();
		int ret = lkl_host_ops.timer_set_oneshot(timer, delay);

		if (ret) {
			tap_logf("timer_set_oneshot() = %d\n", ret);
			good = 0;
			break;
		}
		lkl_host_ops.sem_down(fired);
		took = lkl_host_ops.time() - took;
		tap_logf("armed for %lu ns, fired after %llu ns\n", delay, took);
		/* A clock that is set back can cost a little, a late host much. */
		good &= took >= delay - delay / 10;
	}
	lkl_host_ops.timer_free(timer);
	lkl_host_ops.sem_free(fired);
	return tap_check(good);
}

static struct {
	struct lkl_tls_key *key;
	void *at_start, *own, *destroyed;
} tls;

static void tls_destructor(void *data)
{
	tls.destroyed = data;
}

static void tls_thread(void *arg)
{
	tls.at_start = lkl_host_ops.tls_get(tls.key);
	lkl_host_ops.tls_set(tls.key, &tls.own);
	tls.own = lkl_host_ops.tls_get(tls.key);
}

static enum tap_result test_tls(void)
{
	int mine, good;

	memset(&tls, 0, sizeof(tls));
	tls.key = lkl_host_ops.tls_alloc(tls_destructor);
	if (!tls.key) {
		tap_logf("tls_alloc() failed\n");
		return TAP_FAIL;
	}
	lkl_host_ops.tls_set(tls.key, &mine);
	lkl_host_ops.thread_join(lkl_host_ops.thread_create(tls_thread, NULL));

	good = lkl_host_ops.tls_get(tls.key) == &mine && !tls.at_start && tls.own == &tls.own;
	tap_logf("a thread's value %s the other's\n", good ? "is not" : "shows through to");
	tap_logf("its destructor was %s\n", tls.destroyed == &tls.own ? "called" : "not called");
#ifndef _WIN32
	/* Wine does not call it when a thread ends. */
	good &= tls.destroyed == &tls.own;
#endif
	lkl_host_ops.tls_set(tls.key, NULL);
	lkl_host_ops.tls_free(tls.key);
	return tap_check(good);
}

/* ---- the kernel ---- */

/*
 * LKL's root is an empty file system of its own. A guest's may be anything, so
 * the test makes itself a directory there.
 */
static char top[64];

static const char *in_top(const char *name)
{
	static __thread char paths[2][128];
	static __thread int which;

	which = !which;
	snprintf(paths[which], sizeof(paths[which]), "%s/%s", top, name);
	return paths[which];
}

#define NEED_FD(fd, what) \
	do { \
		NEED_KERNEL(); \
		if ((fd) < 0) \
			return tap_skip("there is no %s", what); \
	} while (0)

static enum tap_result test_start_kernel(void)
{
	long ret = CALL(lkltest_start_kernel(32, ""));

#ifdef LKLTEST_GUEST
	snprintf(top, sizeof(top), "/lkltest-boot-%d", (int)getpid());
	if (!ret)
		ret = CALL(lkl_sys_mkdir(top, 0700));
#endif
	return tap_check(!ret && lkl_is_running());
}

static enum tap_result test_getpid(void)
{
	long pid;

	NEED_KERNEL();
	pid = CALL(lkl_sys_getpid());
#ifdef LKLTEST_GUEST
	return tap_check(pid > 0);
#else
	return tap_check(pid == 1);
#endif
}

static void time_calls(const char *who, long (*call)(void))
{
	unsigned long long min = ~0ULL, max = 0, sum = 0;
	const int count = 1000;
	int i;

	for (i = 0; i < count; i++) {
		unsigned long long took = lkl_host_ops.time();

		call();
		took = lkl_host_ops.time() - took;
		sum += took;
		if (took < min)
			min = took;
		if (took > max)
			max = took;
	}
	tap_logf("%s: avg/min/max %llu/%llu/%llu ns\n", who, sum / count, min, max);
}

static long call_gettid(void)
{
	return lkl_sys_gettid();
}

static enum tap_result test_syscall_latency(void)
{
	NEED_KERNEL();
	time_calls("kernel", call_gettid);
	time_calls("host", lkl_host_ops.gettid);
	return tap_check(lkl_sys_gettid() > 0);
}

static enum tap_result test_umask(void)
{
	long mask;

	NEED_KERNEL();
	mask = CALL(lkl_sys_umask(0777));
#ifdef LKLTEST_GUEST
	return tap_check(mask >= 0);
#else
	return tap_check(mask == 022);
#endif
}

static enum tap_result test_umask2(void)
{
	NEED_KERNEL();
	return tap_check(CALL(lkl_sys_umask(0)) == 0777);
}

#define FILE_MODE 0721
static const char file_text[] = "test";
static long file_fd = -1;

static enum tap_result test_creat(void)
{
	NEED_KERNEL();
	file_fd = CALL(lkl_sys_creat(in_top("file"), FILE_MODE));
	return tap_check(file_fd >= 0);
}

static enum tap_result test_close(void)
{
	long ret, again;

	NEED_FD(file_fd, "open file");
	ret = CALL(lkl_sys_close(file_fd));
	again = lkl_sys_write(file_fd, file_text, 1);
	tap_logf("a write to it then gives %ld %s\n", again, lkl_strerror(again));
	file_fd = -1;
	return tap_check(!ret && again < 0);
}

static enum tap_result test_failopen(void)
{
	NEED_KERNEL();
	return tap_check(CALL(lkl_sys_open(in_top("file2"), 0, 0)) == -LKL_ENOENT);
}

static enum tap_result test_open(void)
{
	NEED_KERNEL();
	file_fd = CALL(lkl_sys_open(in_top("file"), LKL_O_RDWR, 0));
	return tap_check(file_fd >= 0);
}

static enum tap_result test_write(void)
{
	NEED_FD(file_fd, "open file");
	return tap_check(CALL(lkl_sys_write(file_fd, file_text, sizeof(file_text))) ==
			 sizeof(file_text));
}

static enum tap_result test_lseek_cur(void)
{
	NEED_FD(file_fd, "open file");
	return tap_check(CALL(lkl_sys_lseek(file_fd, 0, LKL_SEEK_CUR)) == sizeof(file_text));
}

static enum tap_result test_lseek_end(void)
{
	NEED_FD(file_fd, "open file");
	return tap_check(CALL(lkl_sys_lseek(file_fd, 0, LKL_SEEK_END)) == sizeof(file_text));
}

static enum tap_result test_lseek_set(void)
{
	NEED_FD(file_fd, "open file");
	return tap_check(CALL(lkl_sys_lseek(file_fd, 0, LKL_SEEK_SET)) == 0);
}

static enum tap_result test_read(void)
{
	char text[2 * sizeof(file_text)] = "";
	long ret, end;

	NEED_FD(file_fd, "open file");
	ret = CALL(lkl_sys_read(file_fd, text, sizeof(text)));
	tap_logf("it holds \"%.*s\"\n", (int)sizeof(file_text), text);
	end = CALL(lkl_sys_read(file_fd, text + sizeof(file_text), 1));
	return tap_check(ret == sizeof(file_text) && !memcmp(text, file_text, sizeof(file_text)) &&
			 end == 0);
}

static enum tap_result test_fstat(void)
{
	struct lkl_stat stat = { 0 };
	long ret;

	NEED_FD(file_fd, "open file");
	ret = CALL(lkl_sys_fstat(file_fd, &stat));
	tap_logf("mode %o, size %ld\n", stat.st_mode, (long)stat.st_size);
	return tap_check(!ret && stat.st_mode == (LKL_S_IFREG | FILE_MODE) &&
			 stat.st_size == sizeof(file_text));
}

static enum tap_result test_mkdir(void)
{
	NEED_KERNEL();
	return tap_check(CALL(lkl_sys_mkdir(in_top("mnt"), FILE_MODE)) == 0 &&
			 CALL(lkl_sys_mkdir(in_top("mnt"), FILE_MODE)) == -LKL_EEXIST);
}

static enum tap_result test_stat(void)
{
	struct lkl_stat stat = { 0 };
	long ret;

	NEED_KERNEL();
	ret = CALL(lkl_sys_stat(in_top("mnt"), &stat));
	tap_logf("mode %o\n", stat.st_mode);
	return tap_check(!ret && stat.st_mode == (LKL_S_IFDIR | FILE_MODE));
}

static enum tap_result test_nanosleep(void)
{
	lkltest_timespec time = { .tv_nsec = 20000000 };
	unsigned long long took;
	long ret;

	NEED_KERNEL();
	took = lkl_host_ops.time();
	ret = CALL(lkl_sys_nanosleep(&time, NULL));
	took = lkl_host_ops.time() - took;
	tap_logf("asked for %ld ns, slept %llu ns\n", (long)time.tv_nsec, took);
	/* The guest's clock and the host's need not run at quite one speed. */
	return tap_check(!ret && took >= (unsigned long long)time.tv_nsec * 9 / 10);
}

static enum tap_result test_pipe2(void)
{
	char text[8] = "";
	int fds[2];
	int good;

	NEED_KERNEL();
	if (CALL(lkl_sys_pipe2(fds, LKL_O_NONBLOCK)) < 0)
		return TAP_FAIL;
	good = CALL(lkl_sys_fcntl(fds[0], LKL_F_GETFL, 0)) & LKL_O_NONBLOCK;
	good = CALL(lkl_sys_read(fds[0], text, sizeof(text))) == -LKL_EAGAIN && good;
	good = CALL(lkl_sys_write(fds[1], "pipe", 5)) == 5 && good;
	good = CALL(lkl_sys_read(fds[0], text, sizeof(text))) == 5 && good;
	tap_logf("it gave \"%.7s\"\n", text);
	good = !strcmp(text, "pipe") && good;
	good = CALL(lkl_sys_close(fds[1])) == 0 && good;
	good = CALL(lkl_sys_read(fds[0], text, sizeof(text))) == 0 && good;
	good = CALL(lkl_sys_close(fds[0])) == 0 && good;
	return tap_check(good);
}

static enum tap_result test_epoll(void)
{
	struct lkl_epoll_event event = { .events = LKL_EPOLLIN }, got = { 0 };
	int fds[2];
	long ep;
	int good;

	NEED_KERNEL();
	if (CALL(lkl_sys_pipe2(fds, 0)) < 0)
		return TAP_FAIL;
	ep = CALL(lkl_sys_epoll_create1(0));
	if (ep < 0)
		return TAP_FAIL;
	memcpy(&event.data, &(uint64_t){ 0x1234567890ULL }, 8);
	good = CALL(lkl_sys_epoll_ctl(ep, LKL_EPOLL_CTL_ADD, fds[0], &event)) == 0;
	good = CALL(lkl_sys_epoll_pwait(ep, &got, 1, 0, NULL, 8)) == 0 && good;
	good = CALL(lkl_sys_write(fds[1], "x", 1)) == 1 && good;
	good = CALL(lkl_sys_epoll_pwait(ep, &got, 1, 1000, NULL, 8)) == 1 && good;
	tap_logf("events %#x\n", (unsigned int)got.events);
	good = got.events == LKL_EPOLLIN && !memcmp(&got.data, &event.data, 8) && good;
	good = CALL(lkl_sys_close(fds[1])) == 0 && good;
	good = CALL(lkl_sys_epoll_pwait(ep, &got, 1, 1000, NULL, 8)) == 1 && good;
	tap_logf("events %#x after the writer closed\n", (unsigned int)got.events);
	good = (got.events & LKL_EPOLLHUP) && good;
	lkl_sys_close(ep);
	lkl_sys_close(fds[0]);
	return tap_check(good);
}

static int proc_is_ours;

static enum tap_result test_mount_fs_proc(void)
{
	long ret;

	NEED_KERNEL();
	ret = CALL(lkl_mount_fs("proc"));
	proc_is_ours = ret == 0;
#ifdef LKLTEST_GUEST
	if (ret == 1)
		return tap_skip("the guest had /proc mounted before");
#endif
	return tap_check(ret == 0);
}

static enum tap_result test_chdir_proc(void)
{
	NEED_KERNEL();
	return tap_check(CALL(lkl_sys_chdir("/proc")) == 0);
}

static long dir_fd = -1;

static enum tap_result test_open_cwd(void)
{
	NEED_KERNEL();
	dir_fd = CALL(lkl_sys_open(".", LKL_O_RDONLY | LKL_O_DIRECTORY, 0));
	return tap_check(dir_fd >= 0);
}

static enum tap_result test_getdents64(void)
{
	static const char * const expected[] = { ".", "..", "meminfo", "mounts", "stat" };
	static char buffer[4096] __attribute__((aligned(8)));
	int found = 0, count = 0, column = 0, i;
	long ret;

	NEED_FD(dir_fd, "open directory");
	while ((ret = lkl_sys_getdents64(dir_fd, (void *)buffer, sizeof(buffer))) > 0) {
		long at = 0;

		while (at < ret) {
			struct lkl_linux_dirent64 *entry = (void *)(buffer + at);

			if (column + strlen(entry->d_name) > 76) {
				tap_log("\n", 1);
				column = 0;
			}
			tap_logf("%s ", entry->d_name);
			column += strlen(entry->d_name) + 1;
			for (i = 0; i < TAP_COUNT(expected); i++)
				found += !strcmp(entry->d_name, expected[i]);
			count++;
			at += entry->d_reclen;
		}
	}
	tap_logf("\n%d entries, then lkl_sys_getdents64() = %ld\n", count, ret);
	return tap_check(ret == 0 && found == TAP_COUNT(expected));
}

static enum tap_result test_close_dir_fd(void)
{
	long ret;

	NEED_FD(dir_fd, "open directory");
	ret = CALL(lkl_sys_close(dir_fd));
	dir_fd = -1;
	return tap_check(ret == 0);
}

static enum tap_result test_chdir_root(void)
{
	NEED_KERNEL();
	return tap_check(CALL(lkl_sys_chdir("/")) == 0);
}

static enum tap_result test_umount_fs_proc(void)
{
	NEED_KERNEL();
	if (!proc_is_ours)
		return tap_skip("this test did not mount /proc");
	return tap_check(CALL(lkl_umount_timeout("/proc", 0, 1000)) == 0 &&
			 CALL(lkl_sys_open("/proc/stat", LKL_O_RDONLY, 0)) == -LKL_ENOENT);
}

static enum tap_result test_lo_ifup(void)
{
	NEED_KERNEL();
	return tap_check(CALL(lkl_if_up(1)) == 0);
}

static void store_host_tid(void *arg)
{
	*(long *)arg = lkl_host_ops.gettid();
}

static enum tap_result test_gettid(void)
{
	long mine = CALL(lkl_host_ops.gettid()), other = mine;

	lkl_host_ops.thread_join(lkl_host_ops.thread_create(store_host_tid, &other));
	tap_logf("another thread has %ld\n", other);
	return tap_check(mine > 0 && other > 0 && mine != other &&
			 mine == lkl_host_ops.gettid());
}

struct worker {
	long tid;
	int fds[2];
	int number;
	int good;
};

/* Makes system calls of its own: what one thread writes, another must read. */
static void worker(void *arg)
{
	struct worker *self = arg;

	self->tid = lkl_sys_gettid();
	self->good = lkl_sys_write(self->fds[1], (char *)&self->number, sizeof(self->number)) ==
		     sizeof(self->number);
}

static enum tap_result run_workers(struct worker *workers, int count)
{
	lkl_thread_t threads[count];
	long mine = lkl_sys_gettid();
	int i, j, good = 0;

	for (i = 0; i < count; i++) {
		workers[i].number = 1000 + i;
		if (lkl_sys_pipe2(workers[i].fds, 0) < 0) {
			tap_logf("no pipe for thread %d\n", i);
			return TAP_FAIL;
		}
	}
	for (i = 0; i < count; i++)
		threads[i] = lkl_host_ops.thread_create(worker, &workers[i]);
	for (i = 0; i < count; i++) {
		int got = 0, distinct;

		/* Blocks in the kernel until the thread has written. */
		if (threads[i])
			lkl_sys_read(workers[i].fds[0], (char *)&got, sizeof(got));
		if (threads[i])
			lkl_host_ops.thread_join(threads[i]);
		distinct = workers[i].tid > 0 && workers[i].tid != mine;
		for (j = 0; j < i; j++)
			distinct &= count > 32 || workers[j].tid != workers[i].tid;
		if (got == workers[i].number && workers[i].good && distinct)
			good++;
		else
			tap_logf("thread %d: tid %ld, wrote %d, read %d\n", i, workers[i].tid,
				 workers[i].number, got);
		lkl_sys_close(workers[i].fds[0]);
		lkl_sys_close(workers[i].fds[1]);
	}
	tap_logf("%d of %d threads made their system calls; main has tid %ld, the first %ld\n",
		 good, count, mine, workers[0].tid);
	return tap_check(good == count);
}

static enum tap_result test_syscall_thread(void)
{
	struct worker one[1] = { 0 };

	NEED_KERNEL();
	return run_workers(one, 1);
}

static enum tap_result test_many_syscall_threads(void)
{
	static struct worker many[32];
	int round;

	NEED_KERNEL();
	/* Several times over: a thread that ended must give back what it had. */
	for (round = 0; round < 4; round++) {
		memset(many, 0, sizeof(many));
		if (run_workers(many, TAP_COUNT(many)) != TAP_OK)
			return TAP_FAIL;
	}
	return TAP_OK;
}

static enum tap_result test_stop_kernel(void)
{
	NEED_KERNEL();
#ifdef LKLTEST_GUEST
	CALL(lkl_sys_unlink(in_top("file")));
	CALL(lkl_sys_rmdir(in_top("mnt")));
	CALL(lkl_sys_rmdir(top));
#endif
	return tap_check(CALL(lkl_sys_halt()) == 0 && !lkl_is_running());
}

static const struct tap_point points[] = {
	TAP_POINT(mutex),
	TAP_POINT(semaphore),
	TAP_POINT(join),
	TAP_POINT(timer),
	TAP_POINT(tls),
	TAP_POINT(start_kernel),
	TAP_POINT(getpid),
	TAP_POINT(syscall_latency),
	TAP_POINT(umask),
	TAP_POINT(umask2),
	TAP_POINT(creat),
	TAP_POINT(close),
	TAP_POINT(failopen),
	TAP_POINT(open),
	TAP_POINT(write),
	TAP_POINT(lseek_cur),
	TAP_POINT(lseek_end),
	TAP_POINT(lseek_set),
	TAP_POINT(read),
	TAP_POINT(fstat),
	TAP_POINT(mkdir),
	TAP_POINT(stat),
	TAP_POINT(nanosleep),
	TAP_POINT(pipe2),
	TAP_POINT(epoll),
	TAP_POINT(mount_fs_proc),
	TAP_POINT(chdir_proc),
	TAP_POINT(open_cwd),
	TAP_POINT(getdents64),
	TAP_POINT(close_dir_fd),
	TAP_POINT(chdir_root),
	TAP_POINT(umount_fs_proc),
	TAP_POINT(lo_ifup),
	TAP_POINT(gettid),
	TAP_POINT(syscall_thread),
	TAP_POINT(many_syscall_threads),
	TAP_POINT(stop_kernel),
};

int main(int argc, char **argv)
{
	int failed;

	if (argc > 1) {
		fprintf(stderr, "usage: %s\n", argv[0]);
		return 255;
	}
	lkl_host_ops.print = tap_log;
	if (lkltest_init() < 0) {
		fprintf(stderr, "%s: lkl_init() failed\n", argv[0]);
		return 1;
	}
	failed = tap_run(points, TAP_COUNT(points), "boot");
	lkltest_cleanup();
	return failed;
}
