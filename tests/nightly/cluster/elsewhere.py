# SPDX-License-Identifier: GPL-2.0-only
"""`elsewhere.py DIRECTORY WORDS...`: the lkltest command in another directory."""

import os
import sys

from lkltest.cli.main import main

if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
