# SPDX-License-Identifier: GPL-2.0-only
"""The command line: two spellings of options, help that lists what there is, words for pytest."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lkltest.cli.arguments import COMMANDS, build_parser
from lkltest.host.registry import host_names
from lkltest.nightly.model.change import ChangeKind
from tests.fake_build import environment, fake_build, lkltest
from tests.fake_build import pytest as run_pytest


@pytest.fixture
def build(tmp_path: Path) -> str:
    return str(fake_build(tmp_path / "lkl", boot="pass", disk="pass", net_test="pass"))


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose cache is empty."""
    return environment(XDG_CACHE_HOME=str(tmp_path / "cache"))


@pytest.mark.parametrize("command", ["run", "list", "doctor"])
def test_names_of_suites_may_stand_between_options(command: str) -> None:
    words = [command, "boot", "--build=x", "disk[ext4]", "net"]
    options = build_parser(words).parse_args(words)
    assert (options.suites, options.build) == (["boot", "disk[ext4]", "net"], "x")


class TestSpellings:
    @pytest.mark.parametrize("option", ["--timeout", "--lkl-timeout"])
    @pytest.mark.parametrize("command", ["run", "exec", "bisect"])
    @pytest.mark.parametrize("joined", [True, False])
    def test_a_message_names_the_one_that_was_used(
        self, command: str, option: str, joined: bool
    ) -> None:
        words = [f"{option}=soon"] if joined else [option, "soon"]
        done = lkltest(command, *words, "x")
        assert done.returncode in (2, 255)
        last = done.stderr.splitlines()[-1]
        assert f"argument {option}: soon is no number of seconds" in last

    @pytest.mark.parametrize(
        "words",
        [
            ("run", "boot", "--lkl-host=native", "--lkl-build", "{}", "--lkl-timeout=60"),
            ("run", "--lkl-suite=boot", "--host=native", "--build={}", "--timeout", "60"),
        ],
    )
    def test_run_takes_both(self, build: str, words: tuple[str, ...]) -> None:
        done = lkltest(*(word.format(build) for word in words))
        assert done.stdout.splitlines()[-1].startswith("1 suite: 1 ok;"), done.stdout + done.stderr

    @pytest.mark.parametrize("option", ["--build", "--lkl-build"])
    def test_doctor_takes_both(self, tmp_path: Path, option: str) -> None:
        assert f"build {tmp_path}/x: no such" in lkltest("doctor", f"{option}={tmp_path}/x").stdout

    @pytest.mark.parametrize("option", ["--build", "--lkl-build"])
    def test_exec_takes_both(self, build: str, tmp_path: Path, option: str) -> None:
        program = f"{build}/tests/boot"
        assert lkltest("exec", f"{option}={build}", program).returncode == 0
        done = lkltest("exec", f"{option}={tmp_path}/x", program)
        assert done.returncode == 2
        assert done.stderr == f"lkltest: build {tmp_path}/x: no such directory\n"


class TestPytestsSpellings:
    """pytest takes the short ones, too, where no other plugin or conftest.py has them."""

    @pytest.mark.parametrize("equals", [True, False])
    def test_both_are_taken(self, empty: Path, build: str, equals: bool) -> None:
        given = {"--host": "native", "--build": build, "--suite": "boot", "--timeout": "60"}
        words = [
            word
            for name, value in given.items()
            for word in ([f"{name}={value}"] if equals else [name, value])
        ]
        done = run_pytest(*words, "-q", cwd=empty)
        assert "1 suite: 1 ok" in done.stdout, done.stdout + done.stderr

    @pytest.mark.parametrize("option", ["--timeout", "--lkl-timeout"])
    def test_a_message_names_the_one_that_was_used(self, empty: Path, option: str) -> None:
        done = run_pytest(f"{option}=soon", cwd=empty)
        assert done.returncode == 4
        assert f"argument {option}: soon is no number of seconds" in done.stderr

    def test_anothers_option_stays_its_own(self, empty: Path, build: str) -> None:
        (empty / "conftest.py").write_text(
            "def pytest_addoption(parser):\n    parser.addoption('--build', default='theirs')\n"
        )
        (empty / "test_own.py").write_text(
            "def test_own(pytestconfig):\n"
            "    assert pytestconfig.option.build == 'mine'\n"
            "    assert pytestconfig.option.lkl_build is None\n"
        )
        done = run_pytest("--build=mine", "test_own.py", cwd=empty)
        assert "1 passed" in done.stdout, done.stdout + done.stderr


class TestHelp:
    def test_run_lists_the_hosts(self) -> None:
        text = " ".join(lkltest("run", "--help").stdout.split())
        assert f"may be repeated: {', '.join(host_names())} " in text

    @pytest.mark.parametrize("command", ["nightly", "compare"])
    def test_fail_on_lists_its_kinds(self, command: str) -> None:
        # argparse breaks lines behind a hyphen, too.
        text = " ".join(lkltest(command, "--help").stdout.split()).replace("- ", "-")
        assert ", ".join(kind.value for kind in ChangeKind) + ", or none" in text

    def test_every_command_says_what_it_does(self) -> None:
        text = " ".join(build_parser((), whole=True).format_help().split())
        for name, (_, what) in COMMANDS.items():
            assert f"{name} {what}" in text


