# SPDX-License-Identifier: GPL-2.0-only
"""Prefixes: whole or not, made once, copied, refused in one line."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.errors import LaunchError
from lkltest.hosts.wine.prefix import cache_directory, copy, diagnose, ensure, in_use, why_unusable
from tests.hosts.wine.fixtures import lkltest, misbehave, require_wine

REGISTRY = "WINE REGISTRY Version 2\n;; a comment\n\n#arch=win64\n"


def fill(prefix: Path) -> None:
    """The files that make a prefix look whole."""
    prefix.mkdir(parents=True, exist_ok=True)
    for name in ("system.reg", "user.reg", "userdef.reg"):
        (prefix / name).write_text(REGISTRY)
    (prefix / "drive_c/windows/temp").mkdir(parents=True)
    system = prefix / "drive_c/windows/system32"
    system.mkdir(parents=True)
    for name in ("ntdll.dll", "kernel32.dll", "cmd.exe", "services.exe"):
        (system / name).write_bytes(b"MZ" * 20_000)
    (prefix / "dosdevices").mkdir()
    (prefix / "dosdevices/c:").symlink_to("../drive_c")
    (prefix / "dosdevices/z:").symlink_to("/")


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "8.0"
    fill(path)
    return path


def test_a_whole_prefix_has_no_flaw(prefix: Path) -> None:
    assert diagnose(prefix) is None
    assert why_unusable(prefix, ours=False) is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("system.reg", None, "has no system.reg"),
        ("user.reg", "", "damaged user.reg"),
        ("system.reg", REGISTRY.replace("win64", "win32"), "32 bit"),
        ("drive_c/windows/system32/ntdll.dll", "", "ntdll.dll"),
        ("drive_c/windows/system32/cmd.exe", None, "cmd.exe"),
        ("dosdevices/z:", None, "no drive z:"),
    ],
)
def test_a_broken_prefix_is_refused(
    prefix: Path, name: str, content: str | None, words: str
) -> None:
    (prefix / name).unlink()
    if content is not None:
        (prefix / name).write_text(content)
    assert words in (diagnose(prefix) or "")
    line = why_unusable(prefix, ours=False) or ""
    assert words in line and "remove it" in line and "\n" not in line


def test_lkltest_s_own_is_made_anew_when_it_is_broken(prefix: Path) -> None:
    (prefix / "system.reg").unlink()
    assert why_unusable(prefix, ours=True) is None


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "not a directory" in (why_unusable(file, ours=False) or "")


def test_a_stranger_s_prefix_is_refused(prefix: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(prefix, 12345, 12345)
    for ours in (False, True):
        assert "belongs to user 12345" in (why_unusable(prefix, ours=ours) or "")


def test_a_prefix_behind_a_closed_door_is_refused(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", closed)  # root passes every real one
    assert "cannot be read: Permission denied" in (why_unusable(prefix, ours=False) or "")


def test_a_read_only_prefix_is_refused(prefix: Path) -> None:
    (prefix / "system.reg").chmod(0o444)
    assert "read-only" in (why_unusable(prefix, ours=False) or "")


def test_a_prefix_that_another_server_serves_is_refused(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path may be too long for a socket
        monkeypatch.setenv("TMPDIR", folder)
        status = prefix.stat()
        server = Path(folder, "wine-x", f"server-{status.st_dev:x}-{status.st_ino:x}")
        server.mkdir(parents=True)
        (prefix / "wineserver").write_text("wine-x")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(server / "socket"))
            listener.listen()
            assert "wineserver -k" in (why_unusable(prefix, ours=False) or "")
        assert why_unusable(prefix, ours=False) is None


def test_a_prefix_that_does_not_exist_will_be_made(tmp_path: Path) -> None:
    assert why_unusable(tmp_path / "a" / "b", ours=False) is None


def test_it_is_made_under_another_name(tmp_path: Path) -> None:
    prefix = tmp_path / "cache" / "8.0"
    seen: list[Path] = []

    def make(path: Path) -> None:
        seen.append(path)
        assert not prefix.exists()
        fill(path)

    ensure(prefix, make)
    ensure(prefix, make)
    assert diagnose(prefix) is None and len(seen) == 1 and seen[0] != prefix


def test_a_half_made_one_is_made_anew(prefix: Path) -> None:
    (prefix / "user.reg").unlink()
    part = prefix.with_name("8.0.part")
    part.mkdir()
    (part / "leftover").write_text("")
    ensure(prefix, fill)
    assert diagnose(prefix) is None and not (prefix / "leftover").exists()


def test_one_that_comes_out_broken_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="was made but"):
        ensure(tmp_path / "p", lambda path: None)


def test_one_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LaunchError, match="--lkl-wine-prefix"):
        ensure(tmp_path / "file" / "p", fill)


def slow_fill(path: Path) -> None:
    with (path.parent / "made").open("a") as file:
        file.write("x")
    time.sleep(0.3)
    fill(path)


def test_one_process_makes_it_and_others_wait(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=ensure, args=(tmp_path / "p", slow_fill)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert (tmp_path / "made").read_text() == "x"


def test_a_copy_has_its_own_registry(prefix: Path, tmp_path: Path) -> None:
    (prefix / "wineserver").write_text("wine-x")
    other = copy(prefix, tmp_path / "copy")
    assert diagnose(other) is None
    (other / "user.reg").write_text("changed")
    assert diagnose(prefix) is None
    assert (other / "drive_c/windows/system32").is_symlink()
    (other / "drive_c/windows/temp/x").write_text("own")
    assert not (prefix / "drive_c/windows/temp/x").exists()
    assert not (other / "wineserver").exists()


def test_only_one_session_has_it(prefix: Path) -> None:
    with in_use(prefix) as first, in_use(prefix) as second:
        assert (first, second) == (True, False)
    with in_use(prefix) as again:
        assert again


def test_the_cache_directory_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x/y")
    assert cache_directory() == Path("/x/y/lkltest/wine")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == Path.home() / ".cache/lkltest/wine"


def test_a_user_without_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(LaunchError, match=r"no home directory; name one .* --lkl-wine-prefix"):
        cache_directory()


@pytest.mark.parametrize(
    ("home", "words"),
    [
        ("/dev/null", ("run",)),
        ("/dev/null", ("exec",)),
        ("/proc/nobody", ("run", "-j2")),  # root may write there, but cannot
        ("/proc/nobody", ("exec",)),
    ],
)
def test_a_home_that_cannot_be_written_is_a_usage_error(
    tmp_path: Path, home: str, words: tuple[str, ...]
) -> None:
    require_wine()
    (tmp_path / "tests").mkdir()
    shutil.copy(misbehave(), tmp_path / "tests" / "boot.exe")
    more = [misbehave()] if words[0] == "exec" else ["--build", tmp_path]
    done = lkltest(*words, *more, changes={"HOME": home, "XDG_CACHE_HOME": ""})
    said = [line for line in done.stderr.splitlines() + done.stdout.splitlines() if line.strip()]
    assert done.returncode == 2 and len(said) == 1, said
    assert f"{home}/.cache/lkltest/wine/" in said[0]
    assert "cannot be made" in said[0] and "--lkl-wine-prefix" in said[0]


def test_doctor_says_that_there_can_be_no_prefix() -> None:
    require_wine()
    changes = {"HOME": "/dev/null", "XDG_CACHE_HOME": ""}
    done = lkltest("doctor", "--build", "/nonexistent", changes=changes)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("host wine")]
    assert line.split()[2] == "no" and "cannot be made" in line


@pytest.fixture
def bad_prefix(prefix: Path) -> Iterator[Path]:
    (prefix / "system.reg").unlink()
    yield prefix


@pytest.mark.parametrize("words", [("run", "boot", "--host", "wine"), ("exec",)])
def test_a_bad_prefix_is_a_usage_error(bad_prefix: Path, words: tuple[str, ...]) -> None:
    require_wine()
    program = [misbehave()] if words[0] == "exec" else []
    done = lkltest(*words, "--lkl-wine-prefix", bad_prefix, *program)
    said = [line for line in done.stderr.splitlines() + done.stdout.splitlines() if line.strip()]
    assert done.returncode == 2
    assert len(said) == 1 and str(bad_prefix) in said[0] and "remove it" in said[0]
