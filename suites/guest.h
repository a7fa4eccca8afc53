/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * LKL's API on top of libc, as far as the suite programs use it, for programs
 * that run as ordinary processes inside of a Linux guest. System calls return
 * -errno as LKL's do. The kernel under test is the guest's: it runs already,
 * and ending the test leaves it running.
 */
#ifndef LKLTEST_GUEST_H
#define LKLTEST_GUEST_H

#ifndef _GNU_SOURCE
#error "compile with -D_GNU_SOURCE"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <net/route.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "host_ops.h"
#include "tap.h"

#define LKL_EADDRNOTAVAIL EADDRNOTAVAIL
#define LKL_EAFNOSUPPORT EAFNOSUPPORT
#define LKL_EAGAIN EAGAIN
#define LKL_ECONNREFUSED ECONNREFUSED
#define LKL_EEXIST EEXIST
#define LKL_EINPROGRESS EINPROGRESS
#define LKL_ENODEV ENODEV
#define LKL_ENOENT ENOENT
#define LKL_ETIMEDOUT ETIMEDOUT

#define LKL_O_CREAT O_CREAT
#define LKL_O_DIRECTORY O_DIRECTORY
#define LKL_O_NONBLOCK O_NONBLOCK
#define LKL_O_RDONLY O_RDONLY
#define LKL_O_RDWR O_RDWR
#define LKL_O_TRUNC O_TRUNC
#define LKL_O_WRONLY O_WRONLY

#define LKL_SEEK_SET SEEK_SET
#define LKL_SEEK_CUR SEEK_CUR
#define LKL_SEEK_END SEEK_END
#define LKL_F_GETFL F_GETFL
#define LKL_S_IFDIR S_IFDIR
#define LKL_S_IFREG S_IFREG

#define LKL_EPOLLIN EPOLLIN
#define LKL_EPOLLHUP EPOLLHUP
#define LKL_EPOLL_CTL_ADD EPOLL_CTL_ADD
#define LKL_POLLIN POLLIN
#define LKL_POLLOUT POLLOUT

#define LKL_SOCK_STREAM SOCK_STREAM
#define LKL_SOCK_RAW SOCK_RAW
#define LKL_SOL_SOCKET SOL_SOCKET
#define LKL_SO_ERROR SO_ERROR
#define LKL_SO_REUSEADDR SO_REUSEADDR

#define lkl_stat stat
#define lkl_epoll_event epoll_event
#define lkl_pollfd pollfd
#define lkl_sockaddr sockaddr
#define lkl_linux_dirent64 dirent64

typedef struct timespec lkltest_timespec;

static inline long guest_return(long ret)
{
	return ret < 0 ? -errno : ret;
}

static inline const char *lkl_strerror(int err)
{
	return strerror(-err);
}

#define lkl_sys_getpid() guest_return(getpid())
#define lkl_sys_gettid() guest_return(syscall(SYS_gettid))
#define lkl_sys_umask(...) guest_return(umask(__VA_ARGS__))
#define lkl_sys_creat(...) guest_return(creat(__VA_ARGS__))
#define lkl_sys_open(...) guest_return(open(__VA_ARGS__))
#define lkl_sys_close(...) guest_return(close(__VA_ARGS__))
#define lkl_sys_read(...) guest_return(read(__VA_ARGS__))
#define lkl_sys_write(...) guest_return(write(__VA_ARGS__))
#define lkl_sys_lseek(...) guest_return(lseek(__VA_ARGS__))
#define lkl_sys_mkdir(...) guest_return(mkdir(__VA_ARGS__))
#define lkl_sys_rmdir(...) guest_return(rmdir(__VA_ARGS__))
#define lkl_sys_unlink(...) guest_return(unlink(__VA_ARGS__))
#define lkl_sys_chdir(...) guest_return(chdir(__VA_ARGS__))
#define lkl_sys_fsync(...) guest_return(fsync(__VA_ARGS__))
#define lkl_sys_fcntl(...) guest_return(fcntl(__VA_ARGS__))
#define lkl_sys_pipe2(...) guest_return(pipe2(__VA_ARGS__))
#define lkl_sys_nanosleep(...) guest_return(nanosleep(__VA_ARGS__))
#define lkl_sys_getdents64(...) guest_return(syscall(SYS_getdents64, __VA_ARGS__))
#define lkl_sys_epoll_create1(...) guest_return(epoll_create1(__VA_ARGS__))
#define lkl_sys_epoll_ctl(...) guest_return(epoll_ctl(__VA_ARGS__))
#define lkl_sys_epoll_pwait(fd, events, count, timeout, mask, size) \
	guest_return(epoll_pwait(fd, events, count, timeout, mask))
