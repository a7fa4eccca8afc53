// SPDX-License-Identifier: GPL-2.0-only
/*
 * disk: mount an image, write a tree of files, read it back with a checksum,
 * unmount, and do it again after a second mount, which no cache can answer.
 *
 * The image is the caller's. It is opened, never made and never deleted.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef _WIN32
#include <windows.h>
#endif

#include "tap.h"
#include "lkl_compat.h"
#include "random_data.h"

#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif

static struct {
	const char *image;
	const char *fstype;
	unsigned int partition;
} options;

static struct lkl_disk disk;
static int disk_id = -1;
static int mounted;
static char mount_point[64];

/* ---- the tree ---- */

static const char * const directories[] = {
	"lkltest", "lkltest/one", "lkltest/one/two", "lkltest/a name with spaces, long enough",
	"lkltest/many",
};

#define MANY 4			/* of directories[]: small files, many of them */
#define MANY_FILES 150

/* Around the sizes where block, page and extent boundaries lie. */
static const unsigned int sizes[] = { 0, 1, 511, 512, 4095, 4097, 65539, 1048583 };
#define BIG_FILE (5 * 1048576 + 13)

#define MAX_FILES (TAP_COUNT(directories) * TAP_COUNT(sizes) + 1 + MANY_FILES)

static struct file {
	int directory;
	unsigned int size;
	uint64_t checksum;
	int present;
	int seen;
	char name[32];
} files[MAX_FILES];
static int file_count;
static int tree_written;

static void add_file(int directory, unsigned int size)
{
	struct file *file = &files[file_count];

	file->directory = directory;
	file->size = size;
	snprintf(file->name, sizeof(file->name), "file-%03d-%u.data", file_count, size);
	file_count++;
}

static void plan_tree(void)
{
	int i, j;

	file_count = 0;
	for (i = 0; i < MANY; i++)
		for (j = 0; j < TAP_COUNT(sizes); j++)
			add_file(i, sizes[j]);
	add_file(0, BIG_FILE);
	for (i = 0; i < MANY_FILES; i++)
		add_file(MANY, 100 + i);
}

static const char *directory_path(int directory)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", mount_point, directories[directory]);
	return path;
}

static const char *file_path(const struct file *file)
{
	static char path[320];

	snprintf(path, sizeof(path), "%s/%s/%s", mount_point, directories[file->directory],
		 file->name);
	return path;
}

/* FNV-1a by words; the tail of a buffer is padded with zeroes. */
static uint64_t checksum_add(uint64_t sum, const char *data, size_t len)
{
	while (len) {
		size_t part = len < 8 ? len : 8;
		uint64_t word = 0;

		memcpy(&word, data, part);
		sum = (sum ^ word) * FNV_PRIME;
		sum ^= sum >> 32;
		data += part;
		len -= part;
	}
	return sum;
}

/* Odd in bytes, so that writes begin and end in the middle of blocks. */
#define CHUNK (8 * 5003)
static char chunk[CHUNK];

/* At most a few, or a broken disk drowns its own message. */
static int complaints;

static int complain(const struct file *file, const char *what, long ret)
{
	if (complaints++ < 10)
		tap_logf("%s: %s: %ld %s\n", file_path(file), what, ret,
			 ret < 0 ? lkl_strerror(ret) : "");
	return 0;
}

static int write_file(struct file *file)
{
	struct random random = { 0x9e3779b97f4a7c15ULL * (file - files + 1) };
	uint64_t sum = FNV_START;
	unsigned int left = file->size;
	long fd, ret;

	fd = lkl_sys_open(file_path(file), LKL_O_WRONLY | LKL_O_CREAT | LKL_O_TRUNC, 0644);
	if (fd < 0)
		return complain(file, "open to write", fd);
	while (left) {
		unsigned int part = left < CHUNK ? left : CHUNK, done;

		random_fill(&random, chunk, part);
		for (done = 0; done < part; done += ret) {
			ret = lkl_sys_write(fd, chunk + done, part - done);
			if (ret <= 0) {
				lkl_sys_close(fd);
				return complain(file, "write", ret);
			}
		}
		sum = checksum_add(sum, chunk, part);
		left -= part;
	}
	file->checksum = sum;
	if (file->size >= BIG_FILE) {
		ret = lkl_sys_fsync(fd);
		if (ret) {
			lkl_sys_close(fd);
			return complain(file, "fsync", ret);
		}
	}
	ret = lkl_sys_close(fd);
	if (ret)
		return complain(file, "close", ret);
	file->present = 1;
	return 1;
}

