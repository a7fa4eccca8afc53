# SPDX-License-Identifier: GPL-2.0-only
"""Wine prefixes: where they are, whether they are whole, how they are made and copied.

The usual one lives in the user's cache directory and is made once, under a lock, at a name of its
own that becomes the final one only when it is whole; ~/.wine is never touched. A session that uses
a prefix holds a lock (flock(2)) on its directory; a second one gets a copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.places import cache_home
from lkltest.report.terminal import echo_error

_REGISTRY = ("system.reg", "user.reg", "userdef.reg")
_FILES = (
    "drive_c/windows/system32/ntdll.dll",
    "drive_c/windows/system32/kernel32.dll",
    "drive_c/windows/system32/cmd.exe",
    "drive_c/windows/system32/services.exe",
)
_HEADER = b"WINE REGISTRY Version 2"
_NAME_ONE = "name one of your own with --lkl-wine-prefix"


def cache_directory() -> Path:
    """The folder of lkltest's prefixes; it need not be there yet. Raises LaunchError."""
    try:
        return cache_home() / "wine"
    except RuntimeError:
        raise LaunchError(f"Wine prefix: you have no home directory; {_NAME_ONE}") from None


def diagnose(prefix: Path) -> str | None:
    """The reason why `prefix` is not whole; None when it is. Reads a few first bytes."""
    if not prefix.is_dir():
        return "is not a directory" if prefix.exists() else "does not exist"
    diagnoses = (_diagnose_registry(prefix / name) for name in _REGISTRY)
    absent = (f"has no {name}" for name in _FILES if not _has_content(prefix / name))
    drives = (
        f"has no drive {drive}"
        for drive in ("c:", "z:")
        if not (prefix / "dosdevices" / drive).exists()
    )
    return next((found for found in (*diagnoses, *absent, *drives) if found), None)


def why_unusable(prefix: Path, *, ours: bool) -> str | None:
    """The reason why a prefix cannot be used and what to do, one line; None if it can.

    One that does not exist, or is an empty directory, will be made; `ours`, lkltest's own, will be
    made anew when it is broken.
    """
    try:
        found = _unusable(prefix, ours) if prefix.exists() else _unusable_parent(prefix)
    except OSError as error:
        found = f"cannot be read: {error.strerror}; {_NAME_ONE}"
    return f"Wine prefix {prefix}: {found}" if found else None


def _unusable_parent(prefix: Path) -> str | None:
    parent = next(folder for folder in prefix.parents if folder.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return None
    return f"cannot be made, {parent} is not writable; {_NAME_ONE}"


def _unusable(prefix: Path, ours: bool) -> str | None:
    status = prefix.stat()
    if not stat.S_ISDIR(status.st_mode):
        return f"is not a directory; {_NAME_ONE}"
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, not to you; {_NAME_ONE}"
    if not _writable(prefix):
        return f"is read-only; chmod -R u+w it or {_NAME_ONE}"
    found = diagnose(prefix) if not ours and any(prefix.iterdir()) else None
    if found:
        return f"{found}, it is half-made or broken; remove it to have it made again"
    if _served(prefix):
        return f"another wineserver uses it; end that: WINEPREFIX={prefix} wineserver -k"
    return None


def ensure(prefix: Path, make: Callable[[Path], None], *, rebuild: bool = False) -> None:
    """Ensure that `prefix` is whole; `make(path)` fills an empty directory.

    One process makes it while others wait. `rebuild`: it was seen to be broken, make it anew (the
    lock's holder before us may have done so: then its age tells). Raises LaunchError.
    """
    asked = time.time()
    parent = prefix.parent
    try:
        if not rebuild and diagnose(prefix) is None:
            return
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent):
            made_meanwhile = prefix.exists() and prefix.stat().st_ctime > asked
            if diagnose(prefix) is None and (not rebuild or made_meanwhile):
                return
            _make_anew(prefix, make)
    except OSError as error:
        raise LaunchError(
            f"Wine prefix {prefix}: cannot be made: {error.strerror}; {_NAME_ONE}"
        ) from None


