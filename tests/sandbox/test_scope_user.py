# SPDX-License-Identifier: GPL-2.0-only
"""The tests of scopes once more, by a user without privileges."""

import os
from pathlib import Path

import pytest

from tests.other_user import run_tests

FILES = ("test_scope.py", "test_scope_namespaces.py", "test_scope_guard.py", "test_isolation.py")


@pytest.mark.skipif(os.geteuid() != 0, reason="is the test of a user when run as one")
def test_all_of_it_as_a_user() -> None:
    run_tests(*(str(Path(__file__).with_name(name)) for name in FILES))
