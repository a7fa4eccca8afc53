# SPDX-License-Identifier: GPL-2.0-only
"""A program's needs in a Linux guest of its own: /init, its config and modules, an initramfs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import ExecutableError, LaunchError
from lkltest.guest import initramfs
from lkltest.guest.init_config import InitConfig
from lkltest.guest.kernel_modules import read_module
from lkltest.guest.programs import HERE, INIT, guest_program
from lkltest.host.executable import identify, is_dynamic, loaded_part, loader_of, needed_files

_PROGRAMS = "/bin"
_MODULES = "/modules"
_FOR_THREADS = "libgcc_s.so.1"
"""The C library loads it itself, for pthread_exit."""
_LIBRARIES = tuple(
    Path(top, below) for below in (f"lib/{HERE}-linux-gnu", "lib64", "lib") for top in ("/", "/usr")
)
_FAT_TABLES = ("nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8")
"""A vfat mount asks for its code page and character set; which, the kernel's configuration says."""


@dataclass(frozen=True, slots=True)
class LinuxGuest:
    """One launch's needs in a guest for `machine`. `modules` are loaded in their order."""

    program: Path
    config: InitConfig
    modules: tuple[Path, ...]
    machine: str = HERE

    @classmethod
    def of(
        cls,
        program: Path,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        status: str,
        modules: Sequence[Path],
        devices: Sequence[str] = (),
        handed_over: Sequence[str] = (),
        machine: str = HERE,
    ) -> LinuxGuest:
        """The guest for a command line.

        Args:
            program: a static executable, see `check_program`; of this machine's libraries those
                come with it that a dynamic one needs.
            words: its arguments, as the guest sees them.
            environment: its environment beside HOME and PATH.
            status: the guest's device for the reports of /init.
            modules: files of kernel modules.
            devices: device files that have to be there first.
            handed_over: PCI devices for drivers in the program.
            machine: the guest's processor.
        """
        config = InitConfig(
            [f"{_PROGRAMS}/{program.name}", *words],
            status,
            {"HOME": "/", "PATH": _PROGRAMS, **environment},
            modules=[f"{_MODULES}/{path.name}" for path in modules],
            devices=devices,
            handed_over=handed_over,
        )
        return cls(program, config, tuple(modules), machine)

    def write_initrd(self, file: Path) -> None:
        """Write the initramfs: what many runs share, then the config. Raises OSError."""
        shared = initramfs.cached(
            [
                initramfs.file("/init", guest_program(INIT, self.machine).read_bytes(), 0o755),
                initramfs.file(
                    f"{_PROGRAMS}/{self.program.name}", loaded_part(self.program), 0o755
                ),
                *(
                    initramfs.file(str(path), path.read_bytes(), 0o755)
                    for path in libraries_of(self.program)
                ),
                initramfs.device("/dev/console", "c", 5, 1),
                *(
                    initramfs.file(f"{_MODULES}/{path.name}", read_module(path))
                    for path in self.modules
                ),
            ]
        )
        file.write_bytes(shared.read_bytes() + self.config.archive())

    def write_tree(self, folder: Path) -> None:
        """Write the same as files below a new folder. Raises OSError."""
        for name in ("bin", "dev", "modules", "proc", "sys", "tmp"):
            (folder / name).mkdir(parents=True)
        for program, place in (
            (guest_program(INIT, self.machine), "init"),
            (self.program, f"bin/{self.program.name}"),
        ):
            (folder / place).write_bytes(program.read_bytes())
            (folder / place).chmod(0o755)
        for path in self.modules:
            (folder / "modules" / path.name).write_bytes(read_module(path))
        self.config.write(folder)


def libraries_of(program: Path) -> list[Path]:
    """This machine's libraries that a program needs, its loader among them; none for a static one.

    Raises LaunchError when one is missing.
    """
    loader = loader_of(program)
    if not loader:
        return []
    names = [*needed_files(program), _FOR_THREADS]
    found: dict[str, Path] = {Path(loader).name: Path(loader)}
    while names:
        name = names.pop()
        if name not in found:
            place = next((it / name for it in _LIBRARIES if (it / name).is_file()), None)
            if place is None and name != _FOR_THREADS:
                raise LaunchError(f"{program}: needs {name}, which is not on this machine")
            if place is not None:
                found[name] = place
                names += needed_files(place)
    return list(found.values())


def filesystem_modules(filesystems: Collection[str]) -> list[str]:
    """Names of the modules that a kernel needs to mount `filesystems`."""
    return [*filesystems, *(_FAT_TABLES if "vfat" in filesystems else ())]


def check_program(program: Path, machines: Collection[str]) -> None:
    """Raise LaunchError, one line, when a guest that holds nothing else cannot run `program`.

    machines: those whose programs the guest runs, the guest's own first.
    """
    try:
        executable = identify(program)
        dynamic = is_dynamic(program)
    except ExecutableError as error:
        raise LaunchError(str(error)) from None
    if executable.format == "ELF" and executable.machine not in machines:
        raise LaunchError(f"{program}: is {executable}; the guest is {next(iter(machines))}")
    if executable.format != "ELF" or dynamic:
        what = f"{executable}, dynamically linked" if dynamic else str(executable)
        raise LaunchError(f"{program}: is {what}; a guest runs static ELF programs (gcc -static)")
