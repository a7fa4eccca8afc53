# SPDX-License-Identifier: GPL-2.0-only
"""The set-up: what the hosts' default builds need, installed and made.

Only the standard library is imported here: in a checkout this runs before there is a virtual
environment, as `python3 -m lkltest.setup`.
"""
