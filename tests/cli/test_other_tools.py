# SPDX-License-Identifier: GPL-2.0-only
"""Streams of other tools as they print them here: the counts in JUnit are what the tests are."""

import io
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lkltest.cli.tap2junit import convert

BATS = """\
@test "passes" { true; }
@test "fails # with a hash" { echo out; false; }
@test "skipped" { skip "why # not"; }
@test "fails, https://x.y/#todo" { false; }
"""
NODE = """\
import test, {describe, it} from 'node:test';
test('passes', () => {});
test('fails', () => { throw new Error('broken'); });
test('skipped', {skip: 'why'}, () => {});
test('todo', {todo: 'later'}, () => { throw new Error('x'); });
describe('suite', () => { it('one', () => {}); it('two', () => { throw new Error('y'); }); });
"""
PERL = """\
use Test::More;
ok(1, 'passes'); ok(0, 'fails');
SKIP: { skip 'why # not', 1; }
TODO: { local $TODO = 'later'; ok(0, 'todo'); }
subtest 'sub' => sub { plan tests => 2; ok(1, 'one'); ok(0, 'two'); };
subtest 'sub skipped' => sub { plan skip_all => 'nothing here'; };
done_testing;
"""
TEST2 = """\
use Test2::V0;
subtest outer => sub { ok(1, 'a'); subtest inner => sub { ok(1, 'deep') }; ok(0, 'b'); };
subtest second => sub { plan 2; ok(1, 'x'); ok(1, 'y'); };
todo 'not yet' => sub { subtest todo => sub { ok(0, 't'); } };
done_testing;
"""
SHARNESS = """\
test_description=small
. /usr/share/sharness/sharness.sh
test_expect_success passes true
test_expect_success 'fails # with a hash' false
test_expect_failure breakage false
test_expect_success NOSUCH prerequisite true
test_done
"""


@pytest.mark.parametrize(
    ("command", "file", "source", "counts"),
    [
        ("bats --tap", "a.bats", BATS, (4, 2, 1)),
        ("node --test --test-reporter=tap", "a.test.mjs", NODE, (6, 2, 2)),
        ("perl", "a.t", PERL, (7, 2, 3)),
        ("perl", "2.t", TEST2, (6, 1, 1)),
        ("sh", "sharness.t", SHARNESS, (4, 1, 2)),
    ],
)
def test_counts_are_what_the_tool_ran(
    tmp_path: Path, command: str, file: str, source: str, counts: tuple[int, int, int]
) -> None:
    words = command.split()
    needed = "/usr/share/sharness/sharness.sh" if words[0] == "sh" else words[0]
    if shutil.which(words[0]) is None or (words[0] == "sh" and not Path(needed).exists()):
        pytest.skip(f"{needed} is not installed")
    (tmp_path / file).write_text(source)
    done = subprocess.run(
        [*words, file],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    if not done.stdout:
        pytest.skip(f"this {words[0]} cannot: status {done.returncode}")
    out = io.BytesIO()
    assert not convert(io.BytesIO(done.stdout), out, "x"), "it has failures"
    (suite,) = ElementTree.fromstring(out.getvalue())
    found = tuple(int(suite.get(name, "")) for name in ("tests", "failures", "skipped"))
    assert (*found, suite.get("errors")) == (*counts, "0")
