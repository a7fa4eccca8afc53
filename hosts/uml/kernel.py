# SPDX-License-Identifier: GPL-2.0-only
"""A UML kernel: its file, its release, what it has built in and the modules it can load."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import BuildError, ExecutableError
from lkltest.guest.kernel_modules import KernelModules
from lkltest.guest.linux import filesystem_modules
from lkltest.host.build import holds
from lkltest.host.executable import identify, is_dynamic, loaded_bytes, machine_is_native
from lkltest.tap.patterns import LINUX, LINUX_VERSION

INSTALLED_MODULES = Path("/usr/lib/uml/modules")
"""The folder in which Debian's package user-mode-linux keeps its kernel's modules."""

_BANNER = re.compile(LINUX_VERSION + rb" \(")
_INITRD_HELP = b"initrd=<initrd image>"
"""The words of a kernel with CONFIG_BLK_DEV_INITRD (arch/um/kernel/initrd.c)."""
_OWN_OPTION = b"uml_dir="
"""An option that only UML kernels know (arch/um/os-Linux/umid.c)."""


@dataclass(frozen=True, slots=True)
class UmlKernel:
    """A UML kernel's file, its `release` ("6.1.176") and its modules."""

    path: Path
    release: str
    modules: KernelModules
    dynamic: bool
    """Whether it is linked with the machine's own C library."""
    machine: str
    """Its processor, as `lkltest.host.executable` calls it; its programs are for the same."""
    initrd: bool = True
    """Whether it takes an initramfs (CONFIG_BLK_DEV_INITRD)."""

    def has_filesystem(self, name: str) -> bool:
        """Whether it can mount `name`."""
        if self.modules.directory is not None:
            return self.modules.has(name)
        # Nothing but the file is there: a file system's name is a string of its own in it.
        return holds(self.path, name.encode() + b"\0")

    @property
    def has_vector(self) -> bool:
        """Whether it has the network devices called vec0 (CONFIG_UML_NET_VECTOR, vector_kern.c)."""
        return holds(self.path, b"uml-vector\0")

    def module_files(self, filesystems: list[str]) -> list[Path]:
        """The modules that a guest has to load, in order, for IPv6 and for `filesystems`."""
        return self.modules.files(["ipv6", *filesystem_modules(filesystems)])


def find_kernel(path: Path) -> UmlKernel:
    """Open the kernel `path`: a file, or a build directory that holds `linux`.

    Raises BuildError, one line that says what is there instead.
    """
    file = path / "linux" if path.is_dir() else path
    if not file.exists():
        what = "holds no UML kernel called linux" if path.is_dir() else "no such file"
        raise BuildError(f"build {path}: {what}")
    return open_file(file)


@functools.lru_cache(maxsize=8)
def open_file(file: Path) -> UmlKernel:
    """Read once a process: it takes tens of milliseconds, and is asked for often."""
    try:
        executable = identify(file)
    except ExecutableError as error:
        raise BuildError(f"{error}; a UML kernel is wanted") from None
    release, initrd = _read(file)
    if executable.format != "ELF" or release is None:
        raise BuildError(f"{file}: is {executable}, but no UML kernel")
    if not machine_is_native(executable.machine):
        raise BuildError(f"{file}: is a UML kernel for {executable.machine}, not for this machine")
    if not os.access(file, os.X_OK):
        raise BuildError(f"{file}: is a UML kernel, but not executable: chmod +x it")
    modules = _find_modules(file, release)
    return UmlKernel(file, release, modules, is_dynamic(file), executable.machine, initrd)


def _read(file: Path) -> tuple[str | None, bool]:
    """The release in the banner, None for no UML kernel, and whether it takes an initramfs.

    Nine tenths of a kernel with debug information are not looked at.
    """
    try:
        end = loaded_bytes(file)
        with file.open("rb") as stream:
            content = stream.read(end)
    except OSError:
        return None, False
    return _release(content), content.rfind(_INITRD_HELP) >= 0


def _release(content: bytes) -> str | None:
    # From the end: in a kernel's strings bytes.rfind can take long steps, in its code it need not
    # look; bytes.find takes ten times as long, a pattern more.
    if content.rfind(_OWN_OPTION) < 0:
        return None
    start = content.rfind(LINUX)
    while start >= 0:
        match = _BANNER.match(content, start)
        if match:
            return match[1].decode("ascii", "replace")
        start = content.rfind(LINUX, 0, start)
    return None


def _find_modules(file: Path, release: str) -> KernelModules:
    """Beside the kernel (`make modules_install INSTALL_MOD_PATH=.`), or where Debian puts them.

    A build tree without installed modules has modules.builtin at least.
    """
    return KernelModules(next(_module_directories(file, release), None))


def _module_directories(file: Path, release: str) -> Iterator[Path]:
    here = file.resolve().parent
    for candidate in (
        here / "lib/modules" / release,
        INSTALLED_MODULES / release,
        here,
    ):
        if (candidate / "modules.builtin").exists():
            yield candidate
