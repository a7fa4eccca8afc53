# SPDX-License-Identifier: GPL-2.0-only
#
# The bundled kernel: LKL on Linux 4.9 out of the npm package lkl, built as a
# static library, and the suite programs linked with it. bundled.toml has it as
# steps of the set-up (lkltest/setup/); works on its own, too,
#     make -f hosts/setup/bundled.mk [BUILD=dir] [archive | kernel | programs]
# LKLTEST_ARCHIVE in the environment names the archive, when it is here already.

BUILD ?= build
PYTHON ?= python3
HERE := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
SUITES := $(HERE)/../../suites

LKL_PACKAGE := lkl
LKL_VERSION := 1.0.3
LKL_INTEGRITY := sha512-x9RxwXaQbeEsKs0Qd0tZWZiJrxnkUxueGY56ZrHisLmzugtFgcVKqhB5k5H2I9C6aQIBa2UUEyy/9zWcAjAaqQ==

BUNDLED_PROGRAMS := $(addprefix $(BUILD)/tests/,boot disk net-test)
BUNDLED_ARCHIVE := $(BUILD)/$(LKL_PACKAGE)-$(LKL_VERSION).tgz
# Named by what the patch holds, not by when it was written: the same one out of
# another installation builds no kernel again.
BUNDLED_KERNEL := $(BUILD)/.kernel-$(LKL_VERSION)-$(firstword $(shell cksum <$(HERE)/bundled.patch))
BUNDLED_LKL := $(BUILD)/src/src/linux/tools/lkl

SUITE_HEADERS := $(wildcard $(SUITES)/*.h $(SUITES)/*/*.h) $(SUITES)/cflags

.PHONY: programs kernel archive bundled-clean
programs: $(BUNDLED_PROGRAMS) $(BUILD)/tests/autoconf.sh
kernel: $(BUNDLED_KERNEL)
# Once the kernel is built, the archive may go.
archive: $(if $(wildcard $(BUNDLED_KERNEL)),,$(BUNDLED_ARCHIVE))

# Everything below takes its final name only when it is complete, so that what
# an interrupt leaves behind is never taken for done.

$(BUNDLED_ARCHIVE):
	rm -rf $@.part && mkdir -p $@.part
	@if [ -n "$$LKLTEST_ARCHIVE" ]; then \
		cp -- "$$LKLTEST_ARCHIVE" $@.part/$(notdir $@); \
	else \
		npm_config_update_notifier=false \
		npm pack $(LKL_PACKAGE)@$(LKL_VERSION) --pack-destination $@.part; \
	fi
	@$(PYTHON) -c 'import base64, hashlib, sys; \
		found = "sha512-" + base64.b64encode(hashlib.sha512(open(sys.argv[1], "rb").read()).digest()).decode(); \
		sys.exit(found != sys.argv[2] and f"{sys.argv[1]}: integrity is {found}, must be {sys.argv[2]}")' \
		$@.part/$(notdir $@) '$(LKL_INTEGRITY)'
	mv $@.part/$(notdir $@) $@ && rmdir $@.part

# Unpacked anew for each try: the .*.cmd files of a make that failed or was
# interrupted stop every later one ("missing separator"). git is there to apply the patch, where patch need not be;
# it must not take the checkout around it for the repository it works in.
#
# MAKEFLAGS must not be handed down: it names this file's variables and targets.
# KBUILD_BUILD_*: who builds it where is nobody's business in a test's log.
$(BUNDLED_KERNEL): | archive
	rm -rf $(BUILD)/.kernel-* $(BUILD)/src && mkdir -p $(BUILD)/src
	tar -xzf $(BUNDLED_ARCHIVE) -C $(BUILD)/src --strip-components=1
	cd $(BUILD)/src/src/linux && GIT_DIR=/dev/null git apply -p1 $(abspath $(HERE)/bundled.patch)
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u MAKEOVERRIDES -u BUILD \
		KBUILD_BUILD_USER=lkltest KBUILD_BUILD_HOST=lkltest \
		$(MAKE) --no-print-directory -j$$(nproc) -C $(BUNDLED_LKL) KALLSYMS_EXTRA_PASS=1 static
	touch $@

$(BUILD)/tests/boot: $(SUITES)/boot/boot.c
$(BUILD)/tests/disk: $(SUITES)/disk/disk.c
$(BUILD)/tests/net-test: $(SUITES)/net/net-test.c

$(BUNDLED_PROGRAMS): $(SUITE_HEADERS) $(HERE)/bundled.mk $(BUNDLED_KERNEL)
	@mkdir -p $(@D)
	gcc @$(SUITES)/cflags -I$(SUITES) -DCONFIG_AUTO_LKL_POSIX_HOST -isystem $(BUNDLED_LKL)/include \
		-o $@.part $(filter %.c,$^) $(BUNDLED_LKL)/liblkl.a -lrt -Wl,-z,noexecstack
	mv $@.part $@

# The first half says what a build can do in the words of LKL's own autoconf.sh;
# the second what only the bundled programs can do, which take it from their
# environment.
$(BUILD)/tests/autoconf.sh: $(HERE)/bundled.mk
	@mkdir -p $(@D)
	@printf '%s\n' \
		LKL_HOST_CONFIG_POSIX=y \
		LKL_HOST_CONFIG_VIRTIO_NET=y \
		LKL_HOST_CONFIG_VIRTIO_NET_FD=y \
		LKL_HOST_CONFIG_VIRTIO_NET_MACVTAP=y \
		LKLTEST_BUNDLED=y \
		LKLTEST_KERNEL=4.9 \
		LKLTEST_DISK_REMOUNT=y \
		LKLTEST_NET_TCP=y \
		LKLTEST_NET_IPV6=y \
		LKLTEST_NET_PIPE=y >$@.part
	@mv $@.part $@

bundled-clean:
	rm -rf $(BUILD)/src $(BUILD)/tests $(BUNDLED_KERNEL) $(BUNDLED_ARCHIVE)
