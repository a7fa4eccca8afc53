# SPDX-License-Identifier: GPL-2.0-only
#
#   make run-tests    run the suites on a real kernel; sets up what it needs
#   make check        lkltest's own tests, lint and type check
#   make faults       attacks lkltest itself for half an hour (docs/faults.md)
#   make coverage     branch coverage of lkltest/ and hosts/ by the checks (docs/coverage.md)
#   make bench        ratios, measured side by side
#   make doctor       what can run here, what is missing
#
# HOST=name, BUILD=dir, SUITES="disk[ext4] net", JOBS=n choose what run-tests does.

PYTHON ?= python3
HOST ?=
SUITES ?=
JOBS ?= 1
JUNIT ?= junit

VENV := .venv
BUNDLED := build
STEP := setup/step.sh

RUN_PACKAGES := gcc=gcc /usr/include/stdio.h=libc6-dev gdb=gdb \
	mkfs.ext4=e2fsprogs mkfs.btrfs=btrfs-progs mkfs.vfat=dosfstools mkfs.xfs=xfsprogs \
	unshare=util-linux
KERNEL_PACKAGES := bc=bc npm=npm
WINE_PACKAGES := /usr/lib/wine/wine64=wine64
WINDOWS_PACKAGES := x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64 \
	x86_64-w64-mingw32-g++=g++-mingw-w64-x86-64 /usr/lib/x86_64-linux-musl/libc.a=musl-dev
UML_PACKAGES := linux.uml=user-mode-linux uml_mconsole=uml-utilities cpio=cpio
BROWSER_PACKAGES := chromium=chromium chromedriver=chromium-driver fc-list=fontconfig \
	/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf=fonts-dejavu-core
FAKETIME := /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1
QEMU_PACKAGES := qemu-system-x86_64=qemu-system-x86 depmod=kmod
# What tests make CDs with, and the other machine that they boot.
BOOT_PACKAGES := qemu-system-aarch64=qemu-system-arm grub-mkrescue=grub-common /usr/lib/grub/i386-pc/multiboot.mod=grub-pc-bin \
	xorriso=xorriso mformat=mtools

.PHONY: run-tests check lint types tests faults coverage bench doctor fresh clean setup setup-dev build windows windows-kernel linux \
	linux-generic wine-for-tests qemu-for-tests uml-for-tests
.DEFAULT_GOAL := run-tests

run-tests: setup
	@$(VENV)/bin/lkltest run $(SUITES) $(foreach host,$(HOST),--host $(host)) \
		$(if $(BUILD),--build '$(BUILD)') --junit-dir '$(JUNIT)' -j $(JOBS)

doctor: setup
	@$(VENV)/bin/lkltest doctor $(if $(BUILD),--build '$(BUILD)')

check: lint types tests

lint: setup-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: setup-dev
	$(VENV)/bin/mypy

tests: setup-dev wine-for-tests qemu-for-tests uml-for-tests browser-for-tests
	$(VENV)/bin/pytest tests -q

# What failed in the last `make tests`, once more: tells what is broken from what a busy machine or a
# rare fault of a kernel under test did.
tests-again: setup-dev
	$(VENV)/bin/pytest tests -q --last-failed --last-failed-no-failures none

# Its short form is part of the tests. LKLTEST_SEED=n repeats a run.
faults: setup-dev wine-for-tests qemu-for-tests uml-for-tests
	-@setup/packages.sh $(FAKETIME)=libfaketime
	$(VENV)/bin/python -m tests.faults

coverage: setup-dev wine-for-tests qemu-for-tests uml-for-tests
	$(VENV)/bin/pytest tests -q --cov --cov-report=term:skip-covered --cov-report=html:$(BUNDLED)/coverage

bench: setup-dev
	$(VENV)/bin/python -m tests.bench

build: $(BUNDLED)/.packages-kernel
	@$(MAKE) --no-print-directory -s -f setup/bundled.mk BUILD=$(BUNDLED) bundled

# Windows programs of the suites' own: without a kernel, and with the bundled one in them, which are
# the wine host's default build.
windows: $(BUNDLED)/.packages-windows
	@$(MAKE) --no-print-directory -s -f setup/windows.mk BUILD=$(BUNDLED) windows

windows-kernel: $(BUNDLED)/.packages-windows build
	@$(MAKE) --no-print-directory -s -f setup/windows.mk BUILD=$(BUNDLED) windows-kernel

ifneq ($(filter wine,$(HOST)),)
setup: $(BUNDLED)/.packages-wine $(if $(BUILD),,windows-kernel)
endif

