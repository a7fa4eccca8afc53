/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP echo, as ping(8) does it: requests with data that has to come back.
 */
#ifndef LKLTEST_ICMP_ECHO_H
#define LKLTEST_ICMP_ECHO_H

#include <unistd.h>

#include "tap.h"
#include "kernel_socket.h"

#define PINGS 10
#define PING_TIMEOUT_MS 5000

struct echo {
	uint8_t type, code;
	uint16_t checksum;
	uint16_t id, sequence;
	uint8_t data[40];
};

static uint16_t internet_checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/*
 * A raw socket hears all that comes in, for IPv4 with the IP header: on
 * loopback its own request before the answer.
 */
static int wait_for_reply(long sock, const struct echo *request, int v6, int reply_type)
{
	long long deadline = tap_now_us() + PING_TIMEOUT_MS * 1000LL;
	uint8_t packet[1500];

	for (;;) {
		long left = (deadline - tap_now_us()) / 1000, ret;
		struct echo *reply = (struct echo *)packet;

		if (left <= 0) {
			tap_logf("no reply within %d ms (seq=%d)\n", PING_TIMEOUT_MS,
				 ntohs(request->sequence));
			return 0;
		}
		ret = wait_for(sock, LKL_POLLIN, left);
		if (ret == -LKL_ETIMEDOUT)
			continue;
		if (ret >= 0)
			ret = lkl_sys_recvfrom(sock, packet, sizeof(packet), 0, NULL, NULL);
		if (ret < 0) {
			tap_logf("recv: %ld %s\n", ret, lkl_strerror(ret));
			return 0;
		}
		if (!v6) {
			int header = (packet[0] & 15) * 4;

			if (ret < header)
				continue;
			reply = (struct echo *)(packet + header);
			ret -= header;
		}
		if (ret < (long)sizeof(*reply) || reply->type != reply_type ||
		    reply->id != request->id || reply->sequence != request->sequence)
			continue;
		if (memcmp(reply->data, request->data, sizeof(reply->data))) {
			tap_logf("the reply holds other data (seq=%d)\n",
				 ntohs(request->sequence));
			return 0;
		}
		return 1;
	}
}

static enum tap_result ping(const char *dst, int family)
{
	int v6 = family == KERNEL_AF_INET6, i;
	enum tap_result result = TAP_OK;
	struct address address;
	long sock, ret;

	parse_address(dst, family, 0, &address);
	sock = lkl_sys_socket(family, LKL_SOCK_RAW,
			      v6 ? KERNEL_IPPROTO_ICMPV6 : KERNEL_IPPROTO_ICMP);
	if (sock < 0) {
		tap_logf("raw socket: %ld %s\n", sock, lkl_strerror(sock));
		return TAP_FAIL;
	}
	tap_logf("pinging %s\n", dst);
	for (i = 0; i < PINGS && result == TAP_OK; i++) {
		struct echo request = {
			.type = v6 ? 128 : 8,
			.id = htons(getpid()),
			.sequence = htons(i),
		};
		long long start = tap_now_us();

		memset(request.data, 'a' + i, sizeof(request.data));
		/* For ICMPv6 the kernel has to: it knows the source address. */
		if (!v6)
			request.checksum = internet_checksum(&request, sizeof(request));
		ret = lkl_sys_sendto(sock, &request, sizeof(request), 0, &address.any,
				     address.len);
		if (ret != sizeof(request)) {
			tap_logf("send (seq=%d): %ld %s\n", i, ret,
				 ret < 0 ? lkl_strerror(ret) : "");
			result = TAP_FAIL;
		} else if (!wait_for_reply(sock, &request, v6, v6 ? 129 : 0)) {
			result = TAP_FAIL;
		} else {
			tap_logf("ICMP echo reply (seq=%d) after %lld us\n", i,
				 tap_now_us() - start);
		}
	}
	lkl_sys_close(sock);
	return result;
}

#endif
