# SPDX-License-Identifier: GPL-2.0-only
"""Messages of the set-up before it does anything, and a sentence for each obstacle."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT, Machine, python

PACKAGES = """
about = "a build of the test's own"
[packages]
first-of-two = "package-b"
"/no/such/file" = "package-a"
[megabytes]
package-a = 40
"""

STEP = """
about = "a build of the test's own"
[[steps]]
name = "making it"
makefile = "own.mk"
target = "made"
seconds = 120
megabytes = {megabytes}
"""

MAKING = """
.PHONY: made
made: $(BUILD)/made
$(BUILD)/made:
	{command}
"""


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed set-up says."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("lkltest setup: ")
    return done.stderr.removeprefix("lkltest setup: ").strip()


def as_a_user(machine: Machine) -> None:
    """Run as somebody who is not root, with the rights on files of who runs the tests."""
    machine.around = ["unshare", "--user"]
    if subprocess.run(["unshare", "--user", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")


def test_what_it_will_do_is_said_first(machine: Machine) -> None:
    recipe = machine.recipe(
        PACKAGES + STEP.format(megabytes=300).partition("\n")[2].partition("\n")[2],
        MAKING.format(command="touch $@"),
    )
    machine.program("apt-get", 'case "$*" in *install*) exit 100;; esac')
    lines = machine.run("--install", recipe).stdout.splitlines()
    assert lines[:4] == [
        f"Setting up own in {machine.place}:",
        "  packages, about 41 MB: package-a package-b",
        "  making it",
        "About 2 minutes and 341 MB of disk.",
    ]


def test_all_packages_come_in_one_round(machine: Machine) -> None:
    done = machine.run("--install", machine.recipe(PACKAGES))
    assert done.returncode == 0, done.stderr
    assert machine.calls == [
        "apt-get -q update --error-on=any",
        "apt-get --assume-no --no-install-recommends install package-a package-b",
        "apt-get -q -y --no-install-recommends install package-a package-b",
    ]


def test_the_lists_are_not_read_again_after_a_later_failure(machine: Machine) -> None:
    recipe = machine.recipe(PACKAGES)
    machine.program("apt-get", 'case "$*" in *-y*) exit 100;; esac')
    machine.run("--install", recipe)
    machine.run("--install", recipe)
    assert machine.calls.count("apt-get -q update --error-on=any") == 1


def test_without_install_the_command_is_named(machine: Machine) -> None:
    text = said(machine.run(machine.recipe(PACKAGES)))
    assert "apt-get install --no-install-recommends package-a package-b (or add --install)" in text
    assert machine.calls == []


def test_no_root_and_no_sudo(machine: Machine) -> None:
    as_a_user(machine)
    assert said(machine.run("--install", machine.recipe(PACKAGES))) == (
        "packages are missing, and there is neither root nor sudo: let root run "
        "`apt-get install --no-install-recommends package-a package-b` and try again"
    )


def test_sudo_refuses(machine: Machine) -> None:
    as_a_user(machine)
    machine.program("sudo", "echo sudo: a password is required >&2; exit 1")
    assert said(machine.run("--install", machine.recipe(PACKAGES))) == (
        "packages are missing, and sudo refuses: let root run "
        "`apt-get install --no-install-recommends package-a package-b` and try again"
    )


def test_sudo_installs(machine: Machine) -> None:
    as_a_user(machine)
    machine.program("sudo", 'shift; [ "$1" = -v ] || exec "$@"')
    done = machine.run("--install", machine.recipe(PACKAGES))
    assert done.returncode == 0, done.stderr
    assert machine.calls[-1] == "apt-get -q -y --no-install-recommends install package-a package-b"


def test_no_apt(machine: Machine) -> None:
    (machine.programs / "apt-get").unlink()
    assert said(machine.run("--install", machine.recipe(PACKAGES))) == (
        "packages are missing, and there is no apt-get: install package-a package-b "
        "(Debian's names) and try again"
    )


@pytest.mark.parametrize("action", ["update", "-y"])
def test_a_lock_is_waited_for(machine: Machine, action: str) -> None:
    machine.program(
        "apt-get",
        f"""case "$*" in *{action}*)
            [ -e {machine.folder}/free ] && exit 0
            echo "E: Could not get lock /x/lock. It is held by process 42 (apt-get)" >&2
            touch {machine.folder}/free; exit 100;; esac""",
    )
    done = machine.run("--install", machine.recipe(PACKAGES))
    assert done.returncode == 0, done.stderr
    assert "... waiting for process 42 (apt-get) to end, at most 300 s\n" in done.stdout


def test_an_installation_that_was_broken_off_is_finished(machine: Machine) -> None:
    machine.program("dpkg", f"touch {machine.folder}/mended")
    machine.program(
        "apt-get",
        f"""[ -e {machine.folder}/mended ] && exit 0
        case "$*" in *-y*)
            echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"
            exit 100;; esac""",
    )
    done = machine.run("--install", machine.recipe(PACKAGES))
    assert done.returncode == 0, done.stderr
    assert "dpkg --configure -a" in machine.calls


def test_apt_has_no_network(machine: Machine) -> None:
    machine.program(
        "apt-get",
        """case "$*" in
        *update*--error-on=any*)
            echo "W: Failed to fetch http://x  Temporary failure resolving 'x'"; exit 100;;
        *-y*) seq 1000; echo "E: Unable to locate package package-a" >&2; exit 100;; esac""",
    )
    done = machine.run("--install", machine.recipe(PACKAGES))
    assert "reading the package lists: FAILED" in done.stdout
    assert said(done) == (
        "installing package-a package-b: no network: connect this machine, or set its proxy, and "
        f"try again; all of it: {machine.place}/log/apt-update.log"
    )


def test_apt_knows_no_such_package(machine: Machine) -> None:
    machine.program(
        "apt-get",
        'case "$*" in *-y*) echo "E: Unable to locate package package-a" >&2; exit 100;; esac',
    )
    text = said(machine.run("--install", machine.recipe(PACKAGES)))
    assert "does not know a package of that name (E: Unable to locate package package-a)" in text
    assert text.endswith(f"; all of it: {machine.place}/log/apt-install.log")


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is missing")
def test_npm_has_no_network(machine: Machine) -> None:
    """The real npm, in a network namespace with nothing in it."""
    machine.around = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*machine.around, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    for name in ("npm", "node", "git", "gcc", "bc"):
        machine.tool(name)
    machine.environment["npm_config_fetch_retries"] = "0"
    machine.environment["HOME"] = str(machine.folder)
    text = said(machine.run("bundled_only", "--also", str(bundled(machine)), "--no-build"))
    assert text == (
        "fetching the bundled kernel with npm: no network: connect this machine, or set its proxy, "
        f"and try again; all of it: {machine.place}/log/bundled-archive.log"
    )


def bundled(machine: Machine) -> Path:
    """The kernel's recipe alone; `bundled_only` is a host that needs nothing."""
    setup = machine.folder / "site" / "lkltest" / "hosts" / "setup"
    (setup / "bundled_only.toml").write_text('about = "nothing"\n', encoding="utf-8")
    return setup / "bundled.toml"


