/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A network device for LKL on two FIFOs, for trees that have none of their own
 * (lkl_netdev_pipe_create() came after 4.9).
 *
 * A FIFO keeps no boundaries, so that each frame is preceded by its length.
 * Both are one write of less than PIPE_BUF, which is atomic: a reader that
 * finds a length finds the whole frame. The far end's exit shows as a hang-up,
 * which tells a kernel that only serves when it may leave.
 */
#ifndef LKLTEST_PIPE_NETDEV_H
#define LKLTEST_PIPE_NETDEV_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tap.h"

struct pipe_netdev {
	struct lkl_netdev dev;
	int rx, tx;
	int wake[2];
	/*
	 * Set by the kernel's threads, cleared by the poll thread right before
	 * it has the queue processed, which sets them again if need be.
	 */
	_Atomic int want_rx, want_tx;
	_Atomic int closing, peer_gone;
	/*
	 * Frames wait in the FIFO until the interface has its addresses. Taken
	 * in before, the far end's first question who has them would be lost,
	 * and the kernel asks again only after half a second.
	 */
	_Atomic int held;
};

#define PIPE_MAX_VECTORS 64

static struct pipe_netdev *pipe_of(struct lkl_netdev *dev)
{
	return (struct pipe_netdev *)((char *)dev - offsetof(struct pipe_netdev, dev));
}

static void pipe_wake(struct pipe_netdev *pipe)
{
	/* Full means that it will wake up anyway. */
	if (write(pipe->wake[1], "", 1) < 0 && errno != EAGAIN)
		tap_logf("pipe netdev: wake: %s\n", strerror(errno));
}

static int pipe_tx(struct lkl_netdev *dev, struct iovec *iov, int count)
{
	struct pipe_netdev *pipe = pipe_of(dev);
	struct iovec out[PIPE_MAX_VECTORS + 1];
	uint32_t len = 0;
	ssize_t ret;
	int i;

	for (i = 0; i < count && i < PIPE_MAX_VECTORS; i++) {
		out[i + 1] = iov[i];
		len += iov[i].iov_len;
	}
	out[0].iov_base = &len;
	out[0].iov_len = sizeof(len);
	if (i < count || len + sizeof(len) > PIPE_BUF)
		return len;	/* no device sends what its MTU forbids: drop */

	do {
		ret = writev(pipe->tx, out, count + 1);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0 && errno == EAGAIN) {
		pipe->want_tx = 1;
		pipe_wake(pipe);
		return -1;
	}
	return len;
}

static int pipe_rx(struct lkl_netdev *dev, struct iovec *iov, int count)
{
	struct pipe_netdev *pipe = pipe_of(dev);
	struct iovec in[PIPE_MAX_VECTORS];
	char frame[PIPE_BUF];
	uint32_t len = 0, room = 0;
	ssize_t ret;
	int i;

	if (pipe->held) {
		pipe->want_rx = 1;
		return -1;
	}
	do {
		ret = read(pipe->rx, &len, sizeof(len));
	} while (ret < 0 && errno == EINTR);
	if (ret != sizeof(len)) {
		/* 0 while there is no writer: the poll thread tells which. */
		pipe->want_rx = 1;
		pipe_wake(pipe);
		return -1;
	}
	if (len > sizeof(frame)) {
		tap_logf("pipe netdev: a frame of %u bytes: is this the far end's protocol?\n",
			 len);
		pipe->peer_gone = 1;
		return -1;
	}

	for (i = 0; i < count && i < PIPE_MAX_VECTORS && room < len; i++) {
		in[i] = iov[i];
		if (in[i].iov_len > len - room)
			in[i].iov_len = len - room;
		room += in[i].iov_len;
	}
	if (room < len) {
		/* Too small a buffer may cut a frame, but not lose the next one. */
		if (read(pipe->rx, frame, len) != (ssize_t)len)
			return -1;
		for (len = i = 0; i < count && i < PIPE_MAX_VECTORS; i++) {
			memcpy(iov[i].iov_base, frame + len, iov[i].iov_len);
			len += iov[i].iov_len;
		}
		return len;
	}
	do {
		ret = readv(pipe->rx, in, i);
	} while (ret < 0 && errno == EINTR);
	return ret;
}

