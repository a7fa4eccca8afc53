/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A TCP echo: a client that sends data and compares what comes back by its
 * checksum, and a server on a thread of its own.
 */
#ifndef LKLTEST_TCP_ECHO_H
#define LKLTEST_TCP_ECHO_H

#include "tap.h"
#include "random_data.h"
#include "kernel_socket.h"

/* Without a byte in either direction for so long, a connection is given up. */
#define TCP_SILENCE_MS 10000
#define TCP_BUFFER 65536

/* FNV-1a, byte by byte: what TCP hands over may end anywhere. */
static uint64_t checksum_add(uint64_t sum, const uint8_t *data, size_t len)
{
	while (len--)
		sum = (sum ^ *data++) * FNV_PRIME;
	return sum;
}

static long tcp_connect_once(const struct address *address)
{
	long sock = lkl_sys_socket(address->family, LKL_SOCK_STREAM | LKL_O_NONBLOCK, 0), ret;
	int error = 0, len = sizeof(error);

	if (sock < 0)
		return sock;
	ret = lkl_sys_connect(sock, (struct lkl_sockaddr *)&address->any, address->len);
	if (ret == -LKL_EINPROGRESS) {
		ret = wait_for(sock, LKL_POLLOUT, TCP_SILENCE_MS);
		if (ret > 0)
			ret = lkl_sys_getsockopt(sock, LKL_SOL_SOCKET, LKL_SO_ERROR,
						 (char *)&error, &len);
		if (!ret)
			ret = -error;
	}
	if (ret < 0) {
		lkl_sys_close(sock);
		return ret;
	}
	return sock;
}

/* A peer that was started together with us may not listen yet. */
static long tcp_connect(const struct address *address)
{
	static const lkltest_timespec pause = { .tv_nsec = 10000000 };
	long long deadline = tap_now_us() + 3000000;
	long sock;

	do {
		sock = tcp_connect_once(address);
		if (sock != -LKL_ECONNREFUSED)
			break;
		lkl_sys_nanosleep((lkltest_timespec *)&pause, NULL);
	} while (tap_now_us() < deadline);
	return sock;
}

struct client {
	long sock;
	unsigned long wanted, sent, got;
	uint64_t sent_sum, got_sum;
	int ended;
	struct random random;
	unsigned long filled, drained;	/* of the buffer that is being sent */
	uint8_t out[TCP_BUFFER];
};

static int client_receive(struct client *client)
{
	static uint8_t in[TCP_BUFFER];
	long ret = lkl_sys_recvfrom(client->sock, in, sizeof(in), 0, NULL, NULL);

	if (ret == -LKL_EAGAIN)
		return 1;
	if (ret < 0) {
		tap_logf("recv: %ld %s\n", ret, lkl_strerror(ret));
		return 0;
	}
	client->got_sum = checksum_add(client->got_sum, in, ret);
	client->got += ret;
	client->ended = ret == 0;
	return 1;
}

static int client_send(struct client *client)
{
	long ret;

	if (client->drained == client->filled) {
		unsigned long left = client->wanted - client->sent;

		random_fill(&client->random, client->out, sizeof(client->out));
		client->filled = left < sizeof(client->out) ? left : sizeof(client->out);
		client->drained = 0;
	}
	ret = lkl_sys_sendto(client->sock, client->out + client->drained,
			     client->filled - client->drained, 0, NULL, 0);
	if (ret == -LKL_EAGAIN)
		return 1;
	if (ret < 0) {
		tap_logf("send: %ld %s\n", ret, lkl_strerror(ret));
		return 0;
	}
	client->sent_sum = checksum_add(client->sent_sum, client->out + client->drained, ret);
	client->drained += ret;
	client->sent += ret;
	if (client->sent == client->wanted)
		lkl_sys_shutdown(client->sock, KERNEL_SHUT_WR);
	return 1;
}

/* Sends and receives by turns, until the other side has ended. */
static void client_run(struct client *client)
{
	int good = 1;

	while (good && !client->ended) {
		int sends = client->sent < client->wanted ? LKL_POLLOUT : 0;
		long events = wait_for(client->sock, LKL_POLLIN | sends, TCP_SILENCE_MS);

		if (events < 0) {
			tap_logf("poll: %ld %s\n", events, lkl_strerror(events));
			return;
		}
		if (events & ~LKL_POLLOUT)
			good = client_receive(client);
		if (good && (events & sends))
			good = client_send(client);
	}
}