static int read_file(const struct file *file)
{
	uint64_t sum = FNV_START;
	struct lkl_stat stat = { 0 };
	unsigned long got = 0;
	unsigned int done;
	long fd, ret;

	fd = lkl_sys_open(file_path(file), LKL_O_RDONLY, 0);
	if (fd < 0)
		return complain(file, "open to read", fd);
	ret = lkl_sys_fstat(fd, &stat);
	if (!ret && (unsigned long)stat.st_size != file->size)
		complain(file, "its size is", stat.st_size);
	do {
		/* Chunks as they were written: the checksum pads each one. */
		for (done = 0; done < CHUNK; done += ret) {
			ret = lkl_sys_read(fd, chunk + done, CHUNK - done);
			if (ret <= 0)
				break;
		}
		sum = checksum_add(sum, chunk, done);
		got += done;
	} while (ret > 0);
	lkl_sys_close(fd);
	if (ret < 0)
		return complain(file, "read", ret);
	if (got != file->size)
		return complain(file, "bytes read", got);
	if (sum != file->checksum) {
		if (complaints++ < 10)
			tap_logf("%s: checksum %016llx, was written as %016llx\n", file_path(file),
				 (unsigned long long)sum, (unsigned long long)file->checksum);
		return 0;
	}
	return (unsigned long)stat.st_size == file->size;
}

static uint64_t tree_checksum(unsigned long *bytes, int *count)
{
	uint64_t sum = FNV_START;
	int i;

	*bytes = 0;
	*count = 0;
	for (i = 0; i < file_count; i++) {
		if (!files[i].present)
			continue;
		sum = checksum_add(sum, (const char *)&files[i].checksum, 8);
		*bytes += files[i].size;
		++*count;
	}
	return sum;
}

/* ---- points ---- */

#define NEED_MOUNT() \
	do { \
		if (!mounted) \
			return tap_skip("nothing is mounted"); \
	} while (0)

#define NEED_TREE() \
	do { \
		NEED_MOUNT(); \
		if (!tree_written) \
			return tap_skip("the tree was not written"); \
	} while (0)

static enum tap_result test_disk_add(void)
{
#ifdef _WIN32
	disk.handle = CreateFileA(options.image, GENERIC_READ | GENERIC_WRITE, 0, NULL,
				  OPEN_EXISTING, 0, NULL);
	if (disk.handle == INVALID_HANDLE_VALUE) {
		tap_logf("%s: error %lu\n", options.image, GetLastError());
		return TAP_FAIL;
	}
#else
	disk.fd = open(options.image, O_RDWR | O_CLOEXEC);
	if (disk.fd < 0) {
		tap_logf("%s: %s\n", options.image, strerror(errno));
		return TAP_FAIL;
	}
#endif
	disk_id = CALL(lkl_disk_add(&disk));
	return tap_check(disk_id >= 0);
}

static enum tap_result test_start_kernel(void)
{
	return tap_check(CALL(lkltest_start_kernel(128, "")) == 0 && lkl_is_running());
}

static enum tap_result mount_disk(void)
{
	long ret;

	if (!lkl_is_running())
		return tap_skip("the kernel is not running");
	if (disk_id < 0)
		return tap_skip("there is no disk");
	ret = lkl_mount_dev(disk_id, options.partition, options.fstype, 0, NULL, mount_point,
			    sizeof(mount_point));
	tap_logf("lkl_mount_dev(%d, %u, \"%s\") = %ld %s\n", disk_id, options.partition,
		 options.fstype, ret, ret < 0 ? lkl_strerror(ret) : mount_point);
	mounted = !ret;
	return tap_check(mounted);
}

static enum tap_result umount_disk(void)
{
	long ret;

