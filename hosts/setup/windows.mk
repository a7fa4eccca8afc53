# SPDX-License-Identifier: GPL-2.0-only
#
# The bundled kernel with the suites' programs, in Windows programs: see windows/calls.h. LKL's own
# Windows build needs a toolchain that Debian does not have (a Windows one whose long has 64 bits).
# wine.toml has it as a step of the set-up (lkltest/setup/); works on its own, too:
#     make -f hosts/setup/windows.mk [BUILD=dir] windows-kernel

BUILD ?= build
HERE := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
SUITES := $(HERE)/../../suites
WINDOWS_CC ?= x86_64-w64-mingw32-gcc

LKL := $(BUILD)/src/src/linux/tools/lkl
MUSL := /usr/lib/x86_64-linux-musl/libc.a

KERNEL_SIDE := $(BUILD)/windows-kernel
KERNEL_TESTS := $(KERNEL_SIDE)/tests
KERNEL_SOURCES := $(HERE)/windows/kernel.c $(HERE)/windows/libc.c \
	$(addprefix $(LKL)/lib/,fs.c iomem.c jmp_buf.c net.c utils.c virtio.c virtio_blk.c virtio_net.c)

# Free in every 64 bit process, and below 4 GB, as the kernel's code has 32 bit addresses.
KERNEL_ADDRESS := 0x20000000
# Frame pointers, as the kernel has them: gcc writes no unwind table for what it compiles for System V.
KERNEL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -fno-omit-frame-pointer -fno-stack-protector -mno-red-zone \
	-nostdinc -isystem /usr/include/x86_64-linux-musl -isystem $$(gcc -print-file-name=include) \
	-DCONFIG_AUTO_LKL_POSIX_HOST -isystem $(LKL)/include -iquote $(LKL)/lib -I$(SUITES)
KERNEL_LDFLAGS := -static -nostdlib -no-pie -Wl,-Ttext-segment=$(KERNEL_ADDRESS) \
	-Wl,-z,noexecstack -Wl,--strip-debug -Wl,--build-id=none

.PHONY: windows-kernel
windows-kernel: $(addprefix $(KERNEL_TESTS)/,boot.exe disk.exe net-test.exe autoconf.sh)

$(KERNEL_SIDE)/boot.elf: $(SUITES)/boot/boot.c
$(KERNEL_SIDE)/disk.elf: $(SUITES)/disk/disk.c
$(KERNEL_SIDE)/net-test.elf: $(SUITES)/net/net-test.c

$(KERNEL_SIDE)/%.elf: $(wildcard $(SUITES)/*.h $(SUITES)/*/*.h $(HERE)/windows/*.[ch] $(BUILD)/.kernel-*) $(HERE)/windows.mk
	@mkdir -p $(@D)
	gcc $(KERNEL_CFLAGS) $(KERNEL_LDFLAGS) -o $@.part \
			$(filter $(SUITES)/%.c,$^) $(KERNEL_SOURCES) $(LKL)/lib/lkl.o $(MUSL)
	mv $@.part $@

$(KERNEL_TESTS)/%.exe: $(KERNEL_SIDE)/%.elf
	@mkdir -p $(@D)
	$(WINDOWS_CC) -std=gnu11 -O2 -fno-omit-frame-pointer -Wall -Wextra -g -static -DKERNEL='"$<"' \
			-o $@.part $(addprefix $(HERE)/windows/,windows.c locks.c threads.c)
	mv $@.part $@

# The file systems and protocols of the bundled kernel; the same words as in bundled.mk.
$(KERNEL_TESTS)/autoconf.sh: $(HERE)/windows.mk
	@mkdir -p $(@D)
	@printf '%s\n' LKL_HOST_CONFIG_NT=y LKLTEST_BUNDLED=y LKLTEST_KERNEL=4.9 \
		LKLTEST_DISK_REMOUNT=y LKLTEST_NET_TCP=y LKLTEST_NET_IPV6=y >$@.part
	mv $@.part $@