static int pipe_poll(struct lkl_netdev *dev)
{
	struct pipe_netdev *pipe = pipe_of(dev);
	struct pollfd fds[3];
	char drain[64];
	int ret;

	for (;;) {
		int events = 0;

		if (pipe->closing)
			return LKL_DEV_NET_POLL_HUP;

		/* poll() reports a hang-up unasked, and would for ever. */
		fds[0].fd = pipe->peer_gone ? -1 : pipe->rx;
		fds[0].events = pipe->want_rx && !pipe->held ? POLLIN : 0;
		fds[1].fd = pipe->want_tx ? pipe->tx : -1;
		fds[1].events = POLLOUT;
		fds[2].fd = pipe->wake[0];
		fds[2].events = POLLIN;
		do {
			ret = poll(fds, 3, -1);
		} while (ret < 0 && errno == EINTR);
		if (ret < 0)
			return ret;

		if (fds[2].revents)
			while (read(pipe->wake[0], drain, sizeof(drain)) > 0)
				;
		if (fds[0].fd >= 0 && (fds[0].revents & POLLIN)) {
			pipe->want_rx = 0;
			events |= LKL_DEV_NET_POLL_RX;
		} else if (fds[0].fd >= 0 && (fds[0].revents & POLLHUP) && fds[0].events) {
			/* Not before all that was sent has been read. */
			pipe->peer_gone = 1;
		} else if (fds[0].fd >= 0 && (fds[0].revents & POLLHUP)) {
			/* The kernel is not ready to read yet; it will call. */
			struct timespec pause = { .tv_nsec = 1000000 };

			nanosleep(&pause, NULL);
		}
		if (fds[1].fd >= 0 && fds[1].revents) {
			pipe->want_tx = 0;
			events |= LKL_DEV_NET_POLL_TX;
		}
		if (events)
			return events;
	}
}

static void pipe_release(struct lkl_netdev *dev)
{
	struct pipe_netdev *pipe = pipe_of(dev);

	pipe->held = 0;
	pipe_wake(pipe);
}

static void pipe_poll_hup(struct lkl_netdev *dev)
{
	struct pipe_netdev *pipe = pipe_of(dev);

	pipe->closing = 1;
	pipe_wake(pipe);
}

static void pipe_free(struct lkl_netdev *dev)
{
	struct pipe_netdev *pipe = pipe_of(dev);

	close(pipe->rx);
	close(pipe->tx);
	close(pipe->wake[0]);
	close(pipe->wake[1]);
	free(pipe);
}

static struct lkl_dev_net_ops pipe_ops = {
	.tx = pipe_tx,
	.rx = pipe_rx,
	.poll = pipe_poll,
	.poll_hup = pipe_poll_hup,
	.free = pipe_free,
};

/* names: "RXFIFO|TXFIFO" */
static struct lkl_netdev *pipe_netdev_create(const char *names)
{
	struct pipe_netdev *pipe = calloc(1, sizeof(*pipe));
	char rx[PATH_MAX];
	const char *tx = strchr(names, '|');

	if (!pipe || !tx || tx == names || !tx[1] || strchr(tx + 1, '|') ||
	    tx - names >= (int)sizeof(rx)) {
		tap_logf("\"%s\" is not of the form RXFIFO|TXFIFO\n", names);
		free(pipe);
		return NULL;
	}
	memcpy(rx, names, tx - names);
	rx[tx - names] = 0;
	tx++;

	/*
	 * Open for both, the sending end needs no reader to be there yet. The
	 * receiving end must not count as a writer, or it never hangs up.
	 */
	pipe->rx = open(rx, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (pipe->rx < 0) {
		tap_logf("%s: %s\n", rx, strerror(errno));
		goto out;
	}
	pipe->tx = open(tx, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (pipe->tx < 0) {
		tap_logf("%s: %s\n", tx, strerror(errno));
		goto out_rx;
	}
	if (pipe2(pipe->wake, O_NONBLOCK | O_CLOEXEC) < 0) {
		tap_logf("pipe2: %s\n", strerror(errno));
		goto out_tx;
	}
	pipe->held = 1;
	pipe->dev.ops = &pipe_ops;
	return &pipe->dev;

out_tx:
	close(pipe->tx);
out_rx:
	close(pipe->rx);
out:
	free(pipe);
	return NULL;
}

#endif