def test_an_archive_needs_no_npm_and_must_be_the_right_one(machine: Machine) -> None:
    for name in ("git", "gcc", "bc"):
        machine.program(name)
    archive = machine.folder / "lkl.tgz"
    archive.write_bytes(b"another one")
    words = ("bundled_only", "--also", str(bundled(machine)), "--no-build")
    text = said(machine.run(*words, "--archive", str(archive)))
    assert text.startswith("fetching the bundled kernel with npm: the archive is not the one")
    assert "npm" not in " ".join(machine.calls)
    assert said(machine.run(*words, "--archive", "/no/such.tgz")) == "/no/such.tgz: no such archive"


def on_a_small_disk(machine: Machine) -> None:
    """Let the user's cache lie on a disk of one megabyte."""
    machine.cache.mkdir()
    script = f'mount -t tmpfs -o size=1m small {machine.cache} && exec "$@"'
    machine.around = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*machine.around, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    machine.environment["PATH"] = f"{machine.programs}:{os.defpath}:/usr/sbin:/sbin"


def test_a_build_that_does_not_fit_is_not_begun(machine: Machine) -> None:
    on_a_small_disk(machine)
    done = machine.run(
        machine.recipe(STEP.format(megabytes=300), MAKING.format(command="touch $@"))
    )
    assert said(done) == (
        f"{machine.place}: the disk has 1 MB left where about 300 are needed: "
        "free some of it and try again"
    )


