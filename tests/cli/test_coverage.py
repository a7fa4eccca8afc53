# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest run --coverage`: which lines each suite runs, of programs that gcc has instrumented."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lkltest.report.coverage import by_folder, folder_of, table, tracefile
from tests.compiler import ROOT
from tests.fake_build import fake_build, lkltest

SOURCE = Path(__file__).parents[1] / "programs" / "covered.c"
CALLED = "	return 2 * number;"


def covered_build(folder: Path) -> Path:
    """A build whose boot and disk are one instrumented program; disk gets arguments."""
    if shutil.which("gcov") is None:
        pytest.skip("gcov is missing: apt-get install gcc")
    (folder / "tests").mkdir(parents=True)
    (folder / "fs" / "toy").mkdir(parents=True)
    shutil.copy(SOURCE, folder / "fs" / "toy" / "covered.c")
    for words in (
        ("-c", "fs/toy/covered.c", "-o", "fs/toy/covered.o"),
        ("fs/toy/covered.o", "-o", "tests/boot"),
        ("fs/toy/covered.o", "-o", "tests/disk"),
    ):
        subprocess.run(["gcc", "--coverage", *words], cwd=folder, check=True, timeout=60)
    return folder


def hits(file: Path, text: str) -> int:
    """How often the line of the program that is `text` was run."""
    number = SOURCE.read_text().splitlines().index(text) + 1
    found = [line for line in file.read_text().splitlines() if line.startswith(f"DA:{number},")]
    return int(found[0].partition(",")[2])


def test_each_suite_has_its_own_lines(tmp_path: Path) -> None:
    build, out = covered_build(tmp_path / "lkl"), tmp_path / "out"
    for _ in range(2):  # the second run adds nothing to the first
        done = lkltest("run", "boot", "disk[ext4]", f"--build={build}", f"--coverage={out}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert hits(out / "boot.info", CALLED) == 0
        assert hits(out / "disk[ext4].info", CALLED) == 1
    head, row = done.stdout.splitlines()[-2:]
    assert head.split()[-3:] == ["boot", "disk[ext4]", "all"]
    assert row.startswith("fs/toy ") and row.endswith("100.0 %")
    assert not list(build.rglob("*.gcda")), "nothing is left in the build"


def test_the_bundled_kernels_ext4_is_run_by_the_disk_suite(tmp_path: Path) -> None:
    build, out = ROOT / "build" / "covered", tmp_path / "out"
    if not (build / "tests" / "autoconf.sh").is_file():
        pytest.skip("no kernel with coverage: make -f hosts/setup/covered.mk")
    done = lkltest("run", "boot", "disk[ext4]", f"--build={build}", f"--coverage={out}")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("fs/ext4 ")]
    by_boot, by_disk = float(row[2]), float(row[4])
    assert by_boot < 2 and by_disk > 20, "per cent"


def test_a_build_without_coverage_is_said(tmp_path: Path) -> None:
    build = fake_build(tmp_path, boot="pass")
    done = lkltest("run", "boot", f"--build={build}", f"--coverage={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "the build was not compiled with --coverage" in done.stderr


def test_a_host_without_it_says_so(tmp_path: Path) -> None:
    done = lkltest("run", "boot", "--host=qemu", f"--coverage={tmp_path / 'out'}")
    assert done.returncode == 2
    assert done.stderr == "lkltest: host qemu: --coverage cannot be had; native and uml have it\n"


def test_folders_of_a_kernel() -> None:
    assert folder_of("fs/ext4/super.c") == "fs/ext4"
    assert folder_of("net/ipv4/netfilter/ip_tables.c") == "net/ipv4"
    assert folder_of("main.c") == "."
    assert folder_of("/tmp/build/tests/x.c") == "build/tests"


def test_folders_below_the_top_of_a_kernel_tree(tmp_path: Path) -> None:
    for name in ("Kbuild", "MAINTAINERS"):
        (tmp_path / name).touch()
    assert folder_of(f"{tmp_path}/drivers/net/ethernet/3com/x.c") == "drivers/net"
    assert folder_of(f"{tmp_path}/x.c") == "."


def test_a_line_that_any_suite_runs_counts_for_all() -> None:
    suites = {"a": {("fs/x.c", 1): 1, ("fs/x.c", 2): 0}, "b": {("fs/x.c", 1): 0}}
    found = {name: by_folder(lines) for name, lines in suites.items()}
    rows = table(found, by_folder(suites["a"]))
    assert rows[1].split() == ["fs", "2", "50.0", "%", "0.0", "%", "50.0", "%"]
    assert "LF:2\nLH:1" in tracefile("a", {("fs/x.c", 1): 1, ("fs/x.c", 2): 0})
