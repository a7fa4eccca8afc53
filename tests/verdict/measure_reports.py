# SPDX-License-Identifier: GPL-2.0-only
"""The share of reports in others' test data that are found, and named as they name them.

    python -m tests.verdict.measure_reports REPORTS [LOGS]

REPORTS: a folder of files as syzkaller's pkg/report/testdata/linux/report has them: headers
(`TITLE: ...`), an empty line, a log. A file without a title is harmless. A title that ends with
`in corrupted` is of a report that they doubt, and names no function: whether ours names none, or
one and otherwise says the same, is counted apart. LOGS: a folder of whole logs of failed kernels,
as squad's test/plugins/linux_log_parser. Neither is part of this project.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from lkltest.verdict.kernel_log import find_reports


def _parts(file: Path) -> tuple[str, bytes]:
    """Return the title that is expected, or "", and the log."""
    headers, _, log = file.read_bytes().replace(b"\r", b"").partition(b"\n\n")
    if headers.startswith(b"\n"):
        headers, log = b"", headers + b"\n\n" + log
    titles = [line for line in headers.splitlines() if line.startswith(b"TITLE: ")]
    log = log.partition(b"\n\nREPORT:\n")[0]
    return (titles[0][7:].decode() if titles else ""), log


def _compared(title: str, ours: list[str]) -> str:
    """Return how the title of the first report is to theirs, as a kind to count."""
    if ours == [title]:
        return "titles equal"
    kind, doubted, _ = title.partition(" in corrupted")
    if not doubted:
        return "titles not equal"
    if ours == [kind]:
        return "titles without a function, as theirs"
    return (
        "titles equal, with a function where theirs has none"
        if ours and ours[0].startswith(kind)
        else "titles not equal to theirs without a function"
    )


def main() -> None:
    """Print the figures, and with -v each file that is not as expected."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("reports", type=Path)
    arguments.add_argument("logs", type=Path, nargs="?")
    arguments.add_argument("-v", "--verbose", action="store_true")
    options = arguments.parse_args()
    counts: Counter[str] = Counter()
    for file in sorted(options.reports.iterdir()):
        title, log = _parts(file)
        reports = find_reports(log)
        titles = [report.title for report in reports]
        kind = "reports" if title else "harmless logs"
        counts[kind] += 1
        counts[f"{kind} found"] += bool(titles)
        if title:
            counts[_compared(title, titles[:1])] += 1
        if options.verbose and (titles[:1] != [title] if title else titles):
            print(f"{file.name}: {title!r} found {titles[:4]}")
    for file in sorted(options.logs.glob("*.log")) if options.logs else ():
        print(file.name, [report.title for report in find_reports(file.read_bytes())])
    for name, count in counts.items():
        print(f"{count:5} {name}")


if __name__ == "__main__":
    main()
