# SPDX-License-Identifier: GPL-2.0-only
"""Nightly regression runs: a matrix of cells, what changed since, and reports of it."""
