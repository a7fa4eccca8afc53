# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.api: how hosts are found, and that a broken one is a line and never a traceback."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from lkltest.errors import BuildError, LaunchError, Missing
from lkltest.host import registry as module
from lkltest.host.api import Host, Launch, Process
from lkltest.host.build import Build
from lkltest.host.error_boundary import (
    accepts,
    error_boundary,
    facts_of,
    missing_of,
    properties_of,
)
from lkltest.host.registry import (
    BrokenHost,
    add_host_options,
    host_for_build,
    host_names,
    load_host_class,
    make_host,
    register,
)
from lkltest.plugin.session import Session
from lkltest.sandbox.scope import Scope
from tests.fake_build import environment, fake_build


class AnyOption:
    """An option group that takes whatever it is given."""

    def addoption(self, *names: str, **settings: Any) -> None:
        del names, settings


class Toy(Host):
    """A host that a conftest.py could bring."""

    name = "toy"

    def missing(self) -> Missing | None:
        return None

    def accepts(self, build: Build) -> bool:
        return "boot" in build.programs

    def launch(self, launch: Launch, scope: Scope) -> Process:
        raise LaunchError("toys are not launched")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_registered", {})
    monkeypatch.setattr(module, "_broken", {})
    module.entry_points.cache_clear()
    yield
    module.entry_points.cache_clear()


class TestFinding:
    def test_entry_points_are_found(self) -> None:
        assert "native" in host_names()
        assert issubclass(load_host_class("native"), Host)
        assert make_host("native").missing() is None

    def test_a_conftest_can_bring_one(self) -> None:
        assert register(Toy) is Toy
        assert "toy" in host_names()
        assert load_host_class("toy") is Toy
        assert isinstance(make_host("toy"), Toy)

    def test_a_registered_one_replaces_an_installed_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Toy, "name", "native")
        register(Toy)
        assert load_host_class("native") is Toy
        assert host_names().count("native") == 1

    def test_an_unknown_name_is_a_key_error(self) -> None:
        for find in (load_host_class, make_host):
            with pytest.raises(KeyError):
                find("nowhere")

    def test_options_reach_the_host(self) -> None:
        register(Toy)
        assert make_host("toy", {"lkl_toy_size": 3}).options == {"lkl_toy_size": 3}

    def test_the_host_follows_from_the_build(self, tmp_path: Path) -> None:
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "boot").write_bytes(Path(sys.executable).read_bytes()[:4096])
        found = host_for_build(str(tmp_path))
        assert found is not None
        assert found.name == "native"

    def test_a_text_is_no_program_of_a_build(self, tmp_path: Path) -> None:
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "boot").write_text("hello\n")
        with pytest.raises(BuildError, match="found no programs"):
            host_for_build(str(tmp_path))


class TestDefaults:
    """The defaults of a host's methods."""

    def test_a_missing_program_is_one_line(self, tmp_path: Path) -> None:
        build = Build(tmp_path, "tools/lkl", {"boot": tmp_path / "boot"})
        assert Toy().program(build, "boot") == tmp_path / "boot"
        with pytest.raises(LaunchError, match=rf"build {tmp_path}: has no program disk"):
            Toy().program(build, "disk")

    def test_nothing_is_lacking(self, tmp_path: Path) -> None:
        assert Toy().unsupported("net:tap", Build(tmp_path, "tools/lkl", {})) is None
        assert Toy().properties() == {}
        with Toy().session(tmp_path):
            pass

    def test_missing_names_what_and_how(self) -> None:
        assert str(Missing("gdb is missing", "apt-get install gdb")) == (
            "gdb is missing: apt-get install gdb"
        )
        assert str(Missing("no such machine")) == "no such machine"


# Third parties' packages that are broken in one way each. Each is a module `broken` with the class
# `Broken` behind an entry point; `{body}` stands in it.
PACKAGES = {
    "raises at import": "raise RuntimeError('no\\nlicence')",
    "exits at import": "import sys; sys.exit(3)",
    "does not compile": "def (",
    "lacks a module": "import nowhere_to_be_found",
    "has no such class": "",
    "is no class": "Broken = 3",
    "is no host": "class Broken: pass",
    "is abstract": "from lkltest.host.api import Host\nclass Broken(Host):\n    name = 'broken'",
}
HOST = """\
from lkltest.host.api import Host
class Broken(Host):
    name = "broken"
    def missing(self): return None
    def accepts(self, build): return True
    def launch(self, launch, scope): raise NotImplementedError
"""
METHODS = {
    "raises in its constructor": "__init__(self, options=None)",
    "raises in missing": "missing(self)",
    "raises in session": "session(self, shared=None)",
    "raises in add_options": "add_options(*ignored)",
}
PACKAGES |= {
    what: f"{HOST}    def {signature}: raise RuntimeError('no\\nlicence')\n"
    for what, signature in METHODS.items()
}