def copy(prefix: Path, target: Path) -> Path:
    """Copy a prefix: the registry, the users' files and all else that programs write.

    Linked are the folders that hold Wine's own DLLs, 690 MB that no test writes to. As whole
    folders: 800 links of files cost a second to make and two to remove.
    """
    for folder, folders, files in os.walk(prefix):
        there = target / Path(folder).relative_to(prefix)
        there.mkdir(mode=0o700, exist_ok=True)
        for name in list(folders):
            source = Path(folder) / name
            if source.is_symlink():
                (there / name).symlink_to(source.readlink())
            elif _is_wine_s_own(source.relative_to(prefix)):
                (there / name).symlink_to(source.resolve())
                folders.remove(name)
        for name in files:
            if name != "wineserver":  # that names the original's server
                shutil.copy2(Path(folder) / name, there / name, follow_symlinks=False)
    return target


def _is_wine_s_own(folder: Path) -> bool:
    """Whether a folder, given relative to its prefix, holds Wine's own files alone."""
    parent, name = folder.parent.as_posix(), folder.name
    if parent == "drive_c":
        return name.startswith("Program Files")
    return parent == "drive_c/windows" and name not in ("temp", "tmp")


@contextlib.contextmanager
def in_use(prefix: Path) -> Iterator[bool]:
    """Hold the prefix for one session; yields False when another session has it."""
    with _opened(prefix) as descriptor:
        yield _lock(descriptor)


def _make_anew(prefix: Path, make: Callable[[Path], None]) -> None:
    part = prefix.with_name(f"{prefix.name}.part")
    for leftover in (part, prefix):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
    part.mkdir(mode=0o700)
    make(part)
    found = diagnose(part)
    if found:
        raise LaunchError(f"Wine prefix {prefix}: was made but {found}; is Wine installed whole?")
    part.rename(prefix)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with _opened(folder) as descriptor:
        if not _lock(descriptor):
            echo_error("waiting for another run to make the Wine prefix")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock without waiting; whether it was free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _diagnose_registry(file: Path) -> str | None:
    try:
        with file.open("rb") as registry:
            head = registry.read(4096)
    except OSError:
        return f"has no {file.name}"
    if not head.startswith(_HEADER):
        return f"has a damaged {file.name}"
    return "is a 32 bit prefix" if b"#arch=win32" in head else None


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def _writable(prefix: Path) -> bool:
    """Whether it can be written to; root is refused only by the file system, so try."""
    if not os.access(prefix, os.W_OK | os.X_OK):
        return False
    if os.statvfs(prefix).f_flag & os.ST_RDONLY:
        return False
    return not (prefix / "system.reg").exists() or bool(
        (prefix / "system.reg").stat().st_mode & stat.S_IWUSR
    )


def _served(prefix: Path) -> bool:
    """Whether a wineserver that is not ours listens for this prefix.

    Debian's Wine writes the folder's name into the prefix, others take the directory's numbers.
    A path there, not a name, is `name_socket_folder`'s: a session of ours, which has its lock.
    """
    status = prefix.stat()
    name = f"server-{status.st_dev:x}-{status.st_ino:x}"
    folders = [Path(f"/tmp/.wine-{os.getuid()}")]  # noqa: S108 - Wine's choice
    with contextlib.suppress(OSError, UnicodeDecodeError):
        said = (prefix / "wineserver").read_text(encoding="utf-8").strip()
        temporary = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - Wine's choice
        if "/" not in said:
            folders += [Path(temporary) / said, Path("/tmp") / said]  # noqa: S108
    return any(listens(folder / name / "socket") for folder in folders)


def name_socket_folder(prefix: Path, folder: Path) -> Path:
    """Let Debian's Wine put the socket of a prefix's server into `folder`; returns the file.

    It takes the folder that the prefix's file `wineserver` names, seen from /tmp; without the file
    it makes one in /tmp and leaves it there.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    file = prefix / "wineserver"
    file.unlink(missing_ok=True)
    file.write_text(os.path.relpath(folder, "/tmp"), encoding="utf-8")  # noqa: S108 - Wine's
    file.chmod(0o400)  # any other one it replaces
    return file


def listens(path: Path) -> bool:
    """Whether somebody listens on a socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
