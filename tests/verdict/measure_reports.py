# SPDX-License-Identifier: GPL-2.0-only
"""The share of reports in others' test data that are found, and named as they name them.

    python -m tests.verdict.measure_reports REPORTS [LOGS]

REPORTS: a folder of files as syzkaller's pkg/report/testdata/linux/report has them: headers
(`TITLE: ...`), an empty line, a log. A file without a title is harmless. A title that ends with
`in corrupted` is of a report that they doubt, and names no function: whether ours names none, or
one and otherwise says the same, is counted apart. What they take for another title of the same
report (`ALT: ...`) is as good as the first. LOGS: a folder of whole logs of failed kernels,
as squad's test/plugins/linux_log_parser. Neither is part of this project.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from lkltest.verdict.kernel_log import find_reports


def _parts(file: Path) -> tuple[list[str], bytes]:
    """Return the titles that are expected, and the log."""
    headers, _, log = file.read_bytes().replace(b"\r", b"").partition(b"\n\n")
    if headers.startswith(b"\n"):
        headers, log = b"", headers + b"\n\n" + log
    titles = [
        line.partition(b": ")[2].decode()
        for form in (b"TITLE: ", b"ALT: ")
        for line in headers.splitlines()
        if line.startswith(form)
    ]
    return titles if titles[:1] != [""] else [], log.partition(b"\n\nREPORT:\n")[0]


def _compared(theirs: list[str], ours: list[str]) -> str:
    """Return how the title of the first report is to theirs, as a kind to count."""
    if ours and ours[0] in theirs:
        return "titles equal"
    kind, doubted, _ = theirs[0].partition(" in corrupted")
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
        theirs, log = _parts(file)
        reports = find_reports(log)
        titles = [report.title for report in reports]
        kind = "reports" if theirs else "harmless logs"
        counts[kind] += 1
        counts[f"{kind} found"] += bool(titles)
        if theirs:
            counts[_compared(theirs, titles[:1])] += 1
        if options.verbose and (titles[:1] != theirs[:1] if theirs else titles):
            print(f"{file.name}: {''.join(theirs[:1])!r} found {titles[:4]}")
    for file in sorted(options.logs.glob("*.log")) if options.logs else ():
        print(file.name, [report.title for report in find_reports(file.read_bytes())])
    for name, count in counts.items():
        print(f"{count:5} {name}")


if __name__ == "__main__":
    main()
