# SPDX-License-Identifier: GPL-2.0-only
"""Attacks on lkltest itself: mutated streams, and harm done to whole runs. `make faults`."""
