# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest exec`: one program, its console passed through, its verdict as exit status."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lkltest.testing import PROGRAM_SOURCE
from tests.census import MARKER, Census, new_marker
from tests.compiler import compile_program
from tests.fake_build import environment, fake_build, lkltest, start


class TestExec:
    @pytest.mark.parametrize(("mode", "status"), [("pass", 0), ("fail", 1), ("segfault", 1)])
    def test_the_console_comes_through_and_the_verdict_is_the_status(
        self, tmp_path: Path, mode: str, status: int
    ) -> None:
        program = fake_build(tmp_path, boot=mode) / "tests" / "boot"
        done = lkltest("exec", str(program))
        assert done.returncode == status
        assert done.stdout.startswith("1..2 # contract\n* 1 first\nok 1 first\n")
        assert done.stderr.splitlines()[-1].startswith(
            f"lkltest: boot@native: {'FAILED' if status else 'ok'}"
        )

    def test_arguments_are_the_programs_own(self, tmp_path: Path) -> None:
        program = compile_program(PROGRAM_SOURCE)
        done = lkltest("exec", str(program), "arguments", "--host", "-v", "--", "a b")
        assert done.returncode == 0, done.stderr
        assert [line for line in done.stdout.splitlines() if line.startswith("ok")] == [
            "ok 1 --host", "ok 2 -v", "ok 3 --", "ok 4 a b", "ok 5 (unset)"
        ]  # fmt: skip

    def test_bytes_come_through_a_pipe_unchanged(self, tmp_path: Path) -> None:
        program = fake_build(tmp_path, boot="garbage") / "tests" / "boot"
        command = [sys.executable, "-m", "lkltest", "exec", program]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
        assert b"\xff\xfe\x00\x1b[31m\x07ok 99 forged\r" in done.stdout

    def test_a_reader_that_goes_away_changes_no_verdict(self, tmp_path: Path) -> None:
        program = fake_build(tmp_path, boot="flood 100") / "tests" / "boot"
        with start("lkltest", "exec", str(program)) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
            assert process.wait(60) == 0
        assert errors.startswith("lkltest: boot@native: ok, ")

    def test_an_interrupt_ends_the_program(self, tmp_path: Path) -> None:
        marker = new_marker()
        census = Census.take(marker)
        program = fake_build(tmp_path, boot="deaf") / "tests" / "boot"
        with start("lkltest", "exec", str(program), env=environment(**{MARKER: marker})) as process:
            assert process.stdout is not None
            process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors == "lkltest: interrupted\n"
        assert census.left() == []

    def test_a_script_is_run_by_its_interpreter(self, tmp_path: Path) -> None:
        script = tmp_path / "talk.sh"
        script.write_text("#!/bin/sh\necho '1..1 # talk'; echo 'ok 1 talks'\n")
        script.chmod(0o755)
        done = lkltest("exec", str(script))
        assert (done.returncode, done.stderr) == (
            0,
            "lkltest: talk.sh@native: ok, 1 point: 1 ok\n",
        )
        script.write_text("#!/no/interpreter\n")
        assert lkltest("exec", str(script)).returncode == 2

    @pytest.mark.parametrize(
        ("text", "status", "words"),
        [
            ("exit 113", 0, "1 point: 1 skipped"),
            ("echo '1..0 # x'; echo none here; exit 113", 0, "1 point: 1 skipped"),
            ("exit 114", 0, "1 point: 1 todo"),
            ("exit 115", 1, "bail out"),
            ("echo '1..1 # x'; exit 113", 1, "exited with status 113"),
            ("echo '1..1'; echo ok 1; exit 113", 1, "exited with status 113"),
            ("echo 'WARNING: possible circular locking dependency detected'; exit 113", 1, "WARN"),
        ],
    )
    def test_the_statuses_of_upstreams_scripts(
        self, tmp_path: Path, text: str, status: int, words: str
    ) -> None:
        script = tmp_path / "x.sh"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        done = lkltest("exec", str(script))
        assert done.returncode == status, done.stderr
        assert words in done.stderr

    @pytest.mark.parametrize(
        ("content", "mode", "what"),
        [
            (b"hello\n", 0o755, "is a text file"),
            (b"", 0o755, "is an empty file"),
            (b"\x7fELF", 0o755, "is a truncated ELF file"),
            ("foreign", 0o755, "is ELF 64 bit for loongarch"),
            ("native", 0o644, "is not executable: chmod +x"),
            ("cut", 0o755, ""),
            ("header", 0o755, "is ELF 64 bit for x86_64, but cannot be executed"),
            (b"#! /no/such sh\n", 0o755, "but cannot be executed: there is no /no/such"),
            (None, 0, "no such file"),
            ("directory", 0, "is a directory"),
            ("pipe", 0, "is a named pipe"),
        ],
    )
    def test_what_is_no_program(
        self, tmp_path: Path, content: bytes | str | None, mode: int, what: str
    ) -> None:
        program = tmp_path / "program"
        whole = Path("/bin/true").read_bytes()
        if content == "directory":
            program.mkdir()
        elif content == "pipe":
            os.mkfifo(program)
        elif content == "foreign":
            program.write_bytes(whole[:18] + (258).to_bytes(2, "little") + whole[20:])
        elif content == "native":
            program.write_bytes(whole)
        elif content == "cut":
            program.write_bytes(whole[: len(whole) // 8])
        elif content == "header":
            program.write_bytes(whole[:64])
        elif isinstance(content, bytes):
            program.write_bytes(content)
        if mode:
            program.chmod(mode)
        for host in ((), ("--host=native",)):
            done = lkltest("exec", *host, str(program))
            if content == "cut":  # the kernel refuses it or kills it: both are said
                assert done.returncode in (1, 2)
                assert str(program.name) in done.stderr
                continue
            assert done.returncode == 2
            (line,) = done.stderr.splitlines()
            assert str(program) in line
            assert what in line

    def test_on_an_unknown_host(self) -> None:
        done = lkltest("exec", "--host=vax", "/bin/true")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "unknown host 'vax'; there are: " in line
