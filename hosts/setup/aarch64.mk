# SPDX-License-Identifier: GPL-2.0-only
#
# The bundled kernel for aarch64 with ext4 and vfat, and the suite programs linked with it: what
# QEMU's user mode emulation is tried on. Works on its own,
#     make -f hosts/setup/aarch64.mk [BUILD=dir]
# once the bundled kernel is built in BUILD. Needs gcc-aarch64-linux-gnu.

BUILD ?= build
HERE := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
SUITES := $(HERE)/../../suites
ARM := $(BUILD)/aarch64
TREE := $(ARM)/src/src/linux
LKL := $(TREE)/tools/lkl
CROSS := aarch64-linux-gnu-

.PHONY: aarch64
aarch64: $(ARM)/tests/autoconf.sh

# This LKL knows Arm's 32 bits; its 64 want nothing more than to be named. The last file says that
# all of it is whole.
$(ARM)/tests/autoconf.sh: | $(BUILD)/tests/autoconf.sh
	rm -rf $(ARM) && mkdir -p $(ARM)/tests $(ARM)/src
	tar -xzf $(BUILD)/lkl-*.tgz -C $(ARM)/src --strip-components=1
	cd $(TREE) && GIT_DIR=/dev/null git apply -p1 $(abspath $(HERE)/bundled.patch)
	sed -i 's/elf32-littlearm/& elf64-littleaarch64/' $(LKL)/Makefile $(TREE)/arch/lkl/Makefile
	sed -i '/select 64BIT if OUTPUT_FORMAT = "elf64-x86-64"$$/a \
		select 64BIT if OUTPUT_FORMAT = "elf64-littleaarch64"' $(TREE)/arch/lkl/Kconfig
	sed -i '/XFS\|BTRFS\|NLS_MAC\|NLS_KOI\|NLS_CODEPAGE_[789]\|NLS_CODEPAGE_12\|DEBUG_INFO/d' \
		$(TREE)/arch/lkl/defconfig
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u MAKEOVERRIDES -u BUILD \
		KBUILD_BUILD_USER=lkltest KBUILD_BUILD_HOST=lkltest \
		$(MAKE) --no-print-directory -j$$(nproc) -C $(LKL) KALLSYMS_EXTRA_PASS=1 \
		CROSS_COMPILE=$(CROSS) static
	for source in boot/boot disk/disk net/net-test; do \
		$(CROSS)gcc @$(SUITES)/cflags -I$(SUITES) -DCONFIG_AUTO_LKL_POSIX_HOST \
			-isystem $(LKL)/include -o $(ARM)/tests/$${source#*/} $(SUITES)/$$source.c \
			$(LKL)/liblkl.a -lrt -Wl,-z,noexecstack || exit; \
	done
	cp $(BUILD)/tests/autoconf.sh $@
