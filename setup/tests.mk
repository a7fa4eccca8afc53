# SPDX-License-Identifier: GPL-2.0-only
#
# What tests need and Debian's packages would bring with a service that starts.

BUILD ?= build
HERE := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

.PHONY: sshd
sshd: $(BUILD)/sshd

$(BUILD)/sshd:
	sh $(HERE)/sshd.sh $@