@pytest.mark.parametrize(
    "command",
    ["head -c 3000000 /dev/zero >$@", "seq 1000000 && touch $@", "tar -C /usr/bin -cf $@ . "],
)
def test_a_disk_that_is_full_in_the_middle(machine: Machine, command: str) -> None:
    on_a_small_disk(machine)
    done = machine.run(machine.recipe(STEP.format(megabytes=0), MAKING.format(command=command)))
    assert said(done) == (
        "making it: the disk is full: free some of it and try again; "
        f"all of it: {machine.place}/log/own-made.log"
    )


def test_a_failure_is_one_line_of_many(machine: Machine) -> None:
    command = "seq 2000; echo 'x.c:1: error: no such thing' >&2; seq 2000; exit 3"
    done = machine.run(machine.recipe(STEP.format(megabytes=0), MAKING.format(command=command)))
    assert said(done) == (
        f"making it: x.c:1: error: no such thing; all of it: {machine.place}/log/own-made.log"
    )
    assert len(done.stdout.splitlines()) < 10


def test_a_folder_that_make_cannot_work_in(machine: Machine) -> None:
    cache = machine.folder / "my cache"
    done = machine.run(machine.recipe(PACKAGES), XDG_CACHE_HOME=str(cache))
    assert "take one without blanks and colons (XDG_CACHE_HOME)" in said(done)


def test_an_unknown_host(machine: Machine) -> None:
    text = said(machine.run("nosuch"))
    assert text == "no recipe for a host nosuch: there are native, qemu, uml, wine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[packages\n", "1:10: Expected ']' at the end of a table declaration"),
        ("[packages]\ngdb = 3\n", "2:7: gdb must be a string"),
        ("[[steps]]\nname = 'a'\nmakefile = 'm'\n", "1:1: target is missing"),
        ("[[steps]]\nname = 'a'\nmakefile = 'm'\ntarget = 't'\nsecond = 1\n", "5:1: unknown key"),
        ("[packages]\ngdb = 'gdb'\n[megabytes]\ngdb = -1\n", "4:7: gdb must be a number that is"),
        ("includes = ['absent']\n", "1:13: includes absent, which is not there"),
    ],
)
def test_a_bad_recipe_is_one_line(machine: Machine, text: str, message: str) -> None:
    recipe = machine.recipe(text)
    assert said(machine.run(recipe)).startswith(f"{recipe}:{message}")


def test_an_old_python_is_refused_before_anything_is_installed(machine: Machine) -> None:
    machine.program(
        "old-python",
        f"""exec {python()} -c 'import sys; sys.version_info = (3, 9, 2)
exec(sys.argv[1])' "$2" """,
    )
    done = subprocess.run(
        ["make", "run-tests", "PYTHON=old-python"], cwd=ROOT, capture_output=True, text=True,
        env={"PATH": str(machine.programs)}, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        "Python 3.11 or newer is needed, this is 3.9: name one with PYTHON=python3.11"
    )
    assert not [call for call in machine.calls if call.startswith("apt-get")]


def test_somebodys_own_build_needs_neither_npm_nor_a_kernel(machine: Machine) -> None:
    machine.run("--install", "native", "--no-build")
    asked = " ".join(machine.calls)
    assert "gdb" in asked
    assert not {"npm", "bc", "gcc"} & set(asked.split())