static enum tap_result tcp_echo(const char *dst, int family, unsigned int port, unsigned long bytes)
{
	static struct client client;
	struct address address;
	long long start;

	memset(&client, 0, sizeof(client));
	client.wanted = bytes;
	client.sent_sum = FNV_START;
	client.got_sum = FNV_START;
	client.random.state = 0x1234567890abcdefULL;

	parse_address(dst, family, port, &address);
	start = tap_now_us();
	client.sock = tcp_connect(&address);
	tap_logf("connect to %s port %u: %ld %s\n", dst, port, client.sock,
		 client.sock < 0 ? lkl_strerror(client.sock) : "");
	if (client.sock < 0)
		return TAP_FAIL;
	client_run(&client);
	start = tap_now_us() - start;
	tap_logf("sent %lu bytes, checksum %016llx\n", client.sent,
		 (unsigned long long)client.sent_sum);
	tap_logf("got  %lu bytes, checksum %016llx%s\n", client.got,
		 (unsigned long long)client.got_sum, client.ended ? "" : ", and no end");
	tap_logf("in %lld us\n", start);
	lkl_sys_close(client.sock);
	return tap_check(client.ended && client.sent == bytes && client.got == bytes &&
			 client.got_sum == client.sent_sum);
}

struct server {
	struct address address;
	long sock;
	lkl_thread_t thread;

	/* Of both threads. */
	_Atomic unsigned long connections, bytes;
	_Atomic int failed, stop;
};

/* Until the other side has said all it will and heard it back. */
static void serve_one(struct server *server, long sock)
{
	static __thread uint8_t data[TCP_BUFFER];

	for (;;) {
		long events = wait_for(sock, LKL_POLLIN, TCP_SILENCE_MS), got, done, ret;

		if (events < 0) {
			tap_logf("server: poll: %ld %s\n", events, lkl_strerror(events));
			break;
		}
		got = lkl_sys_recvfrom(sock, data, sizeof(data), 0, NULL, NULL);
		if (got == 0) {
			lkl_sys_shutdown(sock, KERNEL_SHUT_WR);
			server->connections++;
			lkl_sys_close(sock);
			return;
		}
		if (got < 0) {
			tap_logf("server: recv: %ld %s\n", got, lkl_strerror(got));
			break;
		}
		for (done = 0; done < got; done += ret) {
			ret = wait_for(sock, LKL_POLLOUT, TCP_SILENCE_MS);
			if (ret >= 0)
				ret = lkl_sys_sendto(sock, data + done, got - done, 0, NULL, 0);
			if (ret == -LKL_EAGAIN)
				ret = 0;
			if (ret < 0) {
				tap_logf("server: send: %ld %s\n", ret, lkl_strerror(ret));
				server->failed = 1;
				lkl_sys_close(sock);
				return;
			}
		}
		server->bytes += got;
	}
	server->failed = 1;
	lkl_sys_close(sock);
}

static void serve(void *arg)
{
	struct server *server = arg;

	while (!server->stop) {
		long sock;

		if (wait_for(server->sock, LKL_POLLIN, 10) < 0)
			continue;
		sock = lkl_sys_accept4(server->sock, NULL, NULL, LKL_O_NONBLOCK);
		if (sock >= 0)
			serve_one(server, sock);
	}
}

static int server_start(struct server *server, const char *ip, int family, unsigned int port)
{
	int yes = 1;
	long ret;

	parse_address(ip, family, port, &server->address);
	server->sock = lkl_sys_socket(family, LKL_SOCK_STREAM, 0);
	ret = server->sock;
	if (ret >= 0)
		ret = lkl_sys_setsockopt(server->sock, LKL_SOL_SOCKET, LKL_SO_REUSEADDR,
					 (char *)&yes, sizeof(yes));
	if (ret >= 0)
		ret = lkl_sys_bind(server->sock, &server->address.any, server->address.len);
	if (ret >= 0)
		ret = lkl_sys_listen(server->sock, 5);
	tap_logf("server: listen on %s port %u: %ld %s\n", ip, port, ret,
		 ret < 0 ? lkl_strerror(ret) : "");
	if (ret >= 0)
		server->thread = lkl_host_ops.thread_create(serve, server);
	return ret >= 0 && server->thread;
}

static void server_stop(struct server *server)
{
	server->stop = 1;
	if (server->thread)
		lkl_host_ops.thread_join(server->thread);
	if (server->sock >= 0)
		lkl_sys_close(server->sock);
}

#endif
