# SPDX-License-Identifier: GPL-2.0-only
#
#   make run-tests    run the suites on a real kernel; sets up what it needs
#   make quick        lint, type check and the pure tests: seconds (CONTRIBUTING.md)
#   make check        all of lkltest's own tests, lint and type check
#   make tests        the tests alone; KIND=unit, simulation, kernel, wine, qemu or uml: a part
#   make fresh        what the README promises, tried in a fresh Debian (needs root)
#   make faults       attacks lkltest itself for half an hour (docs/faults.md)
#   make coverage     branch coverage of lkltest/ and hosts/ by the checks (docs/coverage.md)
#   make bench        ratios, measured side by side
#   make doctor       what can run here, what is missing
#   make setup        set up what run-tests needs, and run nothing
#   make clean        remove what was made here
#   make help         this list
#
# HOST=name, BUILD=dir, SUITES="disk[ext4] net", JOBS=n choose what run-tests does; PYTHON=python3.12
# with what. What is set up is data: hosts/setup/*.toml and setup/*.toml (lkltest/setup/recipe.py).

PYTHON ?= python3
HOST ?=
SUITES ?=
JOBS ?= 1
JUNIT ?= junit
WORKERS ?= 2

VENV := .venv
SETUP = $(PYTHON) -m lkltest.setup --install

.PHONY: help quick run-tests check lint types tests tests-again faults coverage bench doctor fresh clean setup \
	develop setup-dev setup-tests build python
.DEFAULT_GOAL := run-tests

run-tests: setup
	@$(VENV)/bin/lkltest run $(SUITES) $(foreach host,$(HOST),--host $(host)) \
		$(if $(BUILD),--build '$(BUILD)') --junit-dir '$(JUNIT)' -j $(JOBS)

doctor: setup
	@$(VENV)/bin/lkltest doctor $(if $(BUILD),--build '$(BUILD)')

help:
	@sed -n '3,/^$$/{ s/^# \{0,1\}//p }' Makefile

# First what all three need: one round of packages.
check: setup-tests lint types tests

quick: lint types
	$(VENV)/bin/pytest tests -q -m unit -n $(WORKERS)

lint: develop
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: develop
	$(VENV)/bin/mypy

tests: setup-tests
	$(VENV)/bin/pytest tests -q -n $(WORKERS) $(if $(KIND),-m $(KIND))

# What failed in the last `make tests`, once more, one after the other: tells what is broken from
# what a busy machine or a rare fault of a kernel under test did.
tests-again: setup-dev
	$(VENV)/bin/pytest tests -q --last-failed --last-failed-no-failures none

# Its short form is part of the tests. LKLTEST_SEED=n repeats a run.
faults: setup-tests
	$(VENV)/bin/python -m tests.faults

coverage: setup-tests
	$(VENV)/bin/pytest tests -q --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

bench: setup-dev
	$(VENV)/bin/python -m tests.bench

# What is asked of the machine before anything is installed on it.
python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo '$(PYTHON) is missing: apt-get install python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"Python 3.11 or newer is needed, this is %d.%d: name one with PYTHON=python3.11" \
		% sys.version_info[:2])'

# Somebody's own build (BUILD=dir) needs no build of ours.
setup: python
	@$(SETUP) --also setup/run.toml $(HOST) $(if $(BUILD),--no-build)

develop: python
	@$(SETUP) setup/develop.toml

setup-dev: python
	@$(SETUP) --also setup/develop.toml

# Where what is wished for cannot be had, tests skip and say so; CI allows no such skip.
setup-tests: python
	@$(SETUP) --also setup/develop.toml \
		$(addprefix --wish ,wine qemu uml setup/tests.toml setup/faults.toml)

build: python
	@$(SETUP) $(HOST)

# In a fresh Debian: SUITE=trixie another one, AS=user as a user with sudo, CHECK=1 `make check`, too.
SUITE ?= bookworm
fresh: python
	@$(SETUP) setup/fresh.toml
	@$(PYTHON) -m tests.fresh --suite $(SUITE) $(if $(CHECK),--check) $(if $(filter user,$(AS)),--user)

clean:
	rm -rf build $(VENV) junit
