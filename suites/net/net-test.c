// SPDX-License-Identifier: GPL-2.0-only
/*
 * net-test: a network device of each back end, its addresses, ICMP echo and,
 * when the environment asks for it, IPv6 and a TCP echo with a checksum.
 *
 *	LKLTEST_TCP=BYTES		send BYTES to --dst (and LKLTEST_DST6), which
 *					echoes them
 *	LKLTEST_TCP_PORT=PORT		there, or here; 7007 if not given
 *	LKLTEST_TCP_LISTEN=COUNT	echo until COUNT connections are served
 *	LKLTEST_IP6=ADDRESS		this side's, LKLTEST_NETMASK6_LEN=LEN (64)
 *	LKLTEST_DST6=ADDRESS		whom to ping
 *
 * Without them the points and the command line are those of LKL's own program.
 */
#include <getopt.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "lkl_compat.h"
#include "kernel_socket.h"
#include "icmp_echo.h"
#include "tcp_echo.h"

#if !defined(LKLTEST_GUEST) && !defined(LKLTEST_PIPE_UPSTREAM)
#include "pipe_netdev.h"
#define PIPE_OURS 1
#endif

enum backend {
	LOOPBACK, TAP, MACVTAP, RAW, PIPE,
};

static const char * const backends[] = {
	[LOOPBACK] = "loopback", [TAP] = "tap", [MACVTAP] = "macvtap", [RAW] = "raw",
	[PIPE] = "pipe",
};

static struct {
	enum backend backend;
	const char *ifname;
	const char *ip, *gateway, *dst, *ip6, *dst6;
	unsigned long netmask_len, netmask6_len;
	unsigned long sleep;
	unsigned long tcp_bytes, tcp_port, tcp_listen;
	int dhcp;
} options = { .netmask_len = 24, .netmask6_len = 64, .tcp_port = 7007 };

static unsigned int ipv4_of(const char *text)
{
	struct address address;
	unsigned int ip;

	parse_address(text, KERNEL_AF_INET, 0, &address);
	memcpy(&ip, address.v4.ip, sizeof(ip));
	return ip;
}

/* ---- the device ---- */

static int ifindex = -1;

#define NEED_INTERFACE() \
	do { \
		NEED_KERNEL(); \
		if (ifindex < 0) \
			return tap_skip("there is no interface"); \
	} while (0)

#define NEED_IPV6() \
	do { \
		NEED_INTERFACE(); \
		if (!has_ipv6()) \
			return tap_skip("the kernel has no IPv6 (CONFIG_IPV6)"); \
	} while (0)

#ifdef LKLTEST_GUEST

static enum tap_result test_nd_create(void)
{
	return tap_skip("a guest's devices are there when it starts");
}

static enum tap_result test_nd_add(void)
{
	return tap_skip("a guest's devices are there when it starts");
}

static enum tap_result test_nd_remove(void)
{
	return tap_skip("the guest keeps its devices");
}

static int find_interface(void)
{
	const char *name = options.backend == LOOPBACK ? "lo" : options.ifname;
	int found = if_nametoindex(name);

	tap_logf("interface %s has index %d\n", name, found);
	return found ? found : -LKL_ENODEV;
}

#else

static struct lkl_netdev *netdev;
static int netdev_id = -1;

static enum tap_result test_nd_create(void)
{
	/*
	 * LKL cuts a long name, which then makes a device of another name, and
	 * has a raw socket without an interface listen on all of them.
	 */
	if ((options.backend == TAP && strlen(options.ifname) >= IF_NAMESIZE) ||
	    (options.backend == RAW && !if_nametoindex(options.ifname))) {
		tap_logf("there is no interface %s\n", options.ifname);
		return TAP_FAIL;
	}

	switch (options.backend) {
	case LOOPBACK:
		return tap_skip("loopback needs no device");
	case TAP:
		netdev = lkl_netdev_tap_create(options.ifname, 0);
		break;
	case MACVTAP:
		netdev = lkl_netdev_macvtap_create(options.ifname, 0);
		break;
	case RAW:
		netdev = lkl_netdev_raw_create(options.ifname);
		break;
	case PIPE:
#ifdef PIPE_OURS
		netdev = pipe_netdev_create(options.ifname);
#else
		netdev = lkl_netdev_pipe_create(options.ifname, 0);
#endif
		break;
	}
	tap_logf("%s device on %s: %s\n", backends[options.backend], options.ifname,
		 netdev ? "made" : "failed, stderr may say why");
	return tap_check(!!netdev);
}

