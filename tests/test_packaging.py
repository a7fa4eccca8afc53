# SPDX-License-Identifier: GPL-2.0-only
"""An installation works: the wheel and an editable checkout, in fresh virtual environments."""

import contextlib
import fcntl
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compiler import ROOT
from tests.fake_build import bundled_build, environment, fake_build
from tests.setup.conftest import second

CACHE = ROOT / "build" / "test-wheels"
SECONDS = 300.0
PIP_WHEEL = ("-m", "pip", "wheel", "-q", "--no-deps", "-w")


def command(*words: str | Path, cwd: Path | None = None, **settings: str) -> str:
    """Run a command that has to succeed; returns both its outputs."""
    env = environment(PIP_DISABLE_PIP_VERSION_CHECK="1", **settings)
    if "PYTHONPATH" not in settings:
        env.pop("PYTHONPATH", None)
    done = subprocess.run(
        words, cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "Traceback" not in output
    return output


def requirements() -> list[str]:
    """The packages that pip needs to build lkltest and to install it with xdist."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = data["project"]
    parallel: list[str] = project["optional-dependencies"]["parallel"]
    return sorted([*data["build-system"]["requires"], *project["dependencies"], *parallel])


@pytest.fixture(scope="session")
def wheels() -> Path:
    """The dependencies as wheels, fetched once for each change of what is required."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = "\n".join(requirements())
    with (CACHE / "requirements.txt").open("a+", encoding="utf-8") as stamp:
        fcntl.flock(stamp, fcntl.LOCK_EX)
        stamp.seek(0)
        if stamp.read() != wanted:
            command(sys.executable, "-m", "pip", "wheel", "-q", "-w", CACHE, *requirements())
            stamp.truncate(0)
            stamp.write(wanted)
    return CACHE


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, for building writes into the place it is done in."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no git checkout")
    listing = command("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    copy = tmp_path_factory.mktemp("source")
    for name in filter(None, listing.split("\0")):
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink() or (ROOT / name).exists():  # not deleted meanwhile
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return copy


@pytest.fixture(scope="session")
def wheel(source: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command(
        sys.executable, *PIP_WHEEL, folder, source, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels)
    )
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def wheel_of_sdist(source: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds of the source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    command(sys.executable, "-m", "build", "--sdist", "-o", folder, source, **offline)
    (sdist,) = folder.glob("*.tar.gz")
    command(sys.executable, *PIP_WHEEL, folder, sdist, **offline)
    (file,) = folder.glob("*.whl")
    return file


@dataclass(frozen=True)
class Installed:
    """A fresh virtual environment with lkltest in it."""

    folder: Path
    package: Path
    """The folder that its `lkltest` is imported from."""

    def __call__(self, program: str, *words: str | Path, cwd: Path, **settings: str) -> str:
        return command(self.folder / "bin" / program, *words, cwd=cwd, **settings)


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(
    request: pytest.FixtureRequest, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    folder = tmp_path_factory.mktemp("venv")
    command(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "-q")
    if request.param == "wheel":
        what = [f"{request.getfixturevalue('wheel')}[parallel]"]
        package = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "lkltest"
    else:
        checkout = request.getfixturevalue("source")
        what = ["-e", f"{checkout}[parallel]"]
        package = checkout / "lkltest"
    command(*pip, *what, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))
    return Installed(folder, package)


@pytest.fixture
def build(tmp_path: Path) -> str:
    """The bundled kernel's build; without one, programs that pass."""
    fake = tmp_path / "lkl"
    return str(bundled_build() or fake_build(fake, boot="pass", disk="pass", net_test="pass"))


@pytest.fixture
def names(wheel: Path) -> set[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


class TestSourceDistribution:
    def test_it_builds_the_same_wheel(self, wheel: Path, wheel_of_sdist: Path) -> None:
        assert contents(wheel_of_sdist) == contents(wheel)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class TestWheel:
    def test_it_holds_only_the_package(self, names: set[str]) -> None:
        tops = {name.partition("/")[0] for name in names}
        assert tops == {"lkltest", next(top for top in tops if top.endswith(".dist-info"))}

    def test_it_holds_every_module_and_c_source(self, names: set[str], source: Path) -> None:
        wanted = {
            str(path.relative_to(source))
            for folder in ("lkltest", "hosts", "suites")
            for path in (source / folder).rglob("*")
            if path.suffix in (".py", ".c", ".h", ".jinja", ".css")
        }
        wanted |= {
            str(path.relative_to(source))
            for path in (source / "hosts" / "setup").rglob("*")
            if path.is_file()
        }
        # hosts/ and suites/ are linked into the package.
        wanted = {name if name.startswith("lkltest/") else f"lkltest/{name}" for name in wanted}
        assert wanted > {"lkltest/suites/boot/boot.c", "lkltest/testing/contract.c"}
        assert "lkltest/hosts/setup/windows/calls.h" in wanted
        assert wanted - names == set()
        assert "lkltest/py.typed" in names

    def test_entry_points(self, wheel: Path, names: set[str]) -> None:
        (name,) = [name for name in names if name.endswith("/entry_points.txt")]
        parser = ConfigParser()
        with zipfile.ZipFile(wheel) as archive:
            parser.read_string(archive.read(name).decode())
        assert parser["console_scripts"]["lkltest"] == "lkltest.__main__:main"
        assert parser["pytest11"]["lkltest"] == "lkltest.plugin.hooks"
        assert parser["lkltest.hosts"]["native"] == "lkltest.hosts.native:NativeHost"


class TestInstalled:
    @pytest.mark.parametrize("words", [(), ("-n2",)], ids=["alone", "parallel"])
    def test_pytest_in_an_empty_directory_runs_the_suites(
        self, installed: Installed, empty: Path, build: str, words: tuple[str, ...]
    ) -> None:
        options = ("--lkl-host=native", f"--lkl-build={build}", "--lkl-junit-dir=out")
        output = installed("pytest", *options, *words, cwd=empty)
        assert "boot@native" in output
        summary = next(line for line in output.splitlines() if re.match(r"\d+ suites: ", line))
        assert summary.startswith(f"{len(list((empty / 'out').iterdir()))} suites: ")
        assert "failed" not in summary

    def test_no_module_has_two_names(self, installed: Installed, empty: Path, build: str) -> None:
        shutil.copy(ROOT / "tests" / "imported_twice.py", empty)
        output = installed(
            "pytest", "--lkl-host=native", f"--lkl-build={build}", "-p", "imported_twice", "-s",
            "--pyargs", "lkltest.suites", "--lkl-suite=boot", cwd=empty, PYTHONPATH=str(empty),
        )  # fmt: skip
        assert re.search(r"^modules \d\d+, twice \[\]$", output, re.MULTILINE), output

    def test_the_command(self, installed: Installed, empty: Path, build: str) -> None:
        output = installed("lkltest", "run", "boot", f"--build={build}", cwd=empty)
        assert output.startswith("boot@native")
        assert "host native      yes" in installed(
            "lkltest", "doctor", f"--build={build}", cwd=empty
        )

    def test_the_package_is_the_one_that_was_installed(
        self, installed: Installed, empty: Path
    ) -> None:
        script = "import lkltest, lkltest.hosts, lkltest.suites; print(lkltest.__file__)"
        found = installed("python", "-c", script, cwd=empty).strip()
        assert Path(found) == installed.package / "__init__.py"

    def test_another_projects_tests_are_left_alone(self, installed: Installed, empty: Path) -> None:
        (empty / "test_own.py").write_text("def test_own(): pass\n")
        assert "1 passed" in installed("pytest", cwd=empty)


class TestSetup:
    """`lkltest setup` of an installed package, with the kernel's archive from a local file."""

    @pytest.fixture(params=["wheel", "wheel_of_sdist"])
    def venv(self, request: pytest.FixtureRequest, wheels: Path, tmp_path: Path) -> Installed:
        folder = tmp_path / "venv"
        command(sys.executable, "-m", "venv", "--without-pip", folder)
        pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "-q")
        what = request.getfixturevalue(request.param)
        command(*pip, what, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))
        return Installed(folder, folder)

    def test_an_interrupted_one_and_the_next(
        self, venv: Installed, empty: Path, tmp_path: Path
    ) -> None:
        """The kernel's build is interrupted; as it takes minutes, the next try is given its end."""
        archive = next((ROOT / "build").glob("lkl-*.tgz"), None)
        kernel = next((ROOT / "build").glob(".kernel-*-*"), None)
        if archive is None or kernel is None:
            pytest.skip("no bundled kernel: make setup")
        settings = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "LKLTEST_ARCHIVE": str(archive)}
        place = tmp_path / "cache" / "lkltest" / "build"
        no_build = subprocess.run(
            [venv.folder / "bin" / "lkltest", "run"], cwd=empty, env=environment(**settings),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert no_build.returncode == 2
        assert "make the bundled one with `lkltest setup`" in no_build.stderr
        venv("pytest", "--lkl-host=native", "--collect-only", cwd=empty, **settings)

        setup = [venv.folder / "bin" / "lkltest", "setup"]
        process = subprocess.Popen(setup, cwd=empty, env=environment(**settings))
        wait_for_objects(place / "src")
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.wait(10) == 130
        assert time.monotonic() - start < second()
        assert [path for path in compilers() if str(place) in path] == []

        shutil.rmtree(place / "src")
        (place / "src").symlink_to(ROOT / "build" / "src")
        (place / kernel.name).touch()
        output = venv("lkltest", "setup", cwd=empty, **settings)
        assert "building the bundled kernel" not in output
        assert f"native: ready in {place}" in output
        done = venv("lkltest", "run", "boot", cwd=empty, **settings)
        assert re.match(r"boot@native +ok ", done), done


def wait_for_objects(folder: Path) -> None:
    """Wait until the kernel's compilers are at work."""
    limit = time.monotonic() + SECONDS
    while not any((folder / "src" / "linux" / "scripts").glob("*/*.o")):
        assert time.monotonic() < limit, "no compiler has begun"
        time.sleep(0.1)


def compilers() -> list[str]:
    """The directories of all processes that can be asked."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found.append(str(path.readlink()))
    return found


def test_pytest_in_a_checkout_runs_its_suites(build: str) -> None:
    options = ("--lkl-host=native", f"--lkl-build={build}", "--lkl-suite=boot", "-v")
    output = command(sys.executable, "-m", "pytest", *options, cwd=ROOT)
    assert "suites/boot/test_boot.py::test_boot[native] PASSED" in output


def test_the_package_index_shows_a_page_that_works() -> None:
    """Links of the README are whole addresses: its page there has no files beside it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / project["readme"]).read_text(encoding="utf-8")
    places = re.findall(r"\]\(([^)]+)\)", text)
    assert places and [place for place in places if not place.startswith("https://")] == []
    assert "Framework :: Pytest" in project["classifiers"]
    assert all(url.startswith("https://") for url in project["urls"].values())
