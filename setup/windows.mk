# SPDX-License-Identifier: GPL-2.0-only
#
# Windows programs of the suites' own sources, without a kernel: LKL's Windows
# build needs a toolchain that Debian does not have, so these are what proves
# the Wine host. Works on its own and included by the top-level Makefile:
#     make -f setup/windows.mk [BUILD=dir] windows

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
