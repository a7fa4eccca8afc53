// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that plays a recorded console over its serial port and then ends as
 * it is told. The first module's string says how, `play speed=20000 end=spin`;
 * its data is what is played. Multiboot specification 0.6.96, section 3.3;
 * 16550 and 8254 data sheets; QEMU docs/specs/pvpanic.
 *
 * module=N	play the data of module N, of the first (0) by default
 * speed=N	bytes a second, 0 (the default) as fast as the line takes them
 * pause=N	wait for 300 milliseconds before byte N
 * mute=N	milliseconds of silence before the first byte
 * end=WHAT	idle, spin, triple, reboot, poweroff, panic, exit0, exit1, jdb
 *
 * jdb: after the stream, answer ESC with a kernel debugger's prompt and `Y`
 * with a report, as a kernel started with -serial_esc does.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

#define BOOT_MAGIC	0x2badb002
#define HAS_MODULES	(1 << 3)

#define COM1		0x3f8
#define LINE_STATUS	(COM1 + 5)
#define READABLE	0x01
#define WRITABLE	0x20
#define FIFO_BYTES	16

#define PIT_HZ		1193182
#define PIT_CHANNEL2	0x42
#define PIT_COMMAND	0x43
#define PIT_GATE	0x61

#define PM1A_CONTROL	0x604	/* where SeaBIOS puts it on pc and q35 */
#define SLEEP_ENABLE	0x2000
#define PVPANIC		0x505
#define DEBUG_EXIT	0xf4
#define RESET_CONTROL	0xcf9

struct module {
	u32 start, end, string, reserved;
};

struct boot_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
};

void spin_here(void);
void triple_fault(void);

static u32 ticks_owed, last_count;

static void outb(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void outw(u16 port, u16 value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static u8 inb(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* Channel 2 counts down from 65536 again and again, whatever interrupts do. */
static void clock_start(void)
{
	outb(PIT_GATE, (inb(PIT_GATE) & ~2) | 1);
	outb(PIT_COMMAND, 0xb4);
	outb(PIT_CHANNEL2, 0);
	outb(PIT_CHANNEL2, 0);
}

static u32 clock_count(void)
{
	u32 low;

	outb(PIT_COMMAND, 0x80);
	low = inb(PIT_CHANNEL2);
	return low | inb(PIT_CHANNEL2) << 8;
}

/* Wait until `ticks` more have passed since the last wait was due. */
static void wait_ticks(u32 ticks)
{
	ticks_owed += ticks;
	for (;;) {
		u32 count = clock_count();
		u32 passed = (last_count - count) & 0xffff;

		last_count = count;
		if (passed >= ticks_owed) {
			ticks_owed = 0;
			return;
		}
		ticks_owed -= passed;
	}
}

static void wait_ms(u32 ms)
{
	last_count = clock_count();
	while (ms--)
		wait_ticks(PIT_HZ / 1000);
}

static void print(const u8 *data, u32 bytes, u32 speed)
{
	u32 i, portion = speed ? 1 : FIFO_BYTES;

	last_count = clock_count();
	while (bytes) {
		if (portion > bytes)
			portion = bytes;
		while (!(inb(LINE_STATUS) & WRITABLE))
			;
		for (i = 0; i < portion; i++)
			outb(COM1, *data++);
		bytes -= portion;
		if (speed)
			wait_ticks(PIT_HZ / speed);
	}
}

static void print_text(const char *text)
{
	u32 length = 0;

	while (text[length])
		length++;
	print((const u8 *)text, length, 0);
}

static u8 read_key(void)
{
	while (!(inb(LINE_STATUS) & READABLE))
		;
	return inb(COM1);
}

static void debugger(void)
{
	for (;;) {
		u8 key = read_key();

		if (key == 27)
			print_text("\r\n\033[1mjdb: \033[K");
		else if (key == 'Y')
			print_text("\r\nCPU 0: 1 ready thread\r\n\033[1mjdb: \033[K");
	}
}

/* The text after `name` in `string`, or 0. */
static const char *option(const char *string, const char *name)
{
	for (; *string; string++) {
		const char *at = string, *wanted = name;

		while (*wanted && *at == *wanted) {
			at++;
			wanted++;
		}
		if (!*wanted)
			return at;
	}
	return 0;
}

static u32 number(const char *text)
{
	u32 value = 0;

	while (text && *text >= '0' && *text <= '9')
		value = value * 10 + *text++ - '0';
	return value;
}

static int starts(const char *text, const char *word)
{
	while (*word)
		if (*text++ != *word++)
			return 0;
	return 1;
}

static void end(const char *how)
{
	if (!how)
		return;
	if (starts(how, "spin"))
		spin_here();
	if (starts(how, "triple"))
		triple_fault();
	if (starts(how, "reboot"))
		outb(RESET_CONTROL, 6);
	if (starts(how, "poweroff"))
		outw(PM1A_CONTROL, SLEEP_ENABLE);
	if (starts(how, "panic"))
		outb(PVPANIC, 1);
	if (starts(how, "exit0"))
		outb(DEBUG_EXIT, 0);
	if (starts(how, "exit1"))
		outb(DEBUG_EXIT, 1);
	if (starts(how, "jdb"))
		debugger();
}

void play(u32 magic, const struct boot_info *info)
{
	const struct module *module;
	const char *string;
	const u8 *data;
	u32 chosen, bytes, speed, first;

	clock_start();
	outb(COM1 + 2, 0x07); /* FIFOs on and empty */
	outb(COM1 + 3, 0x03); /* 8 bits, no parity */
	if (magic != BOOT_MAGIC || !(info->flags & HAS_MODULES) || !info->mods_count) {
		print_text("player: no module to play\r\n");
		return;
	}
	module = (const struct module *)info->mods_addr;
	string = (const char *)module->string;
	chosen = number(option(string, "module="));
	if (chosen < info->mods_count)
		module += chosen;
	wait_ms(number(option(string, "mute=")));
	data = (const u8 *)module->start;
	bytes = module->end - module->start;
	speed = number(option(string, "speed="));
	first = number(option(string, "pause="));
	if (first && first < bytes) {
		print(data, first, speed);
		wait_ms(300);
		data += first;
		bytes -= first;
	}
	print(data, bytes, speed);
	end(option(string, "end="));
}
