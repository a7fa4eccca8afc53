/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets of the kernel under test: addresses in its own layout, which no libc
 * header can change, and waiting with a deadline.
 */
#ifndef LKLTEST_KERNEL_SOCKET_H
#define LKLTEST_KERNEL_SOCKET_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "lkl_compat.h"

#define KERNEL_AF_INET 2
#define KERNEL_AF_INET6 10
#define KERNEL_IPPROTO_ICMP 1
#define KERNEL_IPPROTO_ICMPV6 58
#define KERNEL_SHUT_WR 1

struct address {
	int family;
	int len;
	union {
		struct {
			uint16_t family, port;
			uint8_t ip[4];
			uint8_t zero[8];
		} v4;
		struct {
			uint16_t family, port;
			uint32_t flow;
			uint8_t ip[16];
			uint32_t scope;
		} v6;
		struct lkl_sockaddr any;
	};
};

static int parse_address(const char *text, int family, unsigned int port, struct address *address)
{
	memset(address, 0, sizeof(*address));
	address->family = family;
	if (family == KERNEL_AF_INET) {
		address->len = sizeof(address->v4);
		address->v4.family = family;
		address->v4.port = htons(port);
		return inet_pton(AF_INET, text, address->v4.ip) == 1;
	}
	address->len = sizeof(address->v6);
	address->v6.family = family;
	address->v6.port = htons(port);
	return inet_pton(AF_INET6, text, address->v6.ip) == 1;
}

/* The kernel's poll, with a deadline for the peer that never answers. */
static long wait_for(long fd, int events, int timeout_ms)
{
	struct lkl_pollfd poll = { .fd = fd, .events = events };
	lkltest_timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000,
	};
	long ret = lkl_sys_ppoll(&poll, 1, &timeout, NULL, 8);

	if (ret < 0)
		return ret;
	return ret ? poll.revents : -LKL_ETIMEDOUT;
}

#endif
