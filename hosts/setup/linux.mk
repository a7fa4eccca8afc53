# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's kernels for virtual machines: the quick one, one with all drivers, and one for Arm's
# processors. Works on its own,
#     make -f hosts/setup/linux.mk [BUILD=dir] [linux | linux-generic | linux-arm64]

BUILD ?= build
HERE := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

.PHONY: linux linux-generic linux-arm64
linux: $(BUILD)/linux
linux-generic: $(BUILD)/linux-generic
linux-arm64: $(BUILD)/linux-arm64

$(BUILD)/linux:
	sh $(HERE)/linux.sh $@
$(BUILD)/linux-generic:
	sh $(HERE)/linux.sh $@ linux-image-amd64
$(BUILD)/linux-arm64:
	sh $(HERE)/linux.sh $@ "" arm64