class TestWordsForPytest:
    def test_they_choose_and_end(self, build: str) -> None:
        done = lkltest("run", f"--build={build}", "--", "-x", "-k", "test_disk and ext4")
        assert done.stdout.splitlines()[-1].startswith("1 suite: "), done.stdout
        assert done.stdout.startswith("disk[ext4]@native")

    def test_what_failed_last_is_run_again(self, tmp_path: Path, home: dict[str, str]) -> None:
        bad = fake_build(tmp_path / "bad", boot="fail", net_test="pass")
        words = ("run", "boot", "net[loopback]", "--host=native", f"--build={bad}")
        assert "2 suites: " in lkltest(*words, env=home, cwd=tmp_path).stdout
        again = lkltest(*words, "--", "--lf", env=home, cwd=tmp_path)
        assert again.returncode == 1
        assert "1 suite: 1 failed" in again.stdout, again.stdout

    @pytest.mark.parametrize("word", ["-v", "-xv", "-rA", "--tb=line", "--co"])
    def test_pytests_own_output(self, build: str, word: str) -> None:
        done = lkltest("run", "boot", f"--build={build}", "--", word)
        assert done.returncode == 0, done.stderr
        assert "test session starts" in done.stdout

    def test_nonsense_is_told(self, build: str) -> None:
        done = lkltest("run", "boot", f"--build={build}", "--", "--nonsense")
        assert done.returncode == 2
        assert "--nonsense" in done.stderr


class TestList:
    def test_hosts_and_suites_without_a_build(self, home: dict[str, str], tmp_path: Path) -> None:
        done = lkltest("list", env=home, cwd=tmp_path)
        lines = done.stdout.splitlines()
        assert [line for line in lines if line.startswith("host")] == [
            f"host   {name}" for name in host_names()
        ]
        assert {"suite  boot", "suite  disk[ext4]", "suite  net[tap]"} <= set(lines)

    def test_points_of_a_build_that_has_run(self, build: str, home: dict[str, str]) -> None:
        words = ("list", f"--build={build}", "--points")
        assert "point  " not in lkltest(*words, env=home).stdout
        lkltest("run", "boot", "--host=native", f"--build={build}", env=home)
        lines = lkltest(*words, env=home).stdout.splitlines()
        assert "suite  boot             points: 2 on native" in lines
        assert [line for line in lines if line.startswith("point")] == [
            "point  boot@native/first",
            "point  boot@native/second",
        ]

    def test_no_such_build(self, tmp_path: Path) -> None:
        done = lkltest("list", f"--build={tmp_path}/x")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"lkltest: build {tmp_path}/x: no such directory\n"


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_shell_can_read_it(self, shell: str, tmp_path: Path) -> None:
        done = lkltest("completion", shell)
        assert done.returncode == 0, done.stderr
        assert all(name in done.stdout for name in (*COMMANDS, *host_names(), "lkl-qemu-accel"))
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is missing")
        (tmp_path / "completion").write_text(done.stdout)
        subprocess.run([shell, "-n", tmp_path / "completion"], check=True, timeout=60)

    def test_bash_completes_a_host(self, tmp_path: Path) -> None:
        (tmp_path / "completion").write_text(lkltest("completion", "bash").stdout)
        script = (
            f". {tmp_path}/completion; COMP_WORDS=(lkltest run --host w); COMP_CWORD=3;"
            ' _shtab_lkltest lkltest w --host; echo "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.split() == ["wine"], done.stderr

    def test_the_man_page(self) -> None:
        text = lkltest("completion", "man").stdout
        assert text.startswith(".TH LKLTEST")
        assert all(name in text for name in COMMANDS)


class TestPipeClosedEarly:
    """`lkltest ... | head -1`: no failure, and a verdict stays what it was."""

    def status(self, *words: str, cwd: Path) -> int:
        command = [sys.executable, "-m", "lkltest", *words]
        with subprocess.Popen(
            command, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert b"Traceback" not in process.stderr.read()
            return process.wait(60)

    @pytest.mark.parametrize("words", ["list", "--help", "run --help", "completion bash"])
    def test_of_what_only_shows(self, tmp_path: Path, words: str) -> None:
        assert self.status(*words.split(), cwd=tmp_path) == 0

    @pytest.mark.parametrize(("mode", "status"), [("pass", 0), ("segfault", 1), ("fail", 1)])
    def test_of_a_program(self, tmp_path: Path, mode: str, status: int) -> None:
        build = fake_build(tmp_path / "lkl", boot=mode)
        assert self.status("exec", f"{build}/tests/boot", cwd=tmp_path) == status
        run = ("run", "boot", "--host=native", f"--build={build}")
        assert self.status(*run, cwd=tmp_path) == status

    @pytest.mark.parametrize(("line", "status"), [("ok 1 x", 0), ("not ok 1 x", 1)])
    def test_of_a_stream(self, tmp_path: Path, line: str, status: int) -> None:
        (tmp_path / "stream").write_text(f"TAP version 14\n1..1\n{line}\n")
        assert self.status("tap2junit", "stream", cwd=tmp_path) == status
