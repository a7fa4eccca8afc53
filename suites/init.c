// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first program of a guest: mounts what programs expect, loads kernel
 * modules, runs one program, reports how it ended and powers the guest off.
 *
 * What to do it reads from the file /lkltest.config of its initramfs: strings
 * that end in NUL, a word of these and a blank in front of each value:
 *
 *	token T		unguessable: begins every report, no output can fake it
 *	status DEVICE	where reports go; the console when there is none
 *	module FILE	load it, in this order
 *	wait FILE	until it exists (a device found late), for 10 seconds
 *	vfio ADDRESS	give a PCI device to vfio-pci, for a driver in the program
 *	arg WORD	of the command line; the first is the program's file
 *	env NAME=VALUE	of its environment
 *
 * A report is a line: "T started 72" (its process), "T exited 0", "T signalled 11",
 * "T failed TEXT", "T warning TEXT".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CONFIG_FILE "/lkltest.config"
#define MAX_WORDS 256
#define WAIT_STEPS 1000
#define WAIT_STEP_NS 10000000

static struct {
	const char *token;
	int status_fd;
	char *args[MAX_WORDS + 1];
	int arg_count;
	char *env[MAX_WORDS + 1];
	int env_count;
} config = { .token = "", .status_fd = 1 };

__attribute__((format(printf, 1, 2)))
static void report(const char *fmt, ...)
{
	char line[1024];
	va_list args;
	int start, len;

	start = snprintf(line, sizeof(line), "%s ", config.token);
	va_start(args, fmt);
	len = vsnprintf(line + start, sizeof(line) - start - 1, fmt, args);
	va_end(args);
	if (len > (int)sizeof(line) - start - 2)
		len = sizeof(line) - start - 2;
	line[start + len] = '\n';
	if (write(config.status_fd, line, start + len + 1) < 0)
		perror("init: status");
}

static void power_off(void)
{
	sync();
	tcdrain(1);
	tcdrain(config.status_fd);
	reboot(RB_POWER_OFF);
	/* No way to power off: a halt is the end as well. */
	reboot(RB_HALT_SYSTEM);
	for (;;)
		pause();
}

__attribute__((format(printf, 1, 2)))
static void fail(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	report("failed %s", text);
	power_off();
}

static void mount_on(const char *type, const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail("mkdir %s: %s", path, strerror(errno));
	/* The kernel mounts devtmpfs itself where the root is a file system of its own. */
	if (mount(type, path, type, 0, NULL) < 0 && errno != EBUSY)
		report("warning mount %s: %s", path, strerror(errno));
}

static void mount_all(void)
{
	mount_on("proc", "/proc");
	mount_on("sysfs", "/sys");
	mount_on("devtmpfs", "/dev");
	mount_on("devpts", "/dev/pts");
	mount_on("tmpfs", "/dev/shm");
	mount_on("tmpfs", "/tmp");
	/* The kernel opened what stood in the initramfs, if anything did. */
	if (fcntl(1, F_GETFD) < 0) {
		int fd = open("/dev/console", O_RDWR);

		if (fd >= 0) {
			dup2(fd, 0);
			dup2(fd, 1);
			dup2(fd, 2);
		}
	}
}

/* The device must add nothing to a report, no carriage returns either. */
static void open_status(const char *path)
{
	int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	struct termios settings;

	if (fd < 0)
		fail("open %s: %s", path, strerror(errno));
	if (!tcgetattr(fd, &settings)) {
		cfmakeraw(&settings);
		tcsetattr(fd, TCSANOW, &settings);
	}
	config.status_fd = fd;
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	/* What is loaded or built in already is as good. */
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		report("warning module %s: %s", path, strerror(errno));
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
}

static void wait_for(const char *path)
{
	static const struct timespec step = { .tv_nsec = WAIT_STEP_NS };
	struct stat found;
	int i;

	for (i = 0; stat(path, &found) < 0; i++) {
		if (i == WAIT_STEPS)
			fail("%s did not appear", path);
		nanosleep(&step, NULL);
	}
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), done;

	if (fd < 0)
		return 0;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

/* A driver of the kernel's may have the device, or be about to take it. */
static void give_to_vfio(const char *address)
{
	static const struct timespec step = { .tv_nsec = WAIT_STEP_NS };
	char path[128], driver[128];
	int i;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", address);
	if (!write_text(path, "vfio-pci"))
		fail("%s: %s", path, strerror(errno));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
	for (i = 0; i < WAIT_STEPS; i++) {
		ssize_t len = readlink(path, driver, sizeof(driver) - 1);

		driver[len < 0 ? 0 : len] = 0;
		if (strstr(driver, "/vfio-pci"))
			return;
		if (len > 0) {
			char unbind[sizeof(path) + 8];

			snprintf(unbind, sizeof(unbind), "%s/unbind", path);
			write_text(unbind, address);
		}
		write_text("/sys/bus/pci/drivers_probe", address);
		nanosleep(&step, NULL);
	}
	fail("%s: vfio-pci does not take it: the kernel has no IOMMU for it", address);
}

static void take_order(char *line)
{
	char *value = strchr(line, ' ');

	if (!value)
		return;
	*value++ = 0;
	if (!strcmp(line, "token"))
		config.token = value;
	else if (!strcmp(line, "status"))
		open_status(value);
	else if (!strcmp(line, "module"))
		load_module(value);
	else if (!strcmp(line, "wait"))
		wait_for(value);
	else if (!strcmp(line, "vfio"))
		give_to_vfio(value);
	else if (!strcmp(line, "arg") && config.arg_count < MAX_WORDS)
		config.args[config.arg_count++] = value;
	else if (!strcmp(line, "env") && config.env_count < MAX_WORDS)
		config.env[config.env_count++] = value;
	else
		fail("an order that cannot be followed: %s", line);
}

static void follow_orders(void)
{
	struct stat file;
	char *text, *end, *line;
	int fd = open(CONFIG_FILE, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &file) < 0)
		fail("%s: %s", CONFIG_FILE, strerror(errno));
	text = malloc(file.st_size + 1);
	if (!text || read(fd, text, file.st_size) != file.st_size)
		fail("%s: cannot be read", CONFIG_FILE);
	close(fd);
	/* Not for the program's eyes. */
	unlink(CONFIG_FILE);
	end = text + file.st_size;
	*end = 0;
	for (line = text; line < end; ) {
		char *next = line + strlen(line) + 1;

		take_order(line);
		line = next;
	}
}

static int run(void)
{
	int ended, status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid) {
		report("started %d", (int)getpid());
		setsid();
		execve(config.args[0], config.args, config.env);
		fprintf(stderr, "init: %s: %s\n", config.args[0], strerror(errno));
		report("failed %s: %s", config.args[0], strerror(errno));
		_exit(127);
	}
	/* Orphans come to the first process; what they say is of no interest. */
	do {
		ended = waitpid(-1, &status, 0);
	} while (ended != pid && (ended > 0 || errno == EINTR));
	return status;
}

int main(void)
{
	int status;

	umask(022);
	/*
	 * The config names the status device, which is found under /dev: until
	 * then reports can only go to the console.
	 */
	mount_all();
	follow_orders();
	if (!config.arg_count)
		fail("no program was named");
	status = run();
	/* All that the program printed has to be out before anybody hears. */
	tcdrain(1);
	if (WIFSIGNALED(status))
		report("signalled %d", WTERMSIG(status));
	else
		report("exited %d", WEXITSTATUS(status));
	power_off();
	return 0;
}
