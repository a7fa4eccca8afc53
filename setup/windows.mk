# SPDX-License-Identifier: GPL-2.0-only
#
# Windows programs of the suites' own sources. LKL's own Windows build needs a
# toolchain that Debian does not have (a Windows one whose long has 64 bits):
#     windows		without a kernel: host primitives alone, in a second
#     windows-kernel	with the bundled kernel, see setup/windows/calls.h
# Works on its own:
#     make -f setup/windows.mk [BUILD=dir] [windows | windows-kernel]

BUILD ?= build
WINDOWS_CC ?= x86_64-w64-mingw32-gcc

WINDOWS_TESTS := $(BUILD)/windows/tests
WINDOWS_PROGRAMS := $(addprefix $(WINDOWS_TESTS)/,boot.exe disk.exe net-test.exe)
WINDOWS_STEP := setup/step.sh

.PHONY: windows
windows: $(WINDOWS_PROGRAMS) $(WINDOWS_TESTS)/autoconf.sh

$(WINDOWS_TESTS)/boot.exe: suites/boot/boot.c
$(WINDOWS_TESTS)/disk.exe: suites/disk/disk-windows.c
$(WINDOWS_TESTS)/net-test.exe: suites/net/net-windows.c

# -static: the thread library is a DLL otherwise, which Wine does not have.
# -gdwarf-4: winedbg names no function from what gcc 12 writes by itself, DWARF 5.
$(WINDOWS_PROGRAMS): $(wildcard suites/*.h) setup/windows.mk
	@command -v $(WINDOWS_CC) >/dev/null || \
		{ echo '$(WINDOWS_CC) is missing: apt-get install gcc-mingw-w64-x86-64' >&2; exit 1; }
	@mkdir -p $(@D) $(BUILD)/log
	@$(WINDOWS_STEP) 'compiling $(@F) for Windows' $(BUILD)/log/windows-$(@F).log \
		$(WINDOWS_CC) -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wno-unused-parameter -gdwarf-4 \
		-DLKLTEST_NO_KERNEL -Isuites -pthread -static -o $@.part $(filter %.c,$^) -lws2_32
	@mv $@.part $@

$(WINDOWS_TESTS)/autoconf.sh: setup/windows.mk
	@mkdir -p $(@D)
	@printf '%s\n' LKL_HOST_CONFIG_NT=y LKLTEST_NO_KERNEL=y >$@.part
	@mv $@.part $@

LKL := $(BUILD)/src/src/linux/tools/lkl
MUSL := /usr/lib/x86_64-linux-musl/libc.a

KERNEL_SIDE := $(BUILD)/windows-kernel
KERNEL_TESTS := $(KERNEL_SIDE)/tests
KERNEL_SOURCES := setup/windows/kernel.c setup/windows/libc.c \
	$(addprefix $(LKL)/lib/,fs.c iomem.c jmp_buf.c net.c utils.c virtio.c virtio_blk.c virtio_net.c)

# Free in every 64 bit process, and below 4 GB, as the kernel's code has 32 bit addresses.
KERNEL_ADDRESS := 0x20000000
KERNEL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -fno-stack-protector -mno-red-zone \
	-nostdinc -isystem /usr/include/x86_64-linux-musl -isystem $$(gcc -print-file-name=include) \
	-DCONFIG_AUTO_LKL_POSIX_HOST -isystem $(LKL)/include -iquote $(LKL)/lib -Isuites
KERNEL_LDFLAGS := -static -nostdlib -no-pie -Wl,-Ttext-segment=$(KERNEL_ADDRESS) \
	-Wl,-z,noexecstack -Wl,--strip-debug -Wl,--build-id=none

.PHONY: windows-kernel
windows-kernel: $(addprefix $(KERNEL_TESTS)/,boot.exe disk.exe net-test.exe autoconf.sh)

$(KERNEL_SIDE)/boot.elf: suites/boot/boot.c
$(KERNEL_SIDE)/disk.elf: suites/disk/disk.c
$(KERNEL_SIDE)/net-test.elf: suites/net/net-test.c

$(KERNEL_SIDE)/%.elf: $(wildcard suites/*.h suites/*/*.h setup/windows/*.[ch]) setup/windows.mk
	@[ -e $(LKL)/lib/lkl.o ] || { echo 'the bundled kernel is missing: make build' >&2; exit 1; }
	@[ -e $(MUSL) ] || { echo '$(MUSL) is missing: apt-get install musl-dev' >&2; exit 1; }
	@mkdir -p $(@D) $(BUILD)/log
	@$(WINDOWS_STEP) 'compiling $* with its kernel' $(BUILD)/log/windows-kernel-$*.log \
		gcc $(KERNEL_CFLAGS) $(KERNEL_LDFLAGS) -o $@.part \
			$(filter suites/%.c,$^) $(KERNEL_SOURCES) $(LKL)/lib/lkl.o $(MUSL)
	@mv $@.part $@

$(KERNEL_TESTS)/%.exe: $(KERNEL_SIDE)/%.elf
	@command -v $(WINDOWS_CC) >/dev/null || \
		{ echo '$(WINDOWS_CC) is missing: apt-get install gcc-mingw-w64-x86-64' >&2; exit 1; }
	@mkdir -p $(@D)
	@$(WINDOWS_STEP) 'making $(@F) with its kernel for Windows' $(BUILD)/log/windows-kernel-$(@F).log \
		$(WINDOWS_CC) -std=gnu11 -O2 -Wall -Wextra -gdwarf-4 -static -DKERNEL='"$<"' \
			-o $@.part $(addprefix setup/windows/,windows.c locks.c threads.c)
	@mv $@.part $@

# The file systems and protocols of the bundled kernel; the same words as in bundled.mk.
$(KERNEL_TESTS)/autoconf.sh: setup/windows.mk
	@mkdir -p $(@D)
	@printf '%s\n' LKL_HOST_CONFIG_NT=y LKLTEST_BUNDLED=y LKLTEST_KERNEL=4.9 \
		LKLTEST_DISK_REMOUNT=y LKLTEST_NET_TCP=y LKLTEST_NET_IPV6=y >$@.part
	@mv $@.part $@