	NEED_MOUNT();
	lkl_sys_chdir("/");
	ret = lkl_umount_dev(disk_id, options.partition, 0, 5000);
	tap_logf("lkl_umount_dev(%d, %u) = %ld %s\n", disk_id, options.partition, ret,
		 ret < 0 ? lkl_strerror(ret) : "");
	if (!ret)
		mounted = 0;
	return tap_check(!ret);
}

static enum tap_result test_mount_dev(void)
{
	return mount_disk();
}

static enum tap_result test_chdir_mnt_point(void)
{
	NEED_MOUNT();
	return tap_check(CALL(lkl_sys_chdir(mount_point)) == 0);
}

static enum tap_result test_write_tree(void)
{
	unsigned long bytes;
	int i, count, good = 1;
	uint64_t sum;

	NEED_MOUNT();
	plan_tree();
	complaints = 0;
	for (i = 0; i < TAP_COUNT(directories); i++) {
		long ret = lkl_sys_mkdir(directory_path(i), 0755);

		/* An image may be used for more than one run. */
		if (ret && ret != -LKL_EEXIST) {
			tap_logf("mkdir %s: %ld %s\n", directory_path(i), ret, lkl_strerror(ret));
			return TAP_FAIL;
		}
	}
	for (i = 0; i < file_count; i++)
		good &= write_file(&files[i]);
	sum = tree_checksum(&bytes, &count);
	tap_logf("wrote %d of %d files in %d directories, %lu bytes, checksum %016llx\n", count,
		 file_count, TAP_COUNT(directories), bytes, (unsigned long long)sum);
	tree_written = good;
	return tap_check(good);
}

static enum tap_result read_tree(void)
{
	int i, good = 0, present = 0;

	NEED_TREE();
	complaints = 0;
	for (i = 0; i < file_count; i++) {
		if (!files[i].present)
			continue;
		present++;
		good += read_file(&files[i]);
	}
	tap_logf("%d of %d files have the checksum they were written with\n", good, present);
	return tap_check(good == present);
}

static enum tap_result test_read_tree(void)
{
	return read_tree();
}

static int is_directory_of(const char *name, int parent)
{
	size_t len = strlen(directories[parent]);
	int i;

	for (i = 0; i < TAP_COUNT(directories); i++)
		if (!strncmp(directories[i], directories[parent], len) &&
		    directories[i][len] == '/' && !strcmp(directories[i] + len + 1, name))
			return 1;
	return 0;
}

/* Each file once, nothing that was not written, nothing missing. */
static int list_directory(int directory)
{
	struct lkl_linux_dirent64 *entry;
	int i, err = 0, entries = 0, good = 1;
	struct lkl_dir *dir;

	dir = lkl_opendir(directory_path(directory), &err);
	if (!dir) {
		tap_logf("lkl_opendir(%s): %d %s\n", directory_path(directory), err,
			 lkl_strerror(err));
		return 0;
	}
	while ((entry = lkl_readdir(dir))) {
		entries++;
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    is_directory_of(entry->d_name, directory))
			continue;
		for (i = 0; i < file_count; i++)
			if (files[i].directory == directory && files[i].present &&
			    !strcmp(files[i].name, entry->d_name))
				break;
		if (i < file_count) {
			files[i].seen++;
		} else {
			tap_logf("%s: unexpected entry \"%s\"\n", directory_path(directory),
				 entry->d_name);
			good = 0;
		}
	}
	err = lkl_errdir(dir);
	if (err) {
		tap_logf("lkl_readdir(): %d %s\n", err, lkl_strerror(err));
		good = 0;
	}
	err = lkl_closedir(dir);
	if (err) {
		tap_logf("lkl_closedir(): %d %s\n", err, lkl_strerror(err));
		good = 0;
	}
	tap_logf("%s: %d entries\n", directory_path(directory), entries);
	return good;
}

static enum tap_result list_tree(void)
{
	int i, good = 1;

	NEED_TREE();
	complaints = 0;
	for (i = 0; i < file_count; i++)
		files[i].seen = 0;
	for (i = 0; i < TAP_COUNT(directories); i++)
		if (i != MANY || files[file_count - 1].present)
			good &= list_directory(i);
	for (i = 0; i < file_count; i++)
		if (files[i].seen != files[i].present)
			good = complain(&files[i], "times in its directory", files[i].seen);
	return tap_check(good);
}