#define lkl_sys_ppoll(fds, count, timeout, mask, size) \
	guest_return(ppoll(fds, count, timeout, mask))
#define lkl_sys_socket(...) guest_return(socket(__VA_ARGS__))
#define lkl_sys_bind(...) guest_return(bind(__VA_ARGS__))
#define lkl_sys_listen(...) guest_return(listen(__VA_ARGS__))
#define lkl_sys_accept4(fd, addr, len, flags) \
	guest_return(accept4(fd, addr, (socklen_t *)(len), flags))
#define lkl_sys_connect(...) guest_return(connect(__VA_ARGS__))
#define lkl_sys_shutdown(...) guest_return(shutdown(__VA_ARGS__))
#define lkl_sys_sendto(...) guest_return(sendto(__VA_ARGS__))
#define lkl_sys_recvfrom(fd, data, len, flags, addr, addr_len) \
	guest_return(recvfrom(fd, data, len, flags, addr, (socklen_t *)(addr_len)))
#define lkl_sys_setsockopt(...) guest_return(setsockopt(__VA_ARGS__))
#define lkl_sys_getsockopt(fd, level, name, data, len) \
	guest_return(getsockopt(fd, level, name, data, (socklen_t *)(len)))

static inline long lkl_sys_fstat(int fd, struct stat *buffer)
{
	return guest_return(fstat(fd, buffer));
}

static inline long lkl_sys_stat(const char *path, struct stat *buffer)
{
	return guest_return(stat(path, buffer));
}

static int guest_running;

static inline int lkltest_init(void)
{
	return 0;
}

static inline void lkltest_cleanup(void)
{
}

static inline int lkltest_start_kernel(int megabytes, const char *extra)
{
	struct utsname name;

	if (uname(&name) < 0)
		return -errno;
	tap_logf("running already: %s version %s (%s)\n", name.sysname, name.release, name.version);
	guest_running = 1;
	return 0;
}

static inline int lkl_is_running(void)
{
	return guest_running;
}

static inline long lkl_sys_halt(void)
{
	sync();
	guest_running = 0;
	return 0;
}

/* 0: mounted; 1: was mounted before, as LKL's. */
static inline int lkl_mount_fs(const char *fstype)
{
	char path[64];
	struct stat before, root;

	snprintf(path, sizeof(path), "/%s", fstype);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	/* proc can be mounted a second time over itself: ask first. */
	if (!stat(path, &before) && !stat("/", &root) && before.st_dev != root.st_dev)
		return 1;
	if (mount("none", path, fstype, 0, NULL) < 0)
		return errno == EBUSY ? 1 : -errno;
	return 0;
}

static inline long lkl_umount_timeout(const char *path, int flags, long timeout_ms)
{
	static const struct timespec pause = { .tv_nsec = 10000000 };

	while (umount2(path, flags) < 0) {
		if (errno != EBUSY || timeout_ms <= 0)
			return -errno;
		nanosleep(&pause, NULL);
		timeout_ms -= 10;
	}
	return 0;
}

static inline int guest_if_name(int sock, int ifindex, struct ifreq *request)
{
	memset(request, 0, sizeof(*request));
	request->ifr_ifindex = ifindex;
	return ioctl(sock, SIOCGIFNAME, request);
}

/*
 * A network card finds its cable seconds after it is up, and drops what is sent
 * before: one that has none after ten seconds is left to the echoes to report.
 */
static inline void guest_wait_for_carrier(int sock, struct ifreq *request)
{
	const struct timespec moment = { .tv_nsec = 10 * 1000 * 1000 };
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (ioctl(sock, SIOCGIFFLAGS, request) < 0 ||
		    request->ifr_flags & IFF_RUNNING)
			return;
		nanosleep(&moment, NULL);
	}
}

static inline int lkl_if_up(int ifindex)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request;
	int err = 0;

	if (sock < 0)
		return -errno;
	if (guest_if_name(sock, ifindex, &request) < 0 ||
	    ioctl(sock, SIOCGIFFLAGS, &request) < 0) {
		err = -errno;
	} else {
		request.ifr_flags |= IFF_UP;
		if (ioctl(sock, SIOCSIFFLAGS, &request) < 0)
			err = -errno;
		else
			guest_wait_for_carrier(sock, &request);
	}
	close(sock);
	return err;
}

