# SPDX-License-Identifier: GPL-2.0-only
"""What a suite needs and this machine or this user cannot have."""


class Unavailable(Exception):
    """Raised in a suite or a fixture it makes the suite a SKIP; the text is its reason."""
