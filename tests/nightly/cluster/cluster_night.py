# SPDX-License-Identifier: GPL-2.0-only
"""Runs cells on a Dask cluster: `cluster_night.py SCHEDULER CELLS.json GRACE`; a line an event."""

import json
import sys
from pathlib import Path

from lkltest.nightly.cluster.errors import ClusterError
from lkltest.nightly.cluster.scheduler import run_cells
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.plain import from_plain, to_plain


class Printer:
    """Tells a test what happens, as it happens."""

    def started(self, cell: Cell) -> None:
        print(json.dumps({"started": cell.id}), flush=True)

    def finished(self, record: CellRecord) -> None:
        print(json.dumps({"finished": to_plain(record)}), flush=True)

    def noticed(self, text: str, *, trouble: bool) -> None:
        print(json.dumps({"noticed": text, "trouble": trouble}), flush=True)

    def waiting(self) -> None:
        pass


def main() -> int:
    """Exit status 2 without a cluster."""
    scheduler, file, grace = sys.argv[1:]
    cells = [from_plain(Cell, item) for item in json.loads(Path(file).read_text())]
    try:
        run_cells(cells, scheduler, Printer(), grace=float(grace))
    except ClusterError as error:
        print(json.dumps({"error": str(error)}))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
