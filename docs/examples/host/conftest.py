# SPDX-License-Identifier: GPL-2.0-only
"""The host for the tests of one project, without a package: a conftest.py registers it."""

from chroot_host import ChrootHost

from lkltest import register

register(ChrootHost)
