# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.build: the programs of a directory, what they can do, what is said otherwise."""

from pathlib import Path

import pytest

from lkltest.errors import BuildError, ExecutableError
from lkltest.host import build as module
from lkltest.host.build import (
    default_directory,
    find_programs,
    named_build,
    open_build,
    read_autoconf,
)


def make_build(directory: Path, *names: str, autoconf: str = "") -> Path:
    tests = directory / "tests"
    tests.mkdir(parents=True)
    for name in names:
        (tests / name).write_bytes(b"\x7fELF")
    if autoconf:
        (tests / "autoconf.sh").write_text(autoconf)
    return directory


@pytest.mark.parametrize("suffix", ["", ".exe"])
def test_programs_are_found_with_and_without_exe(tmp_path: Path, suffix: str) -> None:
    names = ["boot", "disk", "net-test"]
    make_build(tmp_path, *(name + suffix for name in names))
    assert {name: path.name for name, path in find_programs(tmp_path).items()} == {
        name: name + suffix for name in names
    }


def test_a_name_without_exe_is_taken_first(tmp_path: Path) -> None:
    make_build(tmp_path, "boot", "boot.exe", "disk.exe")
    found = find_programs(tmp_path)
    assert (found["boot"].name, found["disk"].name) == ("boot", "disk.exe")


def test_a_directory_with_a_programs_name_is_none(tmp_path: Path) -> None:
    (tmp_path / "tests" / "boot").mkdir(parents=True)
    assert find_programs(tmp_path) == {}


def test_one_program_is_enough(tmp_path: Path) -> None:
    assert list(open_build(str(make_build(tmp_path, "disk"))).programs) == ["disk"]


def test_a_directory_without_programs_says_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        open_build(str(tmp_path))
    message = str(caught.value)
    assert str(tmp_path) in message
    assert f"found no programs in {tmp_path / 'tests'}" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "words"), [("nothing", "no such directory"), ("file", "is not a directory")]
)
def test_what_is_no_directory_is_named(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match=f"{tmp_path / name}: {words}"):
        open_build(str(tmp_path / name))


def test_a_kernel_without_its_host_is_answered_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "linux").touch()
    with pytest.raises(BuildError, match=r"a kernel, which needs its host: --lkl-host$"):
        open_build(str(tmp_path))


def test_the_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_build(tmp_path / "lkl", "boot")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_build("~/lkl").directory == tmp_path / "lkl"


def test_a_relative_name_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_build(tmp_path / "lkl", "boot")
    monkeypatch.chdir(tmp_path)
    assert open_build("lkl").programs["boot"] == tmp_path / "lkl" / "tests" / "boot"


def test_without_any_build_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "default_directory", lambda: None)
    with pytest.raises(BuildError, match=r"lkltest setup.*--lkl-build=DIR or LKL_BUILD"):
        open_build(None)


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LKL_BUILD", "/from/environment")
    assert named_build("/from/option") == "/from/option"
    assert named_build(None) == "/from/environment"
    monkeypatch.setenv("LKL_BUILD", "")
    assert named_build(None) is None


def test_the_default_build_is_the_first_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, cache = tmp_path / "checkout" / "build", tmp_path / "cache" / "build"
    monkeypatch.setattr(module, "build_places", lambda: [ours, cache])
    assert default_directory() is None
    make_build(cache, "boot")
    assert default_directory() == cache
    make_build(ours, "boot")
    assert default_directory() == ours


def test_features_are_read_from_autoconf(tmp_path: Path) -> None:
    autoconf = 'LKL_HOST_CONFIG_POSIX=y\nexport A="y"\n# B=y\nC=n\n D=1 \r\nE=yes\n\xff\nF\n'
    build = open_build(str(make_build(tmp_path, "boot", autoconf=autoconf)))
    assert [name for name in "ABCDEF" if build.has(name)] == ["A", "D", "E"]
    assert build.has("LKL_HOST_CONFIG_POSIX")


def test_a_missing_or_binary_autoconf_has_no_features(tmp_path: Path) -> None:
    assert read_autoconf(tmp_path / "autoconf.sh") == {}
    (tmp_path / "autoconf.sh").write_bytes(bytes(range(256)))
    assert read_autoconf(tmp_path / "autoconf.sh") == {}


@pytest.mark.parametrize(
    ("folder", "autoconf", "kind"),
    [
        ("lkl", "LKL_HOST_CONFIG_POSIX=y\n", "tools/lkl"),
        ("um", "LKL_HOST_CONFIG_POSIX=y\n", "tools/um"),
        ("x", "UML_HOST_CONFIG_POSIX=y\n", "tools/um"),
        ("build", "LKL_HOST_CONFIG_POSIX=y\nLKLTEST_BUNDLED=y\n", "bundled"),
    ],
)
def test_the_kind_of_build(tmp_path: Path, folder: str, autoconf: str, kind: str) -> None:
    directory = make_build(tmp_path / folder, "boot", autoconf=autoconf)
    assert open_build(str(directory)).kind == kind


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"\x7fELF\0\0Linux version 6.1.0-lkl+ (me@here) (gcc 12) #1\0", (6, 1)),
        (b"Linux version %s (%s)\0Linux version 4.9.337 (x@y)", (4, 9)),
        (b"Linux version unknown", None),
        (b"", None),
    ],
)
def test_the_kernels_version_is_read_from_its_banner(
    tmp_path: Path, content: bytes, version: tuple[int, int] | None
) -> None:
    make_build(tmp_path)
    program = tmp_path / "tests" / "boot"
    program.write_bytes(content)
    program.chmod(0o755)
    assert open_build(str(tmp_path)).kernel_version == version


def test_a_bad_program_is_named_when_it_is_looked_at(tmp_path: Path) -> None:
    build = open_build(str(make_build(tmp_path, "boot")))
    with pytest.raises(ExecutableError, match=r"tests/boot: is a truncated ELF file"):
        build.executable("boot")
    with pytest.raises(KeyError):
        build.executable("disk")


@pytest.mark.parametrize("named", [".", "tools", "tools/lkl/tests", "fs"])
def test_a_part_of_a_kernels_tree_has_a_hint(tmp_path: Path, named: str) -> None:
    (tmp_path / "fs").mkdir()
    (tmp_path / "Kbuild").touch()
    make_build(tmp_path / "tools" / "lkl", "boot")
    with pytest.raises(BuildError) as caught:
        open_build(str(tmp_path / named))
    assert str(caught.value).endswith(f"; there are some in --lkl-build={tmp_path}/tools/lkl")


def test_a_tree_that_is_not_built_has_a_hint(tmp_path: Path) -> None:
    (tmp_path / "arch" / "lkl").mkdir(parents=True)
    (tmp_path / "tools" / "lkl").mkdir(parents=True)
    (tmp_path / "Kbuild").touch()
    with pytest.raises(BuildError, match=f"make -C {tmp_path}/tools/lkl first"):
        open_build(str(tmp_path))


def test_library_mode_of_selftests(tmp_path: Path) -> None:
    folder = tmp_path / "tools" / "testing" / "selftests" / "um"
    folder.parent.mkdir(parents=True)
    (make_build(tmp_path / "made", "boot", "disk") / "tests").rename(folder)
    build = open_build(str(folder))
    assert build.kind == "tools/um"
    assert {"boot", "disk"} <= build.programs.keys()
