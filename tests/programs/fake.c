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
	if (!strcmp(words[1], "fail-once")) {
		/* The first run makes the file, those after it find it. */
		const char *file = getenv("FAKE_ONCE");
		int made = file ? open(file, O_CREAT | O_EXCL, 0600) : -1;

		words[1] = made < 0 ? "pass" : "fail";
	}
	return contract_main(3, words);
}
