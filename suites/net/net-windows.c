// SPDX-License-Identifier: GPL-2.0-only
/*
 * net-test without a kernel: the Windows host's own loopback, on the same
 * command line. The other back ends need a kernel, or are not for Windows.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "lkl_compat.h"

#define TCP_BYTES (1 << 20)

static struct sockaddr_in peer = { .sin_family = AF_INET };
static int started;

#define NEED_WINSOCK() \
	do { \
		if (!started) \
			return tap_skip("there is no Winsock"); \
	} while (0)

static int failed(const char *what)
{
	tap_logf("%s: error %d\n", what, WSAGetLastError());
	return 0;
}

/* A network namespace that was just made has a loopback that nobody has brought up. */
static enum tap_result unreachable(const char *what)
{
	if (WSAGetLastError() == WSAENETUNREACH)
		return tap_skip("the loopback interface is down: ip link set lo up");
	return tap_check(failed(what));
}

static enum tap_result test_winsock(void)
{
	WSADATA data;
	int ret = WSAStartup(MAKEWORD(2, 2), &data);

	tap_logf("WSAStartup() = %d, version %d.%d\n", ret, data.wVersion & 255,
		 data.wVersion >> 8);
	started = !ret;
	return tap_check(started);
}

/* A socket of ours at a port that the system chooses, which is left in `peer`. */
static SOCKET bound(int type)
{
	SOCKET sock = socket(AF_INET, type, 0);
	int len = sizeof(peer);

	peer.sin_port = 0;
	if (sock == INVALID_SOCKET || bind(sock, (struct sockaddr *)&peer, sizeof(peer)) ||
	    getsockname(sock, (struct sockaddr *)&peer, &len)) {
		failed("bind");
		return INVALID_SOCKET;
	}
	return sock;
}

static enum tap_result test_udp(void)
{
	static const char text[] = "a datagram";
	SOCKET server, client;
	char got[64];
	int len;

	NEED_WINSOCK();
	server = bound(SOCK_DGRAM);
	client = socket(AF_INET, SOCK_DGRAM, 0);
	if (server == INVALID_SOCKET || client == INVALID_SOCKET)
		return TAP_FAIL;
	len = sendto(client, text, sizeof(text), 0, (struct sockaddr *)&peer, sizeof(peer));
	if (len != sizeof(text))
		return unreachable("sendto");
	len = recv(server, got, sizeof(got), 0);
	tap_logf("%d of %d bytes arrived\n", len, (int)sizeof(text));
	closesocket(client);
	closesocket(server);
	return tap_check(len == sizeof(text) && !memcmp(got, text, sizeof(text)));
}

static void echo(void *arg)
{
	SOCKET listener = *(SOCKET *)arg, sock = accept(listener, NULL, NULL);
	static char buf[32768];
	int len, done, ret;

	while ((len = recv(sock, buf, sizeof(buf), 0)) > 0) {
		for (done = 0; done < len; done += ret) {
			ret = send(sock, buf + done, len - done, 0);
			if (ret <= 0)
				break;
		}
	}
	closesocket(sock);
}

static void feed(void *arg)
{
	SOCKET sock = *(SOCKET *)arg;
	unsigned char buf[4096];
	uint32_t at;
	unsigned int i;

	for (at = 0; at < TCP_BYTES; at += sizeof(buf)) {
		for (i = 0; i < sizeof(buf); i++)
			buf[i] = (at + i) * 2654435761u >> 24;
		if (send(sock, (char *)buf, sizeof(buf), 0) != sizeof(buf))
			break;
	}
	shutdown(sock, SD_SEND);
}

static enum tap_result test_tcp(void)
{
	lkl_thread_t server, sender;
	SOCKET listener, sock;
	uint32_t got = 0, wrong = 0;
	unsigned char buf[8192];
	int len, i;

	NEED_WINSOCK();
	listener = bound(SOCK_STREAM);
	sock = socket(AF_INET, SOCK_STREAM, 0);
	if (listener == INVALID_SOCKET || sock == INVALID_SOCKET || listen(listener, 1))
		return tap_check(failed("listen"));
	server = lkl_host_ops.thread_create(echo, &listener);
	if (connect(sock, (struct sockaddr *)&peer, sizeof(peer)))
		return unreachable("connect");
	sender = lkl_host_ops.thread_create(feed, &sock);
	while ((len = recv(sock, (char *)buf, sizeof(buf), 0)) > 0)
		for (i = 0; i < len; i++, got++)
			wrong += buf[i] != (unsigned char)(got * 2654435761u >> 24);
	lkl_host_ops.thread_join(sender);
	lkl_host_ops.thread_join(server);
	closesocket(sock);
	closesocket(listener);
	tap_logf("%u of %u bytes came back, %u of them wrong\n", got, TCP_BYTES, wrong);
	return tap_check(got == TCP_BYTES && !wrong);
}

static enum tap_result test_cleanup(void)
{
	NEED_WINSOCK();
	return tap_check(!WSACleanup());
}

static const struct tap_point points[] = {
	TAP_POINT(winsock),
	TAP_POINT(udp),
	TAP_POINT(tcp),
	TAP_POINT(cleanup),
};

int main(int argc, char **argv)
{
	static const struct option words[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "dst", required_argument, NULL, 'd' },
		{ NULL },
	};
	const char *backend = "loopback";
	int option;

	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while ((option = getopt_long(argc, argv, "", words, NULL)) != -1) {
		if (option == 'b')
			backend = optarg;
		else if (option == 'd')
			peer.sin_addr.s_addr = inet_addr(optarg);
		else
			break;
	}
	if (option != -1 || optind < argc || strcmp(backend, "loopback")) {
		fprintf(stderr, "usage: %s [--backend loopback] [--dst ADDRESS]\n", argv[0]);
		return 255;
	}
	return tap_run(points, TAP_COUNT(points), "net %s", backend);
}