# Where these cannot be installed, check skips its Wine tests and says so; CI allows no such skip.
wine-for-tests:
	-@$(MAKE) --no-print-directory -s $(BUNDLED)/.packages-wine windows windows-kernel

# A Linux kernel for virtual machines, the qemu host's default build.
linux: $(BUNDLED)/.packages-qemu
	@[ -d $(BUNDLED)/linux ] || $(STEP) "fetching Debian's kernel for guests" \
		$(BUNDLED)/log/linux.log setup/linux.sh $(BUNDLED)/linux

# One with all drivers, which takes longer to boot: for tests of devices.
linux-generic: $(BUNDLED)/.packages-qemu
	@[ -d $(BUNDLED)/linux-generic ] || $(STEP) "fetching Debian's generic kernel for guests" \
		$(BUNDLED)/log/linux-generic.log setup/linux.sh $(BUNDLED)/linux-generic linux-image-amd64

ifneq ($(filter qemu,$(HOST)),)
setup: $(BUNDLED)/.packages-qemu $(if $(BUILD),,linux)
endif

ifneq ($(filter uml,$(HOST)),)
setup: $(BUNDLED)/.packages-uml
endif

# As above.
uml-for-tests:
	-@$(MAKE) --no-print-directory -s $(BUNDLED)/.packages-uml

# As above.
qemu-for-tests:
	-@$(MAKE) --no-print-directory -s $(BUNDLED)/.packages-qemu linux
	-@$(MAKE) --no-print-directory -s $(BUNDLED)/.packages-cd
	-@$(MAKE) --no-print-directory -s linux-generic

# As above; it opens the nightly report.
browser-for-tests:
	-@$(MAKE) --no-print-directory -s $(BUNDLED)/.packages-browser

# These hosts have kernels of their own.
setup: $(VENV)/.run $(if $(HOST),$(if $(filter-out uml wine qemu,$(HOST)),build),build)
setup-dev: $(VENV)/.dev build

# Both are installed in place (editable): an edit is seen without installing again.
$(VENV)/.run: pyproject.toml $(VENV)/bin/pip
	@$(STEP) 'installing lkltest into $(VENV)' $(BUNDLED)/log/pip.log \
		$(VENV)/bin/pip install --disable-pip-version-check -e '.[parallel]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/bin/pip
	@$(STEP) 'installing lkltest and what its tests need into $(VENV)' $(BUNDLED)/log/pip-dev.log \
		$(VENV)/bin/pip install --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/bin/pip: | $(BUNDLED)/.packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"Python 3.11 or newer is needed; name one with PYTHON=python3.11")'
	@$(STEP) 'making the virtual environment $(VENV)' $(BUNDLED)/log/venv.log \
		$(PYTHON) -m venv --clear $(VENV)

# Asked again only when this list changes; a package removed since then shows in `make doctor`.
$(BUNDLED)/.packages: Makefile
	@mkdir -p $(BUNDLED)/log
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || setup/packages.sh /nonexistent=python3-venv
	@setup/packages.sh $(RUN_PACKAGES)
	@touch $@

$(BUNDLED)/.packages-kernel: Makefile | $(BUNDLED)/.packages
	@setup/packages.sh $(KERNEL_PACKAGES)
	@touch $@

$(BUNDLED)/.packages-uml: Makefile | $(BUNDLED)/.packages
	@setup/packages.sh $(UML_PACKAGES)
	@touch $@

$(BUNDLED)/.packages-browser: Makefile | $(BUNDLED)/.packages
	@setup/packages.sh $(BROWSER_PACKAGES)
	@touch $@

$(BUNDLED)/.packages-wine: Makefile | $(BUNDLED)/.packages
	@setup/packages.sh $(WINE_PACKAGES)
	@touch $@

$(BUNDLED)/.packages-qemu: Makefile | $(BUNDLED)/.packages
	@setup/packages.sh $(QEMU_PACKAGES)
	@touch $@

$(BUNDLED)/.packages-cd: Makefile | $(BUNDLED)/.packages
	@setup/packages.sh $(BOOT_PACKAGES)
	@touch $@

$(BUNDLED)/.packages-windows: Makefile | $(BUNDLED)/.packages
	@setup/packages.sh $(WINDOWS_PACKAGES)
	@touch $@

# What the README promises, in a fresh Debian (SUITE=trixie: another one; AS=user: as a user with
# sudo; CHECK=1: `make check`, too).
SUITE ?= bookworm
fresh:
	@setup/packages.sh debootstrap=debootstrap
	@$(PYTHON) -m tests.fresh --suite $(SUITE) $(if $(CHECK),--check) $(if $(filter user,$(AS)),--user)

clean:
	rm -rf $(BUNDLED) $(VENV) junit
