# SPDX-License-Identifier: GPL-2.0-only
"""`python3 -m lkltest.setup`: the set-up of a checkout, in which nothing is installed yet."""

import sys

from lkltest.setup.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
