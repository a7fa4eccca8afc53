# SPDX-License-Identifier: GPL-2.0-only
"""L4Re's own tests in a build tree: what is found, prepared, booted and said of it.

The tree is a stand-in: its run_test writes a list whose bootstrap is the player.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lkltest.hosts.l4re.own_tests import find_tests
from tests.hosts.qemu.fixtures import PLAYED, image, lkltest, player

SCRIPT = """\
#!/usr/bin/env bash
set -a
L4DIR="{source}"
ARCH="amd64"
{variables}
: ${{TEST_STARTER:=/bin/false}}
set +a
exec $TEST_STARTER "$@"
"""
RUN_TEST = """\
#!/bin/sh
if [ -n "$UNFIT" ]; then echo "Running this test requires a tag."; exit 69; fi
if [ -n "$BROKEN" ]; then echo "no such thing" >&2; exit 1; fi
cp "$CONSOLE" "$TEST_TMPDIR/console"
echo "# seed ${TEST_GTEST_SHUFFLE:-0} ${TEST_GTEST_SHUFFLE_SEED:-none}" >>"$TEST_TMPDIR/console"
cat >"$TEST_TMPDIR/modules.list" <<END
entry[no-defaults] maketest
kernel console end=idle
bootstrap player
END
export MODULES_LIST="$TEST_TMPDIR/modules.list" MODULE_SEARCH_PATH="$BINARIES:$TEST_TMPDIR"
export QEMU_OPTIONS="-serial stdio -name from-the-test"
exec sh -c "$EXTERNAL_TEST_STARTER"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An L4Re build tree with no test yet."""
    (tmp_path / "source" / "tool" / "bin").mkdir(parents=True)
    run_test = tmp_path / "source" / "tool" / "bin" / "run_test"
    run_test.write_text(RUN_TEST)
    run_test.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "player").symlink_to(player())
    return tmp_path


def add(tree: Path, name: str, console: bytes = b"", group: str = "group", **more: str) -> Path:
    """Add a test that shows `console`."""
    folder = tree / "test" / "t" / "amd64_gen" / group
    folder.mkdir(parents=True, exist_ok=True)
    (tree / f"{name}.console").write_bytes(console)
    variables = {"CONSOLE": str(tree / f"{name}.console"), "BINARIES": str(tree / "bin"), **more}
    lines = "\n".join(f'{key}="{value}"' for key, value in variables.items())
    path = folder / f"{name}.t"
    path.write_text(SCRIPT.format(source=tree / "source", variables=lines))
    path.chmod(0o755)
    return path


def test_names(tree: Path) -> None:
    add(tree, "one", group="a")
    add(tree, "two", group="a")
    add(tree, "two", group="b")
    assert list(find_tests(tree)) == ["one", "a.two", "b.two"]
    assert find_tests(tree / "bin") == {}


def test_a_tree_is_a_build(tree: Path) -> None:
    add(tree, "passes", PLAYED)
    add(tree, "fails", PLAYED.replace(b"ok 2", b"not ok 2"))
    add(tree, "unfit", UNFIT="y")
    add(tree, "broken", BROKEN="y")
    done = lkltest("run", "--host=qemu", "--build", tree, "l4re", "--timeout=60")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "l4re[passes]@qemu " in done.stdout
    assert "4 suites: 1 ok, 2 failed, 1 skipped; 4 points: 3 ok, 1 failed" in done.stdout
    assert "Running this test requires a tag." in done.stdout
    assert "broken.t: L4Re cannot prepare it: no such thing" in done.stdout


def test_one_by_hand(tree: Path) -> None:
    test = add(tree, "passes", PLAYED)
    done = lkltest("exec", "--lkl-qemu-shuffle=42", test)  # a script, and yet not native's
    assert done.returncode == 0, done.stderr
    assert "# seed 1 42" in done.stdout
    assert "passes.t@qemu: ok, 2 points" in done.stderr
    dry = lkltest("exec", "--host=qemu", "--dry-run", test)
    assert "-name from-the-test" in dry.stdout and "stdio" in dry.stdout
    assert "* 2 second" in dry.stdout, "the files that are gone stand in it"


@pytest.mark.parametrize(("shown", "status"), [(b"Hello World!", 0), (b"Hello", 1)])
def test_expected_output(tree: Path, shown: bytes, status: int) -> None:
    (tree / "hello.output").write_text("Hello .*!\n")
    plugin = f"OutputMatching:file={tree / 'hello.output'}"
    console = b"L4 Bootstrapper\r\n" + shown + b"\r\n"
    test = add(tree, "hello", console, TEST_TAP_PLUGINS=plugin, TEST_TIMEOUT="1")
    done = lkltest("exec", "--host=qemu", "--timeout=9", test)
    assert done.returncode == status, done.stderr
    if status:
        assert "line 1 of 1 did not come: Hello .*!" in done.stderr


def test_expected_output_of_any_image(tree: Path) -> None:
    name = image(tree, b"L4 Bootstrapper\r\nfirst\r\nsecond\r\n")
    (tree / "lines").write_text("first\nsecond\n")
    done = lkltest("exec", "--host=qemu", "--lkl-qemu-expect", tree / "lines", name)
    assert done.returncode == 0, done.stderr
