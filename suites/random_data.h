/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the disk and net suites write: no two blocks of it are alike, and each
 * run's are the same. And the numbers of the checksum (FNV-1a) that it is known
 * again by.
 */
#ifndef LKLTEST_RANDOM_DATA_H
#define LKLTEST_RANDOM_DATA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FNV_START 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

/* xorshift64*; any seed but 0 */
struct random {
	uint64_t state;
};

static uint64_t random_next(struct random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return random->state * 0x2545f4914f6cdd1dULL;
}

/* By whole words of 8 bytes: there must be room for the last one. */
static void random_fill(struct random *random, void *data, size_t len)
{
	size_t at;

	for (at = 0; at < len; at += 8) {
		uint64_t word = random_next(random);

		memcpy((char *)data + at, &word, 8);
	}
}

#endif