static enum tap_result test_nd_add(void)
{
	/*
	 * Two kernels that start alike would roll the same random address, and
	 * then not hear each other.
	 */
	uint64_t unique = (uint64_t)getpid() << 32 ^ tap_now_us();
	uint8_t mac[6] = { 0x02 };
	struct lkl_netdev_args args = { .mac = mac };

	if (options.backend == LOOPBACK)
		return tap_skip("loopback needs no device");
	if (!netdev)
		return tap_skip("there is no device");
	unique *= 0x9e3779b97f4a7c15ULL;
	memcpy(mac + 1, (char *)&unique + 3, 5);
	netdev_id = CALL(lkl_netdev_add(netdev, &args));
	return tap_check(netdev_id >= 0);
}

static enum tap_result test_nd_remove(void)
{
	if (netdev_id < 0)
		return tap_skip("no device was added");
	NEED_KERNEL();
	lkl_netdev_remove(netdev_id);
	lkl_netdev_free(netdev);
	netdev_id = -1;
	return TAP_OK;
}

static int find_interface(void)
{
	/* Loopback is the first that any kernel registers. */
	if (options.backend == LOOPBACK)
		return 1;
	return CALL(lkl_netdev_get_ifindex(netdev_id));
}

#endif

static enum tap_result test_start_kernel(void)
{
	return tap_check(CALL(lkltest_start_kernel(32, options.dhcp ? "ip=dhcp" : "")) == 0 &&
			 lkl_is_running());
}

static enum tap_result test_nd_ifindex(void)
{
	NEED_KERNEL();
#ifndef LKLTEST_GUEST
	if (options.backend != LOOPBACK && netdev_id < 0)
		return tap_skip("no device was added");
#endif
	ifindex = find_interface();
	if (options.backend == LOOPBACK && ifindex > 0)
		return tap_skip("loopback has index %d", ifindex);
	return tap_check(ifindex > 0);
}

static long write_text(const char *path, const char *text)
{
	long fd = lkl_sys_open(path, LKL_O_WRONLY, 0), ret;

	if (fd < 0)
		return fd;
	ret = lkl_sys_write(fd, text, strlen(text));
	lkl_sys_close(fd);
	return ret < 0 ? ret : 0;
}

/*
 * Duplicate address detection holds a new IPv6 address back for a second. The
 * network is this test's own: nobody else can have it.
 */
static void skip_address_detection(void)
{
	static const char * const files[] = { "accept_dad", "dad_transmits" };
	char name[32] = "", path[128];
	int i;

#ifdef LKLTEST_GUEST
	if_indextoname(ifindex, name);
#else
	snprintf(name, sizeof(name), options.backend == LOOPBACK ? "lo" : "eth%d",
		 options.backend == LOOPBACK ? 0 : netdev_id);
#endif
	lkl_mount_fs("proc");
	for (i = 0; i < TAP_COUNT(files); i++) {
		long ret;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name, files[i]);
		ret = write_text(path, "0");
		tap_logf("0 to %s: %ld %s\n", path, ret, ret ? lkl_strerror(ret) : "");
	}
}

/*
 * Of two kernels that start together one asks for the other's hardware address
 * before that is there to answer. Ask again soon, and for longer.
 */
static void ask_often_for_neighbours(void)
{
	static const struct {
		const char *file, *value;
	} settings[] = {
		{ "/proc/sys/net/ipv4/neigh/eth0/retrans_time_ms", "50" },
		{ "/proc/sys/net/ipv4/neigh/eth0/mcast_solicit", "100" },
		{ "/proc/sys/net/ipv6/neigh/eth0/retrans_time_ms", "50" },
		{ "/proc/sys/net/ipv6/neigh/eth0/mcast_solicit", "100" },
	};
	int i;

	lkl_mount_fs("proc");
	for (i = 0; i < TAP_COUNT(settings); i++) {
		long ret = write_text(settings[i].file, settings[i].value);

		if (ret)
			tap_logf("%s to %s: %ld %s\n", settings[i].value, settings[i].file, ret,
				 lkl_strerror(ret));
	}
}

