# SPDX-License-Identifier: GPL-2.0-only
"""The configuration: what is wrong with it is said with line and column, before anything runs."""

import re
import tomllib
from pathlib import Path

import pytest

from lkltest.nightly.config import config, matrix
from lkltest.nightly.config.example import EXAMPLE
from lkltest.plugin.discover import Variant
from lkltest.toml_reader import ConfigError, line_and_column, positions

VARIANTS = [
    Variant(*names) for names in (("boot", ""), ("disk", "ext4"), ("disk", "xfs"), ("net", "tap"))
]
HOSTS = ["native", "wine"]


def load(directory: Path, text: str) -> config.Config:
    file = directory / "nightly.toml"
    file.write_text(text, encoding="utf-8")
    return config.load(file, HOSTS, matrix.names(VARIANTS))


def ids(loaded: config.Config) -> list[str]:
    return [cell.id for cell in matrix.cells(loaded, VARIANTS)]


def small(more: str = "", hosts: str = '["native"]', suites: str = '["boot"]') -> str:
    return f'[builds.b]\n[matrix]\nbuilds = ["b"]\nhosts = {hosts}\nsuites = {suites}\n{more}'


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "line", "column", "words"),
        [
            (
                small(hosts='["native",\n  "wnie"]'),
                5,
                3,
                "unknown host 'wnie'; did you mean 'wine'",
            ),
            (small(suites='["disk[ext5]"]'), 5, 11, "unknown suite 'disk[ext5]'"),
            ('[matrix]\nbuilds = ["b"]', 2, 11, "unknown build 'b'"),
            (small(hosts='["native", "native"]'), 4, 20, "named twice"),
            (small(hosts="[]"), 4, 9, "hosts is missing or empty"),
            (small(hosts="[1]"), 4, 10, "hosts must hold strings"),
            ("[builds.b]\n[matrix]\nbuilds = ['b']\n", 2, 1, "hosts is missing"),
            (small("[night]\ntimeout = 0"), 7, 11, "no number of seconds"),
            (small("[night]\ntimeout = true"), 7, 11, "no number of seconds"),
            (small("[night]\ntimeot = 3"), 7, 1, "unknown key 'timeot'; did you mean 'timeout'"),
            (small('[night]\nfail_on = ["old"]'), 7, 12, "unknown kind of change 'old'"),
            (small('[night]\nhistory = ""'), 7, 11, "history is empty"),
            (small("[[exclude]]"), 6, 1, "needs one of build, host, suite"),
            (small('[[exclude]]\nhost = "x*"'), 7, 8, "unknown host 'x*'"),
            (small('[[override]]\nhost = "wine"\nrepeat = 1.5'), 8, 10, "must be a whole number"),
            (small('[[override]]\nhost = "wine"\noptions = ["-x"]'), 8, 12, "no host's option"),
            (
                small('[[override]]\nhost = "wine"\nenvironment = {A = 1}'),
                8,
                20,
                "A must be a string",
            ),
            (small("[nights]"), 6, 1, "unknown key 'nights'"),
            ('[builds.b]\npath = "none"', 2, 8, "no such file or directory"),
            ('[builds."a/b"]', 1, 1, "no name for a build"),
            ("[matrix\n", 1, 8, "Expected ']'"),
            ("a = 1\na = 2", 2, 6, "Cannot overwrite a value"),
            ('a = "', 1, 6, "Unterminated string"),
        ],
    )
    def test_it_says_where(
        self, tmp_path: Path, text: str, line: int, column: int, words: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, text)
        assert str(caught.value).startswith(f"{tmp_path}/nightly.toml:{line}:{column}: ")
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_not_utf_8(self, tmp_path: Path) -> None:
        file = tmp_path / "x.toml"
        file.write_bytes(b"a = 1\nb = \xff")
        with pytest.raises(ConfigError, match=re.escape("x.toml:2:5: is not UTF-8")):
            config.load(file, HOSTS, [])

    def test_a_build_may_be_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "images.toml").touch()
        text = small().replace("[builds.b]", '[builds.b]\npath = "images.toml"')
        (build,) = load(tmp_path, text).builds
        assert build.path == tmp_path / "images.toml"

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="No such file"):
            config.load(tmp_path / "x.toml", HOSTS, [])

    def test_nested_too_deeply(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="nested"):
            load(tmp_path, f"a = {'[' * 5000}{']' * 5000}")