static enum tap_result test_readdir(void)
{
	return list_tree();
}

static enum tap_result test_umount_dev(void)
{
	return umount_disk();
}

static enum tap_result test_remount_dev(void)
{
	if (mounted)
		return tap_skip("it is still mounted");
	if (!tree_written)
		return tap_skip("the tree was not written");
	return mount_disk();
}

static enum tap_result test_readdir_again(void)
{
	return list_tree();
}

static enum tap_result test_read_tree_again(void)
{
	return read_tree();
}

/* Freeing is for the checker to look at as well; the rest of the tree stays. */
static enum tap_result test_remove_files(void)
{
	int i, removed = 0, wanted = 0;
	long ret;

	NEED_TREE();
	complaints = 0;
	for (i = 0; i < file_count; i++) {
		if (files[i].directory != MANY && files[i].size != BIG_FILE)
			continue;
		wanted++;
		ret = lkl_sys_unlink(file_path(&files[i]));
		if (ret) {
			complain(&files[i], "unlink", ret);
			continue;
		}
		files[i].present = 0;
		removed++;
	}
	tap_logf("removed %d of %d files\n", removed, wanted);
	ret = lkl_sys_rmdir(directory_path(MANY));
	tap_logf("rmdir %s: %ld %s\n", directory_path(MANY), ret, ret ? lkl_strerror(ret) : "");
	return tap_check(removed == wanted && !ret && list_tree() == TAP_OK);
}

static enum tap_result test_umount_again(void)
{
	return umount_disk();
}

static enum tap_result test_stop_kernel(void)
{
	if (!lkl_is_running())
		return tap_skip("the kernel is not running");
	return tap_check(CALL(lkl_sys_halt()) == 0 && !lkl_is_running());
}

static enum tap_result test_disk_remove(void)
{
	long ret;

	if (disk_id < 0)
		return tap_skip("there is no disk");
	ret = CALL(lkl_disk_remove(disk));
#ifdef _WIN32
	if (!CloseHandle(disk.handle))
		return TAP_FAIL;
#else
	/* What the host could not write may not be known before this. */
	if (disk.fd >= 0 && (fsync(disk.fd) || close(disk.fd))) {
		tap_logf("%s: %s\n", options.image, strerror(errno));
		return TAP_FAIL;
	}
#endif
	return tap_check(ret == 0);
}

static const struct tap_point points[] = {
	TAP_POINT(disk_add),
	TAP_POINT(start_kernel),
	TAP_POINT(mount_dev),
	TAP_POINT(chdir_mnt_point),
	TAP_POINT(write_tree),
	TAP_POINT(read_tree),
	TAP_POINT(readdir),
	TAP_POINT(umount_dev),
	TAP_POINT(remount_dev),
	TAP_POINT(readdir_again),
	TAP_POINT(read_tree_again),
	TAP_POINT(remove_files),
	TAP_POINT(umount_again),
	TAP_POINT(stop_kernel),
	TAP_POINT(disk_remove),
};

static int usage(const char *program)
{
	fprintf(stderr, "usage: %s -d FILE -t FSTYPE [-P PARTITION]\n", program);
	return 255;
}

int main(int argc, char **argv)
{
	int option, failed;
	char *end;

	while ((option = getopt(argc, argv, "d:t:P:")) != -1) {
		switch (option) {
		case 'd':
			options.image = optarg;
			break;
		case 't':
			options.fstype = optarg;
			break;
		case 'P':
			options.partition = strtoul(optarg, &end, 10);
			if (!*optarg || *end)
				return usage(argv[0]);
			break;
		default:
			return usage(argv[0]);
		}
	}
	if (optind < argc || !options.image || !options.fstype)
		return usage(argv[0]);

	lkl_host_ops.print = tap_log;
	if (lkltest_init() < 0) {
		fprintf(stderr, "%s: lkl_init() failed\n", argv[0]);
		return 1;
	}
	failed = tap_run(points, TAP_COUNT(points), "disk %s", options.fstype);
	lkltest_cleanup();
	return failed;
}