static enum tap_result test_if_up(void)
{
	NEED_INTERFACE();
	if (options.backend == PIPE)
		ask_often_for_neighbours();
	if (options.ip6)
		skip_address_detection();
	return tap_check(CALL(lkl_if_up(ifindex)) == 0);
}

static enum tap_result test_set_ipv4(void)
{
	long ret;

	NEED_INTERFACE();
	if (options.dhcp)
		return tap_skip("DHCP sets it");
	if (!options.ip)
		return tap_skip("no --ip was given");
	ret = lkl_if_set_ipv4(ifindex, ipv4_of(options.ip), options.netmask_len);
	tap_logf("lkl_if_set_ipv4(%d, %s, %lu) = %ld %s\n", ifindex, options.ip,
		 options.netmask_len, ret, ret ? lkl_strerror(ret) : "");
	return tap_check(!ret);
}

/*
 * A new IPv6 address is tentative until the kernel's own worker has looked at
 * it, and until the link is up; nothing can be sent from it before. Whether it
 * can be bound says that it is there.
 */
static int has_ipv6(void)
{
	long sock = lkl_sys_socket(KERNEL_AF_INET6, LKL_SOCK_STREAM, 0);

	if (sock >= 0)
		lkl_sys_close(sock);
	return sock != -LKL_EAFNOSUPPORT;
}

static long wait_for_address6(struct address *address)
{
	static const lkltest_timespec pause = { .tv_nsec = 10000000 };
	long sock, ret;
	int tries;

	sock = lkl_sys_socket(KERNEL_AF_INET6, LKL_SOCK_STREAM, 0);
	if (sock < 0)
		return sock;
	for (tries = 0; tries < 500; tries++) {
		ret = lkl_sys_bind(sock, &address->any, address->len);
		if (ret != -LKL_EADDRNOTAVAIL)
			break;
		lkl_sys_nanosleep((lkltest_timespec *)&pause, NULL);
	}
	lkl_sys_close(sock);
	tap_logf("usable after %d ms\n", tries * 10);
	return ret;
}

static enum tap_result test_set_ipv6(void)
{
	struct address address;
	long ret;

	NEED_IPV6();
	parse_address(options.ip6, KERNEL_AF_INET6, 0, &address);
	ret = lkl_if_set_ipv6(ifindex, address.v6.ip, options.netmask6_len);
	tap_logf("lkl_if_set_ipv6(%d, %s, %lu) = %ld %s\n", ifindex, options.ip6,
		 options.netmask6_len, ret, ret ? lkl_strerror(ret) : "");
	return tap_check(!ret && !wait_for_address6(&address));
}

static enum tap_result test_set_gateway(void)
{
	long ret;

	NEED_INTERFACE();
	if (!options.gateway)
		return tap_skip("no --gateway was given");
	ret = lkl_set_ipv4_gateway(ipv4_of(options.gateway));
	tap_logf("lkl_set_ipv4_gateway(%s) = %ld %s\n", options.gateway, ret,
		 ret ? lkl_strerror(ret) : "");
	return tap_check(!ret);
}

static enum tap_result test_sleep(void)
{
	lkltest_timespec time = { .tv_sec = options.sleep };

	NEED_KERNEL();
#ifdef PIPE_OURS
	/* The addresses are set: this is the first point that takes part. */
	if (options.backend == PIPE && netdev)
		pipe_release(netdev);
#endif
	/* Even a sleep of no time takes a tick. */
	return tap_check(!options.sleep || CALL(lkl_sys_nanosleep(&time, NULL)) == 0);
}

/* ---- the other side ---- */

static enum tap_result test_icmp(void)
{
	const char *dst = options.dst;

	NEED_INTERFACE();
	if (!dst && options.backend == LOOPBACK)
		dst = "127.0.0.1";
	if (!dst)
		return tap_skip("no --dst was given");
	return ping(dst, KERNEL_AF_INET);
}

static enum tap_result test_icmp6(void)
{
	NEED_IPV6();
	return ping(options.dst6, KERNEL_AF_INET6);
}

/* On loopback both ends are this program's. */
static enum tap_result tcp_point(const char *dst, int family)
{
	struct server server = { .sock = -1 };
	enum tap_result result = TAP_FAIL;

