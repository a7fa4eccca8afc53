# SPDX-License-Identifier: GPL-2.0-only
"""`make bench`: ratios, each measured side by side in one run. No figure here fails anything."""

from __future__ import annotations

import sys

from tests.bench import native, nights, qemu, remote, tap, uml, wine

BENCHMARKS = {
    "boot": native.boot,
    "suite": native.suite,
    "crash": native.crash,
    "everything": native.everything,
    "wine": wine.boot,
    "uml": uml.boot,
    "uml-kunit": uml.kunit,
    "uml-crash": uml.crash,
    "qemu": qemu.passing_stream,
    "qemu-console": qemu.console,
    "ssh": remote.boot,
    "ssh-disk": remote.disk,
    "nights": nights.nights,
    "tap": tap.parsers,
    "tap2junit": tap.to_junit,
}


def main(names: list[str]) -> int:
    """Run the benchmarks called `names`, all without any."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown benchmark {unknown[0]}; there are: {', '.join(BENCHMARKS)}")
        return 2
    for name in names or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