static inline int lkl_if_set_ipv4(int ifindex, unsigned int addr, unsigned int netmask_len)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in *in;
	struct ifreq request;
	int err = 0;

	if (sock < 0)
		return -errno;
	if (guest_if_name(sock, ifindex, &request) < 0) {
		err = -errno;
		goto out;
	}
	in = (struct sockaddr_in *)&request.ifr_addr;
	memset(in, 0, sizeof(*in));
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = addr;
	if (ioctl(sock, SIOCSIFADDR, &request) < 0) {
		err = -errno;
		goto out;
	}
	in->sin_addr.s_addr = htonl(netmask_len ? ~0U << (32 - netmask_len) : 0);
	if (ioctl(sock, SIOCSIFNETMASK, &request) < 0)
		err = -errno;
out:
	close(sock);
	return err;
}

static inline int lkl_set_ipv4_gateway(unsigned int addr)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in *in = (struct sockaddr_in *)&route.rt_gateway;
	int err = 0;

	if (sock < 0)
		return -errno;
	route.rt_dst.sa_family = AF_INET;
	route.rt_genmask.sa_family = AF_INET;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = addr;
	if (ioctl(sock, SIOCADDRT, &route) < 0)
		err = -errno;
	close(sock);
	return err;
}

/* linux/ipv6.h, which cannot be included beside netinet/in.h. */
struct guest_in6_ifreq {
	struct in6_addr addr;
	uint32_t prefixlen;
	int ifindex;
};

static inline int lkl_if_set_ipv6(int ifindex, void *addr, unsigned int netprefix_len)
{
	struct guest_in6_ifreq request = { .prefixlen = netprefix_len, .ifindex = ifindex };
	int sock = socket(AF_INET6, SOCK_DGRAM, 0);
	int err = 0;

	if (sock < 0)
		return -errno;
	memcpy(&request.addr, addr, sizeof(request.addr));
	if (ioctl(sock, SIOCSIFADDR, &request) < 0)
		err = -errno;
	close(sock);
	return err;
}

/* ---- disks: the block device is there already, only its name is needed ---- */

struct lkl_disk {
	int fd;
};

static char guest_disk[256];
static char guest_mount[64];

/*
 * Takes the descriptor for the name behind it, and closes it: a kernel may
 * refuse to mount what somebody has open for writing.
 */
static inline int lkl_disk_add(struct lkl_disk *disk)
{
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", disk->fd);
	len = readlink(link, guest_disk, sizeof(guest_disk) - 8);
	if (len < 0)
		return -errno;
	guest_disk[len] = 0;
	close(disk->fd);
	disk->fd = -1;
	return 0;
}

static inline int lkl_disk_remove(struct lkl_disk disk)
{
	return 0;
}

static inline long lkl_mount_dev(unsigned int disk_id, unsigned int part, const char *fs_type,
				 int flags, const char *opts, char *mnt_str,
				 unsigned int mnt_str_len)
{
	char device[sizeof(guest_disk) + 16];
	size_t len = strlen(guest_disk);

	if (!part)
		snprintf(device, sizeof(device), "%s", guest_disk);
	else if (len && guest_disk[len - 1] >= '0' && guest_disk[len - 1] <= '9')
		snprintf(device, sizeof(device), "%sp%u", guest_disk, part);
	else
		snprintf(device, sizeof(device), "%s%u", guest_disk, part);

	snprintf(guest_mount, sizeof(guest_mount), "/lkltest-disk-%d", (int)getpid());
	if (mkdir(guest_mount, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (mount(device, guest_mount, fs_type, flags, opts) < 0) {
		int err = errno;

		rmdir(guest_mount);
		return -err;
	}
	snprintf(mnt_str, mnt_str_len, "%s", guest_mount);
	return 0;
}

static inline long lkl_umount_dev(unsigned int disk_id, unsigned int part, int flags,
				  long timeout_ms)
{
	long ret = lkl_umount_timeout(guest_mount, flags, timeout_ms);

	return ret ? ret : guest_return(rmdir(guest_mount));
}

struct lkl_dir;

static inline struct lkl_dir *lkl_opendir(const char *path, int *err)
{
	DIR *dir = opendir(path);

	*err = dir ? 0 : -errno;
	return (struct lkl_dir *)dir;
}

static inline struct lkl_linux_dirent64 *lkl_readdir(struct lkl_dir *dir)
{
	errno = 0;
	return readdir64((DIR *)dir);
}

/* Right after lkl_readdir() gave NULL. */
static inline int lkl_errdir(struct lkl_dir *dir)
{
	return -errno;
}

static inline int lkl_closedir(struct lkl_dir *dir)
{
	return guest_return(closedir((DIR *)dir));
}

#endif
