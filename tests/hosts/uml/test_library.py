# SPDX-License-Identifier: GPL-2.0-only
"""Builds of UML's library mode (tools/um), with a stand-in that does what its programs do.

As in the tree of the patches "Unifying LKL into UML": tests/boot and tests/disk, no net-test, no
autoconf.sh; a disk's path goes into the kernel's command line as ubd0=PATH (lib/fs.c); the kernel
keeps ~/.uml/ID, which it removes only when it ends by itself (uml/umid.c).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.host import disk
from lkltest.host.build import open_build
from tests.compiler import compile_program
from tests.fake_build import environment, lkltest, start

STAND_IN = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static void make_umid_dir(void)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/.uml", getenv("HOME"));
	mkdir(path, 0777);
	strcat(path, "/a1B2c3");
	mkdir(path, 0777);
}

static int add_disk(const char *path)
{
	char devices[64] = "", *ubd;
	int theirs = open(path, O_RDWR), ours;
	struct stat found;

	snprintf(devices, sizeof(devices), " ubd0=%s", path);
	ubd = strchr(devices, '=') + 1;
	/* ubd reads a comma or colon as the start of a second file. */
	if (strpbrk(ubd, ",: ") || strcmp(ubd, path))
		return 0;
	ours = open(ubd, O_RDWR);
	return theirs >= 0 && ours >= 0 && !fstat(ours, &found) && found.st_size > 0;
}

int main(int argc, char **argv)
{
	const char *image = NULL;
	int i;

	for (i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "-d"))
			image = argv[i + 1];
	make_umid_dir();
	printf("1..1 # stand-in\n* 1 start_kernel\n");
	fflush(stdout);
	if (getenv("STAND_IN_HANGS"))
		pause();
	printf("%s 1 start_kernel\n", !image || add_disk(image) ? "ok" : "not ok");
	return 0;
}
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    source = tmp_path / "stand-in.c"
    source.write_text(STAND_IN)
    program = compile_program(source)
    tests = tmp_path / "tools" / "um" / "tests"
    tests.mkdir(parents=True)
    for name in ("boot", "disk"):
        (tests / name).hardlink_to(program)
    return tests.parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_doctor_names_it(build: Path) -> None:
    said = lkltest("doctor", "--build", str(build), env=environment()).stdout
    assert re.search(r"^host native +yes build .*/tools/um \(tools/um\): boot disk$", said, re.M)
    assert re.search(r"^  boot +yes$", said, re.M)
    assert re.search(r"^  net\[.*tap.*\] +no +build um \(tools/um\) has no net-test$", said, re.M)
    assert re.search(r"^host uml +no .* holds no UML kernel called linux", said, re.M)


def test_it_is_known_under_another_name(build: Path) -> None:
    moved = build.rename(build.with_name("copy"))
    assert open_build(str(moved)).kind == "tools/lkl"
    (moved / "liblinux.a").touch()
    assert open_build(str(moved)).kind == "tools/um"


def test_its_suites(build: Path, home: Path) -> None:
    words = ("run", "--host", "native", "--build", str(build))
    done = lkltest(*words, env=environment(HOME=str(home)))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = dict(re.findall(r"^(\S+)@native +(\w.*)$", done.stdout, re.M))
    assert lines["boot"].startswith("ok")
    for filesystem in ("ext4", "btrfs", "vfat", "xfs"):
        if not disk.missing_tool(filesystem):
            assert lines[f"disk[{filesystem}]"].startswith("ok")
    for backend in ("loopback", "pipe", "tap", "raw", "macvtap"):
        assert lines[f"net[{backend}]"].startswith("skipped")
        assert "build um (tools/um) has no net-test" in lines[f"net[{backend}]"]
    assert list(home.glob(".uml")) == []


def test_nothing_is_left_of_its_state_after_a_kill(build: Path, home: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    settings = environment(HOME=str(home), TMPDIR=str(temporary), STAND_IN_HANGS="y")
    words = ("run", "boot", "--host", "native", "--build", str(build))
    with start("lkltest", *words, env=settings) as run:
        wait_until(lambda: list(temporary.glob("*/.uml/a1B2c3")))
        run.kill()
    wait_until(lambda: not list(temporary.iterdir()))
    assert list(home.glob(".uml")) == []


def wait_until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)
