// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program of a fake build: what contract.c does for its argument MODE,
 * whatever the suite says on its command line.
 */
#define main contract_main
#include "../../lkltest/testing/contract.c"
#undef main

#define STRING(x) #x
#define QUOTED(x) STRING(x)

int main(int argc, char **argv)
{
	char *words[] = { argv[0], QUOTED(MODE), QUOTED(ARGUMENT), NULL };

	(void)argc;
	if (!strcmp(words[1], "fail-then-hang")) {
		plan(3);
		point(1, "first", "ok");
		point(2, "second", "not ok");
		announce(3, "third");
		hang();
	}
	if (!strcmp(words[1], "no-driver")) {
		plan(2);
		announce(1, "mount_dev");
		puts("not ok 1 mount_dev\n ---\n log: |\n"
		     "  lkl_mount_dev(disk_id, 0, \"x\") = -19 No such device\n ...");
		announce(2, "chdir_mnt_point");
		hang();
	}
	if (!strcmp(words[1], "no-charset")) {
		plan(2);
		announce(1, "mount_dev");
		puts("[    1.570000] FAT-fs (ubda): codepage cp437 not found\n"
		     "not ok 1 mount_dev\n ---\n log: |\n"
		     "  lkl_mount_dev(disk_id, 0, \"vfat\") = -22 Invalid argument\n ...");
		announce(2, "chdir_mnt_point");
		hang();
	}
	if (!strcmp(words[1], "fail-once")) {
		/* The first run makes the file, those after it find it. */
		const char *file = getenv("FAKE_ONCE");
		int made = file ? open(file, O_CREAT | O_EXCL, 0600) : -1;

		words[1] = made < 0 ? "pass" : "fail";
	}
	if (!strcmp(words[1], "once") || !strcmp(words[1], "always")) {
		/* ARGUMENT is what the first run does, or all; each adds a byte to the file. */
		int file = open(getenv("FAKE_ONCE"), O_CREAT | O_APPEND | O_RDWR, 0600);
		int first = file >= 0 && lseek(file, 0, SEEK_END) == 0;

		if (file < 0 || write(file, "x", 1) != 1)
			return 9;
		words[1] = first || words[1][0] == 'a' ? words[2] : "pass";
		if (!strcmp(words[1], "fail-then-hang")) {
			plan(2);
			point(1, "first", "not ok");
			announce(2, "second");
			hang();
		}
		if (!strcmp(words[1], "cut-then-hang")) {
			plan(1);
			fputs("not ok 1 first", stdout);
			fflush(stdout);
			hang();
		}
		if (!strcmp(words[1], "oops-then-hang")) {
			plan(1);
			announce(1, "first");
			puts("[    1.250000] BUG: kernel NULL pointer dereference, address: 0");
			fflush(stdout);
			hang();
		}
	}
	return contract_main(3, words);
}
