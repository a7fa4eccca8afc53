# SPDX-License-Identifier: GPL-2.0-only
"""Coverage of a build's lines by suite: what programs compiled with gcc's --coverage have left.

Each suite's data lies in a folder of its own (GCOV_PREFIX), below it where the objects are in the
build. gcov reads it; what comes of it is a table, and a file a suite in lcov's form for genhtml,
gcovr and others. See gcc's manual, "Data File Relocation to Support Cross-Profiling", and gcov(1).
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lkltest.errors import LkltestError

Lines = dict[tuple[str, int], int]
"""The number of times that each line, `(file, number)`, was run."""
Folders = Mapping[str, tuple[int, int]]
"""The lines that each folder has, and how many of them were run."""
FOLDERS = "folders.json"
"""`Folders` of each suite, by its name, for other programs."""
_AT_ONCE = 200
"""Files of one gcov's: a kernel has thousands."""


class NoCoverage(LkltestError):
    """Nothing to report; the message is one line."""


def data_folder(folder: Path, suite: str) -> Path:
    """The folder in which a suite's programs leave their data: their GCOV_PREFIX."""
    return folder / "data" / suite.replace("/", "-")


def begin(folder: Path) -> None:
    """Forget what runs before have left, to which programs would add. Raises OSError."""
    if (folder / "data").is_dir():
        shutil.rmtree(folder / "data")
    folder.mkdir(parents=True, exist_ok=True)


def write_report(folder: Path) -> list[str]:
    """Read what the suites have left below `folder`; returns a table. Raises NoCoverage."""
    if shutil.which("gcov") is None:
        raise NoCoverage("gcov is missing: apt-get install gcc")
    suites: dict[str, Folders] = {}
    together: Lines = {}
    for place in sorted((folder / "data").glob("*")):
        lines = read(place)
        if lines:
            suites[place.name] = by_folder(lines)
            _add(together, lines)
            (folder / f"{place.name}.info").write_text(tracefile(place.name, lines), "utf-8")
    if not suites:
        how = "docs/coverage-of-kernels.md says how"
        raise NoCoverage(f"no coverage: the build was not compiled with --coverage; {how}")
    (folder / FOLDERS).write_text(json.dumps(suites), "utf-8")
    return table(suites, by_folder(together))


def read(place: Path) -> Lines:
    """The lines that the data below `place` tells of. Raises NoCoverage."""
    found: Lines = defaultdict(int)
    data = sorted(place.rglob("*.gcda"))
    for file in data:
        notes = Path("/", file.relative_to(place)).with_suffix(".gcno")
        here = file.with_suffix(".gcno")
        if notes.is_file() and not here.exists():
            here.symlink_to(notes)
    for start in range(0, len(data), _AT_ONCE):
        for document in _gcov(data[start : start + _AT_ONCE], place):
            for source in document["files"]:
                for line in source["lines"]:
                    found[source["file"], line["line_number"]] += line["count"]
    return dict(found)


def _gcov(files: Sequence[Path], place: Path) -> Iterator[Any]:
    done = subprocess.run(
        ["gcov", "--json-format", "--stdout", *map(str, files)],  # noqa: S607 - wherever it is
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    if done.returncode != 0 and not done.stdout:
        raise NoCoverage(f"gcov: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def tracefile(name: str, lines: Lines) -> str:
    """Lines in lcov's form, geninfo(1)."""
    by_file: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for (file, number), count in lines.items():
        by_file[file].append((number, count))
    text = []
    for file, found in sorted(by_file.items()):
        text += [f"TN:{''.join(c if c.isalnum() else '_' for c in name)}", f"SF:{file}"]
        text += [f"DA:{number},{count}" for number, count in sorted(found)]
        text += [f"LF:{len(found)}", f"LH:{sum(count > 0 for _, count in found)}", "end_of_record"]
    return "\n".join(text) + "\n"


def by_folder(lines: Lines) -> Folders:
    """The lines of each folder and how many of them were run, by name."""
    folders: dict[str, str] = {}
    found: dict[str, list[int]] = {}
    for (file, _), count in lines.items():
        if file not in folders:
            folders[file] = folder_of(file)
        share = found.setdefault(folders[file], [0, 0])
        share[0] += 1
        share[1] += count > 0
    return {folder: (share[0], share[1]) for folder, share in sorted(found.items())}


def table(suites: Mapping[str, Folders], together: Folders) -> list[str]:
    """A row a folder: its lines, and the share that each suite has run, and all together."""
    columns = {**suites, "all": together}
    widths = [max(len(name), 8) for name in columns]
    wide = max(24, *map(len, together))
    head = [f"{name:>{width}}" for name, width in zip(columns, widths, strict=True)]
    rows = ["  ".join([f"{'lines run':{wide}}{'lines':>8}", *head])]
    for folder, (whole, _) in together.items():
        cells = [
            f"{100 * column.get(folder, (0, 0))[1] / whole:{width - 2}.1f} %"
            for column, width in zip(columns.values(), widths, strict=True)
        ]
        rows.append("  ".join([f"{folder:{wide}}{whole:8}", *cells]))
    return rows


def folder_of(file: str) -> str:
    """The folder that a source is counted in: of a kernel's `fs/ext4/super.c` it is fs/ext4."""
    path = Path(file)
    if not path.is_absolute():
        return "/".join(path.parent.parts[:2]) or "."
    root = _root(path.parent)
    if root is None:
        return "/".join(path.parent.parts[-2:])
    return "/".join(path.parent.relative_to(root).parts[:2]) or "."


@functools.cache
def _root(folder: Path) -> Path | None:
    """The top of the kernel tree that a folder is in."""
    return next(
        (
            up
            for up in (folder, *folder.parents)
            if (up / "Kbuild").is_file() and (up / "MAINTAINERS").is_file()
        ),
        None,
    )


def _add(together: Lines, lines: Lines) -> None:
    for line, count in lines.items():
        together[line] = together.get(line, 0) + count