PACKAGES["raises in its process"] = """\
from lkltest.hosts.native import NativeHost
class Broken(NativeHost):
    name = "broken"
    def launch(self, launch, scope):
        process = super().launch(launch, scope)
        process.problems = self.fail
        return process
    def fail(self): raise RuntimeError("no\\nlicence")
"""
LOADED = {*METHODS, "raises in its process"}


@pytest.fixture
def install(tmp_path: Path) -> Callable[[str], Mapping[str, str]]:
    """Put a package that is broken in the named way on the path; returns the environment."""

    def install(what: str) -> Mapping[str, str]:
        site = tmp_path / "site"
        info = site / "broken-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "broken.py").write_text(PACKAGES[what])
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[lkltest.hosts]\nbroken = broken:Broken\n")
        return environment(PYTHONPATH=str(site))

    return install


def lkltest(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lkltest", *words],
        **options,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    build = tmp_path / "lkl" / "tests"
    build.mkdir(parents=True)
    (build / "boot").write_bytes(Path(sys.executable).resolve().read_bytes())
    (build / "boot").chmod(0o755)
    return build / "boot"


@pytest.mark.parametrize(
    "what", ["raises in its constructor", *(what for what in PACKAGES if what not in LOADED)]
)
def test_a_package_that_cannot_be_loaded_is_a_missing_host(
    what: str, install: Callable[[str], Mapping[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(what)["PYTHONPATH"])
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    assert "broken" in host_names()
    host = make_host("broken")
    assert isinstance(host, BrokenHost)
    reason = str(host.missing())
    assert reason.startswith("host broken cannot be loaded: ")
    assert "\n" not in reason
    assert not host.accepts(Build(Path(), "tools/lkl", {}))
    with pytest.raises(LaunchError, match="cannot be loaded"):
        host.launch(Launch(Path()), None)  # type: ignore[arg-type]


class TestErrorBoundary:
    """Whatever a loaded host's methods raise is an error of the interface, in one line."""

    @pytest.fixture(params=[RuntimeError("no\nlicence"), SystemExit(3), KeyError("x")], ids=repr)
    def bug(self, request: pytest.FixtureRequest) -> BaseException:
        error: BaseException = request.param
        return error

    def broken_in(self, method: str, bug: BaseException) -> Host:
        def fail(*arguments: object, **settings: object) -> None:
            raise bug

        register(type("Broken", (Toy,), {"name": "broken", method: fail}))
        return make_host("broken")

    @pytest.mark.parametrize(
        ("method", "count"),
        [("check", 0), ("unsupported", 2), ("program", 2), ("namespace_pid", 0), ("launch", 2)],
    )
    def test_a_launch_error(self, method: str, count: int, bug: BaseException) -> None:
        host = self.broken_in(method, bug)
        with pytest.raises(LaunchError) as caught, error_boundary(host, method):
            getattr(host, method)(*[None] * count)
        self.is_one_line(str(caught.value), method, bug)

    def test_a_build_error(self, bug: BaseException) -> None:
        host = self.broken_in("open_build", bug)
        with pytest.raises(BuildError) as caught, error_boundary(host, "open_build", BuildError):
            host.open_build(None)
        self.is_one_line(str(caught.value), "open_build", bug)

    def test_a_session(self, bug: BaseException) -> None:
        with pytest.raises(LaunchError) as caught:
            Session({}, None, 1.0).enter(self.broken_in("session", bug))
        self.is_one_line(str(caught.value), "session", bug)

    def test_missing(self, bug: BaseException) -> None:
        self.is_one_line(str(missing_of(self.broken_in("missing", bug))), "missing", bug)

    @pytest.mark.parametrize(
        ("method", "asked"), [("properties", properties_of), ("facts", facts_of)]
    )
    def test_properties(
        self, method: str, asked: Callable[[Host], dict[str, str]], bug: BaseException
    ) -> None:
        (text,) = asked(self.broken_in(method, bug)).values()
        self.is_one_line(text, method, bug)

    def test_accepts(self, bug: BaseException, tmp_path: Path) -> None:
        build = Build(tmp_path, "tools/lkl", {})
        assert accepts(self.broken_in("accepts", bug), build) is False

    def test_add_options(self, bug: BaseException) -> None:
        self.broken_in("add_options", bug)
        add_host_options(AnyOption(), ["--lkl-broken-size=3"])
        assert isinstance(make_host("broken"), BrokenHost)

    def is_one_line(self, text: str, method: str, bug: BaseException) -> None:
        assert text.startswith(f"host broken: {method}: {type(bug).__name__}: ")
        assert text.endswith(")"), "it ends with the place"
        assert "test_host.py:" in text
        assert "\n" not in text

    def test_what_may_be_raised_comes_through(self) -> None:
        host = Toy()
        with pytest.raises(LaunchError, match=r"^toys are not launched$"):  # noqa: SIM117
            with error_boundary(host, "launch"):
                host.launch(None, None)  # type: ignore[arg-type]

    def test_an_interrupt_comes_through(self) -> None:
        with pytest.raises(KeyboardInterrupt):
            missing_of(self.broken_in("missing", KeyboardInterrupt()))

    @pytest.mark.parametrize("wanted", [False, True])
    @pytest.mark.parametrize("by", ["LKLTEST_DEBUG", "-vv"])
    def test_a_traceback_for_its_author(
        self,
        wanted: bool,
        by: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("LKLTEST_DEBUG", "1" if by == "LKLTEST_DEBUG" and wanted else "0")
        host = self.broken_in("check", ValueError("no licence"))
        host.options = {"verbose": 2 if by == "-vv" and wanted else 1}
        with pytest.raises(LaunchError), error_boundary(host, "check"):
            host.check()
        said = capsys.readouterr().err
        assert ("Traceback" in said and "raise bug" in said) is wanted
        assert bool(said) is wanted


OUTCOMES = {
    "exits at import": (0, "  host broken cannot be loaded: SystemExit: 3"),
    "raises in add_options": (1, "launch: host broken: launch: NotImplementedError"),
    "raises in missing": (0, "  host broken: missing: RuntimeError: no licence"),
    "raises in session": (2, "host broken: session: RuntimeError: no licence"),
    "raises in its process": (1, "suite error: call: "),
}
"""The end of a run on each: its exit status, and the line that says why."""


@pytest.mark.parametrize("what", OUTCOMES)
class TestBrokenPackage:
    """Whatever is wrong with a third party's host: one line, and other hosts still work."""

    def test_run_of_the_broken_host(
        self, what: str, install: Callable[[str], Mapping[str, str]], program: Path
    ) -> None:
        build = str(program.parents[1])
        words = ("run", "boot", "--host=broken", f"--build={build}", "--timeout=6")
        done = lkltest(*words, env=install(what))
        text = done.stdout + done.stderr
        assert "Traceback" not in text
        assert "INTERNALERROR" not in text
        status, reason = OUTCOMES[what]
        assert done.returncode == status, text
        assert len([line for line in text.splitlines() if reason in line]) == 1, text

    def test_doctor(
        self, what: str, install: Callable[[str], Mapping[str, str]], program: Path
    ) -> None:
        done = lkltest("doctor", f"--build={program.parents[1]}", env=install(what))
        text = done.stdout + done.stderr
        assert "Traceback" not in text
        assert any(line.startswith("host broken") for line in text.splitlines()), text
        assert any(line.startswith("host native") for line in text.splitlines()), text

    def test_exec_on_the_broken_host(
        self, what: str, install: Callable[[str], Mapping[str, str]], program: Path
    ) -> None:
        done = lkltest("exec", "--host=broken", str(program), env=install(what))
        assert "Traceback" not in done.stderr
        assert "broken" in done.stderr
        assert done.returncode in (1, 2)

    def test_other_hosts_work(
        self, what: str, install: Callable[[str], Mapping[str, str]], tmp_path: Path
    ) -> None:
        build = fake_build(tmp_path / "lkl", boot="pass")
        words = ("run", "boot", "--host=native", "--host=broken", f"--build={build}", "--timeout=6")
        done = lkltest(*words, cwd=tmp_path, env=install(what))
        lines = [line for line in done.stdout.splitlines() if line.startswith("boot@native ")]
        assert [line.split()[1:] for line in lines] == [
            ["ok", ANY, "s", "2", "points:", "2", "ok"]
        ], done.stdout + done.stderr
