# SPDX-License-Identifier: GPL-2.0-only
"""Coverage of a build's lines by suite: what programs compiled with gcc's --coverage have left.

Each suite's data lies in a folder of its own (GCOV_PREFIX), below it where the objects are in the
build. gcov reads it; what comes of it is a table, and a file a suite in lcov's form for genhtml,
gcovr and others. See gcc's manual, "Data File Relocation to Support Cross-Profiling", and gcov(1).
"""

from __future__ import annotations

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
    suites: dict[str, Lines] = {}
    for place in sorted((folder / "data").glob("*")):
        lines = read(place)
        if lines:
            suites[place.name] = lines
            (folder / f"{place.name}.info").write_text(tracefile(place.name, lines), "utf-8")
    if not suites:
        how = "docs/coverage-of-kernels.md says how"
        raise NoCoverage(f"no coverage: the build was not compiled with --coverage; {how}")
    return table(suites)


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


def table(suites: Mapping[str, Lines]) -> list[str]:
    """A row a folder: its lines, and the share that each suite has run, and all together."""
    together: Lines = defaultdict(int)
    for lines in suites.values():
        for line, count in lines.items():
            together[line] += count
    columns = {**suites, "all": together}
    folders = sorted({folder_of(file) for file, _ in together})
    widths = [max(len(name), 8) for name in columns]
    head = [f"{name:>{width}}" for name, width in zip(columns, widths, strict=True)]
    rows = ["  ".join([f"{'lines run':24}{'lines':>8}", *head])]
    for folder in folders:
        whole = _in_folder(folder, together)
        cells = []
        for lines, width in zip(columns.values(), widths, strict=True):
            run = sum(count > 0 for count in _in_folder(folder, lines))
            cells.append(f"{100 * run / len(whole):{width - 2}.1f} %")
        rows.append("  ".join([f"{folder:24}{len(whole):8}", *cells]))
    return rows


def folder_of(file: str) -> str:
    """The folder that a source is counted in: of a kernel's `fs/ext4/super.c` it is fs/ext4."""
    parts = Path(file).parent.parts
    return "/".join(parts[-2:] if file.startswith("/") else parts[:2]) or "."


def _in_folder(folder: str, lines: Mapping[tuple[str, int], int]) -> list[int]:
    return [count for (file, _), count in lines.items() if folder_of(file) == folder]
