# SPDX-License-Identifier: GPL-2.0-only
#
#   make run-tests    run the suites on a real kernel; sets up what it needs
#   make check        lkltest's own tests, lint and type check
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

RUN_PACKAGES := gcc=gcc /usr/include/stdio.h=libc6-dev bc=bc npm=npm gdb=gdb \
	mkfs.ext4=e2fsprogs mkfs.btrfs=btrfs-progs mkfs.vfat=dosfstools mkfs.xfs=xfsprogs \
	unshare=util-linux

.PHONY: run-tests check bench doctor setup setup-dev build clean lint types tests
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

tests: setup-dev
	$(VENV)/bin/pytest tests -q

bench: setup-dev
	$(VENV)/bin/python -m tests.bench

build: $(BUNDLED)/.packages
	@$(MAKE) --no-print-directory -s -f setup/bundled.mk BUILD=$(BUNDLED) bundled

setup: $(VENV)/.run build
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

clean:
	rm -rf $(BUNDLED) $(VENV) junit
