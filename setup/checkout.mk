# SPDX-License-Identifier: GPL-2.0-only
#
# A checkout's virtual environment, in steps (run.toml, develop.toml). lkltest is installed in place
# (editable): an edit is seen without installing again.

CHECKOUT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
PYTHON ?= python3
VENV := $(CHECKOUT)/.venv
PIP := $(VENV)/bin/pip install --disable-pip-version-check

.PHONY: venv run develop
venv: $(VENV)/bin/pip
run: $(VENV)/.run
develop: $(VENV)/.develop

$(VENV)/bin/pip:
	$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.run: $(CHECKOUT)/pyproject.toml | venv
	$(PIP) -e '$(CHECKOUT)[parallel]'
	touch $@

$(VENV)/.develop: $(CHECKOUT)/pyproject.toml | venv
	$(PIP) -e '$(CHECKOUT)[dev]'
	touch $@ $(VENV)/.run
