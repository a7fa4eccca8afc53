# SPDX-License-Identifier: GPL-2.0-only
"""Marks the checkout's root for pytest. It changes no behaviour: a wheel does not have it."""