	NEED_INTERFACE();
	if (options.backend != LOOPBACK)
		return tcp_echo(dst, family, options.tcp_port, options.tcp_bytes);
	if (server_start(&server, dst, family, options.tcp_port))
		result = tcp_echo(dst, family, options.tcp_port, options.tcp_bytes);
	server_stop(&server);
	tap_logf("server: %lu connections, %lu bytes echoed\n", server.connections, server.bytes);
	return result == TAP_OK && !server.failed ? TAP_OK : TAP_FAIL;
}

static enum tap_result test_tcp(void)
{
	if (!options.dst && options.backend != LOOPBACK)
		return tap_skip("no --dst was given");
	return tcp_point(options.dst ? options.dst : "127.0.0.1", KERNEL_AF_INET);
}

static enum tap_result test_tcp6(void)
{
	NEED_IPV6();
	return tcp_point(options.dst6, KERNEL_AF_INET6);
}

static int peer_gone(void)
{
#ifdef PIPE_OURS
	if (options.backend == PIPE)
		return ((struct pipe_netdev *)netdev)->peer_gone;
#endif
	return 0;
}

/*
 * The other kernel's server. It leaves once the client is done: all that was
 * expected is served and the client hung up, where the device can tell, or
 * has had the time to take the last of it.
 */
static enum tap_result test_tcp_serve(void)
{
	struct server servers[2] = { { .sock = -1 }, { .sock = -1 } };
	static const lkltest_timespec pause = { .tv_nsec = 10000000 };
	unsigned long served = 0, bytes = 0, before = 0;
	int good, grace = 200, silence = 0;

	NEED_INTERFACE();
	good = server_start(&servers[0], "0.0.0.0", KERNEL_AF_INET, options.tcp_port);
	/* Takes IPv6 alone, since the other one has the port for IPv4. */
	if (options.ip6 && has_ipv6())
		good &= server_start(&servers[1], options.ip6, KERNEL_AF_INET6,
				     options.tcp_port);

	while (good && !peer_gone() && silence < 6 * TCP_SILENCE_MS / 10) {
		served = servers[0].connections + servers[1].connections;
		if (servers[0].failed || servers[1].failed)
			break;
		if (served >= options.tcp_listen && !grace--)
			break;
		bytes = servers[0].bytes + servers[1].bytes;
		silence = bytes == before ? silence + 1 : 0;
		before = bytes;
		lkl_sys_nanosleep((lkltest_timespec *)&pause, NULL);
	}
	server_stop(&servers[1]);
	server_stop(&servers[0]);
	served = servers[0].connections + servers[1].connections;
	bytes = servers[0].bytes + servers[1].bytes;
	tap_logf("server: %lu of %lu connections, %lu bytes echoed%s\n", served,
		 options.tcp_listen, bytes, peer_gone() ? ", the far end is gone" : "");
	return tap_check(good && served >= options.tcp_listen &&
			 !servers[0].failed && !servers[1].failed);
}

static enum tap_result test_stop_kernel(void)
{
	NEED_KERNEL();
	return tap_check(CALL(lkl_sys_halt()) == 0 && !lkl_is_running());
}

/* The points that the options ask for, in their order. */
static int plan(struct tap_point *points)
{
	const struct {
		struct tap_point point;
		int wanted;
	} all[] = {
		{ TAP_POINT(nd_create), 1 },
		{ TAP_POINT(nd_add), 1 },
		{ TAP_POINT(start_kernel), 1 },
		{ TAP_POINT(nd_ifindex), 1 },
		{ TAP_POINT(if_up), 1 },
		{ TAP_POINT(set_ipv4), 1 },
		{ TAP_POINT(set_ipv6), !!options.ip6 },
		{ TAP_POINT(set_gateway), 1 },
		{ TAP_POINT(sleep), 1 },
		{ TAP_POINT(icmp), 1 },
		{ TAP_POINT(icmp6), !!options.dst6 },
		{ TAP_POINT(tcp), !!options.tcp_bytes },
		{ TAP_POINT(tcp6), options.tcp_bytes && options.dst6 },
		{ TAP_POINT(tcp_serve), !!options.tcp_listen },
		{ TAP_POINT(nd_remove), 1 },
		{ TAP_POINT(stop_kernel), 1 },
	};
	int count = 0;

	for (int i = 0; i < TAP_COUNT(all); i++) {
		if (all[i].wanted)
			points[count++] = all[i].point;
	}
	return count;
}

