# SPDX-License-Identifier: GPL-2.0-only
"""The error of the cluster room."""

from lkltest.errors import LkltestError


class ClusterError(LkltestError):
    """No cluster to run on; the message is one line."""
