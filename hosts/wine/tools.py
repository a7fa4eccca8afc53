# SPDX-License-Identifier: GPL-2.0-only
"""The Wine that is installed here: its programs, its version, which programs it can run."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import Missing

# Debian's /usr/bin/wine and wineserver are shell scripts: the first warns about wine32 on stderr,
# the second passes -p0, which costs each run 2.7 s. The programs themselves are in here.
_DEBIAN = Path("/usr/lib/wine")
_VERSION = re.compile(r"wine-(\d+(?:\.\d+)*)\S*")


@dataclass(frozen=True, slots=True)
class WineTools:
    """An installed Wine: `wine` starts programs, `server` is wineserver; `bits32`: PE32 too."""

    wine: Path
    server: Path
    version: str
    bits32: bool

    @property
    def key(self) -> str:
        """The properties that a prefix depends on, as part of its name: `8.0-64+32`."""
        return f"{self.version}-64{'+32' if self.bits32 else ''}"


@functools.cache
def find_tools() -> WineTools | Missing:
    """Find Wine (10 ms, once a process); never raises.

    WINELOADER and WINESERVER, Wine's own variables, name another one than the installed.
    """
    wine = _find("WINELOADER", _DEBIAN / "wine64", "wine64", "wine")
    server = _find("WINESERVER", _DEBIAN / "wineserver64", "wineserver64", "wineserver")
    if wine is None or server is None:
        what = "wine" if wine is None else "wineserver"
        return Missing(f"{what} is missing", "apt-get install wine64")
    try:
        done = subprocess.run(
            [wine, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Missing(f"{wine} does not run: {error}", "apt-get install --reinstall wine64")
    match = _VERSION.search(done.stdout.decode(errors="replace"))
    if match is None:
        # Without that, and for a user that the machine does not know, Wine crashes.
        mend = "apt-get install --reinstall wine64" if os.environ.get("HOME") else "set HOME"
        return Missing(f"{wine} --version says no version", mend)
    return WineTools(wine, server, match[1], _runs_pe32(wine))


def program_environment(tools: WineTools, prefix: Path) -> dict[str, str]:
    """The environment in which Wine programs run: the runner's, less what Wine must not see.

    prefix: absolute.
    """
    environment = dict(os.environ)
    # Tests open no windows, an architecture would not fit, and Debian's Wine 10 frees what
    # getenv("TMPDIR") returned: "free(): invalid pointer".
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WINEARCH", "WINEDLLPATH", "TMPDIR"):
        environment.pop(name, None)
    # winedbg would write a dump into the test's stdout, winemenubuilder into the user's desktop;
    # without mscoree and mshtml a new prefix offers to download nothing.
    overrides = "winedbg.exe=d;winemenubuilder.exe=d;mscoree,mshtml="
    if own := environment.get("WINEDLLOVERRIDES"):
        overrides = f"{overrides};{own}"
    return environment | {
        "WINEPREFIX": str(prefix),
        "WINELOADER": str(tools.wine),
        "WINESERVER": str(tools.server),
        "WINEDLLOVERRIDES": overrides,
        "WINEDEBUG": environment.get("WINEDEBUG", "-all"),
    }


def _find(variable: str, debian: Path, *names: str) -> Path | None:
    named = os.environ.get(variable)
    if named:
        found = shutil.which(named)
        return Path(found).absolute() if found else None
    if os.access(debian, os.X_OK):
        return debian
    return next((Path(found) for name in names if (found := shutil.which(name))), None)


def _runs_pe32(wine: Path) -> bool:
    """Whether the 32 bit half is installed: its builtin DLLs are there."""
    real = wine.resolve()
    candidates = [
        Path("/usr/lib/i386-linux-gnu/wine/i386-windows"),
        real.parent.parent / "lib/wine/i386-windows",
        real.parent.parent / "lib32/wine/i386-windows",
    ]
    return any((folder / "ntdll.dll").exists() for folder in candidates)
