# SPDX-License-Identifier: GPL-2.0-only
"""Says how often a Dask scheduler lets a task lose its worker: `cluster_deaths SCHEDULER`."""

import sys
from typing import Any

from distributed import Client


def main() -> None:
    """Ask it."""

    def allowed(dask_scheduler: Any) -> int:
        return int(dask_scheduler.allowed_failures)

    with Client(sys.argv[1]) as client:
        print("allowed:", client.run_on_scheduler(allowed), flush=True)


if __name__ == "__main__":
    main()
