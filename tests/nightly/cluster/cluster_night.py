# SPDX-License-Identifier: GPL-2.0-only
"""Runs cells on a Dask cluster: `cluster_night.py SCHEDULER CELLS.json GRACE`; a line an event."""

import json
import sys
from pathlib import Path

from lkltest.nightly.cluster.scheduler import ClusterError, run_cells
from lkltest.nightly.model.cell import Cell, CellRecord


class Printer:
    """Tells a test what happens, as it happens."""

    def started(self, cell: Cell) -> None:
        print(json.dumps({"started": cell.id}), flush=True)

    def finished(self, record: CellRecord) -> None:
        print(json.dumps({"finished": record.to_dict()}), flush=True)

    def waiting(self) -> None:
        pass


def main() -> int:
    """Exit status 2 without a cluster."""
    scheduler, file, grace = sys.argv[1:]
    cells = [Cell.from_dict(item) for item in json.loads(Path(file).read_text())]
    try:
        run_cells(cells, scheduler, Printer(), float(grace))
    except ClusterError as error:
        print(json.dumps({"error": str(error)}))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
