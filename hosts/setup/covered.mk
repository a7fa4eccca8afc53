# SPDX-License-Identifier: GPL-2.0-only
#
# The bundled kernel once more, with gcc's --coverage in some of its folders, and the suite programs
# linked with it: for `lkltest run --coverage` (docs/coverage-of-kernels.md). Works on its own,
#     make -f hosts/setup/covered.mk [BUILD=dir] [FOLDERS='fs/ext4 net/ipv4']
# once the bundled kernel is built in BUILD. Only what is instrumented is compiled anew.

BUILD ?= build
FOLDERS ?= fs/ext4
HERE := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
SUITES := $(HERE)/../../suites
COVERED := $(BUILD)/covered
TREE := $(COVERED)/src/src/linux
LKL := $(TREE)/tools/lkl

.PHONY: covered
covered: $(COVERED)/tests/autoconf.sh

# What starts and ends gcc's counting lies in sections that the kernel does not keep. The .*.cmd
# files of an earlier make in tools/lkl stop this one ("missing separator"). Objects know where their
# notes are, so that it is made in place; its last file says that it is whole.
$(COVERED)/tests/autoconf.sh:
	rm -rf $(COVERED) && mkdir -p $(COVERED)/tests
	cp -a $(BUILD)/src $(COVERED)
	for folder in $(FOLDERS); do \
		echo 'ccflags-y += --coverage' >>$(TREE)/$$folder/Makefile || exit; \
	done
	sed -i '/^\tDISCARDS$$/i \
		.init_array : { KEEP(*(.init_array .init_array.*)) } \
		.fini_array : { KEEP(*(.fini_array .fini_array.*)) } \
		.kept_exit : { KEEP(*(.text.exit .text.exit.*)) }' $(TREE)/arch/lkl/kernel/vmlinux.lds.S
	find $(LKL) -name '.*.cmd' -delete -o -name '*.o' -delete -o -name liblkl.a -delete
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u MAKEOVERRIDES -u BUILD \
		KBUILD_BUILD_USER=lkltest KBUILD_BUILD_HOST=lkltest \
		$(MAKE) --no-print-directory -j$$(nproc) -C $(LKL) KALLSYMS_EXTRA_PASS=1 static
	for source in boot/boot disk/disk net/net-test; do \
		gcc @$(SUITES)/cflags -I$(SUITES) -DCONFIG_AUTO_LKL_POSIX_HOST -isystem $(LKL)/include \
			-o $(COVERED)/tests/$${source#*/} $(SUITES)/$$source.c $(LKL)/liblkl.a \
			-lrt -lgcov -Wl,-z,noexecstack || exit; \
	done
	cp $(BUILD)/tests/autoconf.sh $@