class TestMatrix:
    def test_the_example(self, tmp_path: Path) -> None:
        loaded = load(tmp_path, EXAMPLE)
        assert ids(loaded)[:2] == ["boot@native#bundled", "disk[ext4]@native#bundled"]
        assert loaded.history == tmp_path / "nightly" / "history.sqlite"

    def test_the_example_with_all_that_it_shows(self, tmp_path: Path) -> None:
        (tmp_path / "build").mkdir()
        text = re.sub(r"^# (?=[\[a-z]+.*[\]=])", "", EXAMPLE, flags=re.MULTILINE)
        text = text.replace("/home/me/linux/tools/lkl", "build").replace(
            'host = "qemu"', 'host="wine"'
        )
        loaded = load(tmp_path, text)
        assert loaded.known and loaded.machine and loaded.overrides and loaded.excludes

    def test_product_less_excludes(self, tmp_path: Path) -> None:
        more = '[[exclude]]\nhost = "wine"\nsuite = "disk[*]"\n[[exclude]]\nsuite = "net"\n'
        loaded = load(tmp_path, small(more, '["native", "wine"]', '["disk", "boot", "net"]'))
        assert ids(loaded) == [
            *("disk[ext4]@native#b", "disk[xfs]@native#b", "boot@native#b"),
            "boot@wine#b",
        ]

    def test_a_variant_once(self, tmp_path: Path) -> None:
        loaded = load(tmp_path, small(suites='["disk[xfs]", "disk"]'))
        assert ids(loaded) == ["disk[xfs]@native#b", "disk[ext4]@native#b"]

    def test_overrides_add_up_and_the_last_wins(self, tmp_path: Path) -> None:
        more = (
            '[night]\ntimeout = 10\nenvironment = {A = "1", B = "1"}\n'
            '[[override]]\nsuite = "disk"\ntimeout = 20\nrepeat = 2\nenvironment = {B = "2"}\n'
            'options = ["--lkl-native-x=1", "--lkl-wine-y"]\n'
            '[[override]]\nsuite = "disk[xfs]"\ntimeout = 30\nlimit = 31\n'
        )
        loaded = load(tmp_path, small(more, suites='["boot", "disk"]'))
        boot, ext4, xfs = matrix.cells(loaded, VARIANTS)
        assert (boot.timeout, boot.limit, boot.repeat) == (10, 100, 1)
        assert (ext4.timeout, ext4.repeat, ext4.environment) == (20, 2, {"A": "1", "B": "2"})
        assert (xfs.timeout, xfs.limit, xfs.repeat) == (30, 31, 2)
        assert ext4.options == ("--lkl-native-x=1",), "another host would not know the other"


TRICKY = '''# comment = [1
a.b = [1, "x,]", [2, 'y'], # ]
  """q"
"]"""", 3]
"c d" = {e = 'f', "g.h" = {i = [1979-05-27T07:32:00Z, -1e3]}}
[[t]]
k = true
[[t]]
[t.u]
\tk = \'\'\'\\\'\'\'
[[t.v]]
k = "\\"]"
'''


def leaves(data: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(data, dict):
        return [leaf for key, value in data.items() for leaf in leaves(value, (*path, key))]
    if isinstance(data, list):
        return [leaf for n, value in enumerate(data) for leaf in leaves(value, (*path, n))]
    return [path]


def test_every_value_of_a_tricky_file_is_found() -> None:
    found = positions(TRICKY)
    data = tomllib.loads(TRICKY)
    for path in leaves(data):
        assert path in found, path
    assert line_and_column(TRICKY, found[("a", "b", 2, 1)]) == (2, 22)
    assert line_and_column(TRICKY, found[("a", "b", 4)]) == (4, 9)
    assert TRICKY[found[("c d", "g.h", "i", 1)] :].startswith("-1e3")
    assert TRICKY[found[("t", 1, "v", 0, "k")] :].startswith('"\\"]"')
