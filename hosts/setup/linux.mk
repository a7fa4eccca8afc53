# SPDX-License-Identifier: GPL-2.0-only
#
# Debian's kernels for virtual machines: the quick one, and one with all drivers. Works on its own,
#     make -f hosts/setup/linux.mk [BUILD=dir] [linux | linux-generic]

BUILD ?= build
HERE := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

.PHONY: linux linux-generic
linux: $(BUILD)/linux
linux-generic: $(BUILD)/linux-generic

$(BUILD)/linux:
	sh $(HERE)/linux.sh $@
$(BUILD)/linux-generic:
	sh $(HERE)/linux.sh $@ linux-image-amd64
