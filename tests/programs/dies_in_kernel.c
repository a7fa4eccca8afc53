/* SPDX-License-Identifier: GPL-2.0-only */
/* Starts the bundled kernel and hands it a host operation that faults: it dies inside of a call. */
#include <lkl.h>
#include <lkl_host.h>
#include <stdio.h>

static volatile int *volatile nowhere;

static unsigned long long faults(void)
{
	*nowhere = 1;
	return 0;
}

int main(void)
{
	struct lkl_timespec now;

	setvbuf(stdout, NULL, _IONBF, 0);
	puts("1..2 # dies\n* 1 start");
	if (lkl_start_kernel(&lkl_host_ops, 32 << 20, ""))
		return 1;
	puts("ok 1 start\n* 2 clock");
	lkl_host_ops.time = faults;
	lkl_sys_clock_gettime(LKL_CLOCK_MONOTONIC, &now);
	return 0;
}
