# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lkltest` is the `lkltest` command."""

import sys

from lkltest.cli import main

sys.exit(main())
