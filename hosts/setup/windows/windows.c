// SPDX-License-Identifier: GPL-2.0-only
/*
 * The Windows side (calls.h): loads the kernel side, an ELF file that this
 * program holds as data, to the address it was linked for, and calls it.
 *
 *	-DKERNEL="FILE"		the ELF file
 */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

#define SECOND_NS 1000000000ULL

/* ---- memory, time, the process ---- */

static SYSV void *resize(void *memory, uint64_t size)
{
	if (size)
		return realloc(memory, size);
	free(memory);
	return NULL;
}

SYSV uint64_t now_ns(void)
{
	LARGE_INTEGER now, per_second;

	QueryPerformanceCounter(&now);
	QueryPerformanceFrequency(&per_second);
	return now.QuadPart / per_second.QuadPart * SECOND_NS +
	       now.QuadPart % per_second.QuadPart * SECOND_NS / per_second.QuadPart;
}

static SYSV uint64_t process(void)
{
	return GetCurrentProcessId();
}

static SYSV void sleep_ms(uint32_t ms)
{
	Sleep(ms);
}

/* As upstream's panic() on Windows does it. */
static SYSV void panic(void)
{
	*(volatile int *)0 = 1;
}

/* ---- files ---- */

static SYSV int64_t write_stream(int fd, const void *data, uint64_t size)
{
	HANDLE stream = GetStdHandle(fd == 2 ? STD_ERROR_HANDLE : STD_OUTPUT_HANDLE);
	DWORD done;

	return WriteFile(stream, data, size, &done, NULL) ? (int64_t)done : -1;
}

static SYSV int64_t open_file(const char *path, int writable)
{
	HANDLE file = CreateFileA(path, GENERIC_READ | (writable ? GENERIC_WRITE : 0),
				  FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);

	return file == INVALID_HANDLE_VALUE ? -1 : (int64_t)file;
}

static SYSV int64_t close_file(int64_t file)
{
	return CloseHandle((HANDLE)file) ? 0 : -1;
}

static SYSV int64_t file_size(int64_t file)
{
	LARGE_INTEGER size;

	return GetFileSizeEx((HANDLE)file, &size) ? size.QuadPart : -1;
}

static SYSV int64_t read_at(int64_t file, void *data, uint64_t size, uint64_t at)
{
	OVERLAPPED where = { .Offset = at, .OffsetHigh = at >> 32 };
	DWORD done;

	return ReadFile((HANDLE)file, data, size, &done, &where) ? (int64_t)done : -1;
}

static SYSV int64_t write_at(int64_t file, const void *data, uint64_t size, uint64_t at)
{
	OVERLAPPED where = { .Offset = at, .OffsetHigh = at >> 32 };
	DWORD done;

	return WriteFile((HANDLE)file, data, size, &done, &where) ? (int64_t)done : -1;
}

static SYSV int64_t sync_file(int64_t file)
{
	return FlushFileBuffers((HANDLE)file) ? 0 : -1;
}

/* ---- the kernel side ---- */

static struct calls calls = {
	.resize = resize,
	.now_ns = now_ns,
	.process = process,
	.sleep_ms = sleep_ms,
	.panic = panic,
	.write = write_stream,
	.open = open_file,
	.close = close_file,
	.size = file_size,
	.read_at = read_at,
	.write_at = write_at,
	.sync = sync_file,
};

extern const uint8_t kernel[];
__asm__(".data\n"
	".balign 16\n"
	"kernel: .incbin \"" KERNEL "\"\n"
	".text\n");

/* Of elf(5), which Windows has no header for. */
struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, segments, sections;
	uint32_t flags;
	uint16_t header_size, segment_size, segment_count;
};

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, address, physical, file_size, memory_size, align;
};

#define LOADED 1 /* PT_LOAD */
#define ALLOCATION 0x10000ULL

/* Where the kernel side begins; NULL, with a line on stderr, when its place is taken. */
static kernel_entry load(void)
{
	const struct elf_header *header = (const void *)kernel;
	const struct elf_segment *segments = (const void *)(kernel + header->segments);
	uint64_t low = UINT64_MAX, high = 0;
	int i;

	for (i = 0; i < header->segment_count; i++) {
		const struct elf_segment *segment = &segments[i];

		if (segment->type != LOADED)
			continue;
		low = min(low, segment->address);
		high = max(high, segment->address + segment->memory_size);
	}
	low &= ~(ALLOCATION - 1);
	if (!VirtualAlloc((void *)low, high - low, MEM_RESERVE | MEM_COMMIT,
			  PAGE_EXECUTE_READWRITE)) {
		fprintf(stderr, "the kernel's place, %#llx to %#llx, is taken\n", low, high);
		return NULL;
	}
	for (i = 0; i < header->segment_count; i++)
		if (segments[i].type == LOADED)
			memcpy((void *)segments[i].address, kernel + segments[i].offset,
			       segments[i].file_size);
	return (kernel_entry)header->entry;
}

int main(int argc, char **argv)
{
	kernel_entry run = load();

	add_lock_calls(&calls);
	add_thread_calls(&calls);
	return run ? run(&calls, argc, argv) : 2;
}
