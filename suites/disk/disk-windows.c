// SPDX-License-Identifier: GPL-2.0-only
/*
 * disk without a kernel: what LKL's Windows host does with a disk image by
 * path, on the same command line. The image is the same afterwards, which the
 * file system's own checker confirms.
 */
#include <windows.h>

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define SECTOR 512
#define AREA (64 * 1024)

static struct {
	const char *image;
	const char *fstype;
} options;

static HANDLE disk = INVALID_HANDLE_VALUE;
static long long capacity;
static unsigned char saved[AREA], pattern[AREA], found[AREA];

static const struct {
	const char *fstype;
	long long offset;
	const char *magic;
	int len;
} superblocks[] = {
	{ "ext4", 0x438, "\x53\xef", 2 },
	{ "btrfs", 0x10040, "_BHRfS_M", 8 },
	{ "vfat", 0x1fe, "\x55\xaa", 2 },
	{ "xfs", 0, "XFSB", 4 },
};

#define NEED_DISK() \
	do { \
		if (disk == INVALID_HANDLE_VALUE) \
			return tap_skip("there is no disk"); \
	} while (0)

static int failed(const char *what)
{
	tap_logf("%s: error %lu\n", what, GetLastError());
	return 0;
}

/* As LKL's nt-host.c does it: the position travels in the request. */
static int transfer(int writing, void *buf, DWORD len, long long offset)
{
	OVERLAPPED at = { .Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32) };
	DWORD done = 0;
	BOOL good;

	if (writing)
		good = WriteFile(disk, buf, len, &done, &at);
	else
		good = ReadFile(disk, buf, len, &done, &at);
	if (!good)
		return failed(writing ? "WriteFile" : "ReadFile");
	if (done != len)
		tap_logf("%lu of %lu bytes at %lld\n", done, len, offset);
	return done == len;
}

static enum tap_result open_disk(void)
{
	disk = CreateFileA(options.image, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
			   0, NULL);
	if (disk == INVALID_HANDLE_VALUE)
		return tap_check(failed(options.image));
	return TAP_OK;
}

static enum tap_result close_disk(void)
{
	NEED_DISK();
	if (!CloseHandle(disk))
		return tap_check(failed("CloseHandle"));
	disk = INVALID_HANDLE_VALUE;
	return TAP_OK;
}

static enum tap_result test_disk_open(void)
{
	return open_disk();
}

static enum tap_result test_capacity(void)
{
	LARGE_INTEGER size;

	NEED_DISK();
	if (!GetFileSizeEx(disk, &size))
		return tap_check(failed("GetFileSizeEx"));
	capacity = size.QuadPart;
	tap_logf("%lld bytes\n", capacity);
	return tap_check(capacity >= 2 * AREA && capacity % SECTOR == 0);
}

static enum tap_result test_superblock(void)
{
	int i;

	NEED_DISK();
	for (i = 0; i < TAP_COUNT(superblocks); i++) {
		if (strcmp(superblocks[i].fstype, options.fstype))
			continue;
		if (!transfer(0, found, superblocks[i].len, superblocks[i].offset))
			return TAP_FAIL;
		return tap_check(!memcmp(found, superblocks[i].magic, superblocks[i].len));
	}
	return tap_skip("the superblock of %s is not known", options.fstype);
}

static enum tap_result test_write(void)
{
	unsigned int i;

	NEED_DISK();
	for (i = 0; i < AREA; i++)
		pattern[i] = i * 2654435761u >> 24;
	return tap_check(transfer(0, saved, AREA, capacity - AREA) &&
			 transfer(1, pattern, AREA, capacity - AREA));
}

static enum tap_result test_flush(void)
{
	NEED_DISK();
	return tap_check(FlushFileBuffers(disk) || failed("FlushFileBuffers"));
}

static enum tap_result test_reopen(void)
{
	enum tap_result result = close_disk();

	return result == TAP_OK ? open_disk() : result;
}

static enum tap_result test_read_back(void)
{
	NEED_DISK();
	return tap_check(transfer(0, found, AREA, capacity - AREA) &&
			 !memcmp(found, pattern, AREA));
}

static enum tap_result test_read_past_the_end(void)
{
	OVERLAPPED at = { .Offset = (DWORD)capacity, .OffsetHigh = (DWORD)(capacity >> 32) };
	DWORD done = 0;
	BOOL good;

	NEED_DISK();
	good = ReadFile(disk, found, SECTOR, &done, &at);
	tap_logf("%s, %lu bytes, error %lu\n", good ? "succeeded" : "failed", done, GetLastError());
	return tap_check(!good && done == 0 && GetLastError() == ERROR_HANDLE_EOF);
}

static enum tap_result test_restore(void)
{
	NEED_DISK();
	return tap_check(transfer(1, saved, AREA, capacity - AREA) && FlushFileBuffers(disk));
}

static enum tap_result test_disk_close(void)
{
	return close_disk();
}

static const struct tap_point points[] = {
	TAP_POINT(disk_open),
	TAP_POINT(capacity),
	TAP_POINT(superblock),
	TAP_POINT(write),
	TAP_POINT(flush),
	TAP_POINT(reopen),
	TAP_POINT(read_back),
	TAP_POINT(read_past_the_end),
	TAP_POINT(restore),
	TAP_POINT(disk_close),
};

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "d:t:P:")) != -1) {
		if (option == 'd')
			options.image = optarg;
		else if (option == 't')
			options.fstype = optarg;
		else if (option != 'P')
			break;
	}
	if (option != -1 || optind < argc || !options.image || !options.fstype) {
		fprintf(stderr, "usage: %s -d FILE -t FSTYPE [-P PARTITION]\n", argv[0]);
		return 255;
	}
	return tap_run(points, TAP_COUNT(points), "disk %s", options.fstype);
}