static int usage(const char *program, const char *what, const char *value)
{
	if (what)
		fprintf(stderr, "%s: bad %s \"%s\"\n", program, what, value ? value : "");
	fprintf(stderr,
		"usage: %s [--backend tap|macvtap|raw|pipe|loopback] [--ifname NAME] [--ip A]\n"
		"\t[--netmask-len N] [--gateway G] [--dst D] [--dhcp] [--sleep S]\n", program);
	return 255;
}

/* Not given counts as good: *value keeps what it was. */
static int number(const char *text, unsigned long max, unsigned long *value)
{
	unsigned long parsed;
	char *end;

	if (!text)
		return 1;
	parsed = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || parsed > max)
		return 0;
	*value = parsed;
	return 1;
}

static int is_address(const char *text, int family)
{
	struct address address;

	return !text || parse_address(text, family, 0, &address);
}

static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* Both return 0, or the exit status for what cannot be used. */
static int read_command_line(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "ifname", required_argument, NULL, 'i' },
		{ "ip", required_argument, NULL, 'a' },
		{ "netmask-len", required_argument, NULL, 'n' },
		{ "gateway", required_argument, NULL, 'g' },
		{ "dst", required_argument, NULL, 'd' },
		{ "dhcp", no_argument, NULL, 'h' },
		{ "sleep", required_argument, NULL, 's' },
		{ 0 },
	};
	int option, i;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'b':
			for (i = 0; i < TAP_COUNT(backends); i++)
				if (!strcmp(optarg, backends[i]))
					break;
			if (i == TAP_COUNT(backends))
				return usage(argv[0], "--backend", optarg);
			options.backend = i;
			break;
		case 'i':
			options.ifname = optarg;
			break;
		case 'a':
			options.ip = optarg;
			break;
		case 'n':
			if (!number(optarg, 32, &options.netmask_len))
				return usage(argv[0], "--netmask-len", optarg);
			break;
		case 'g':
			options.gateway = optarg;
			break;
		case 'd':
			options.dst = optarg;
			break;
		case 'h':
			options.dhcp = 1;
			break;
		case 's':
			if (!number(optarg, 1000000, &options.sleep))
				return usage(argv[0], "--sleep", optarg);
			break;
		default:
			return usage(argv[0], NULL, NULL);
		}
	}
	if (optind < argc)
		return usage(argv[0], "argument", argv[optind]);
	if (options.backend != LOOPBACK && !options.ifname)
		return usage(argv[0], "--ifname", "");
	if (!is_address(options.ip, KERNEL_AF_INET))
		return usage(argv[0], "--ip", options.ip);
	if (!is_address(options.gateway, KERNEL_AF_INET))
		return usage(argv[0], "--gateway", options.gateway);
	if (!is_address(options.dst, KERNEL_AF_INET))
		return usage(argv[0], "--dst", options.dst);
	return 0;
}

static int read_environment(const char *program)
{
	struct {
		const char *name;
		unsigned long max, *value;
	} numbers[] = {
		{ "LKLTEST_TCP", 1UL << 40, &options.tcp_bytes },
		{ "LKLTEST_TCP_PORT", 65535, &options.tcp_port },
		{ "LKLTEST_TCP_LISTEN", 1000, &options.tcp_listen },
		{ "LKLTEST_NETMASK6_LEN", 128, &options.netmask6_len },
	};
	int i;

	options.ip6 = from_environment("LKLTEST_IP6");
	options.dst6 = from_environment("LKLTEST_DST6");
	if (!is_address(options.ip6, KERNEL_AF_INET6))
		return usage(program, "LKLTEST_IP6", options.ip6);
	if (!is_address(options.dst6, KERNEL_AF_INET6))
		return usage(program, "LKLTEST_DST6", options.dst6);
	for (i = 0; i < TAP_COUNT(numbers); i++) {
		const char *text = from_environment(numbers[i].name);

		if (!number(text, numbers[i].max, numbers[i].value))
			return usage(program, numbers[i].name, text);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct tap_point points[20];
	int failed, count;

	failed = read_command_line(argc, argv);
	if (!failed)
		failed = read_environment(argv[0]);
	if (failed)
		return failed;

	lkl_host_ops.print = tap_log;
	if (lkltest_init() < 0) {
		fprintf(stderr, "%s: lkl_init() failed\n", argv[0]);
		return 1;
	}
	count = plan(points);
	failed = tap_run(points, count, "net %s", backends[options.backend]);
	lkltest_cleanup();
	return failed;
}
