# SPDX-License-Identifier: GPL-2.0-only
"""Suites of somebody else in a pytest run: what becomes of their failures, skips and points."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fake_build import MY_HOST, SUITE, fake_build
from tests.fake_build import pytest as run_pytest


class TestOwnSuites:
    """The abilities of a suite module, wherever it lies."""

    def run_suite(
        self, directory: Path, body: str, *words: str, mode: str = "pass"
    ) -> tuple[int, str]:
        (directory / "pytest.ini").write_text("[pytest]\n")
        (directory / "test_toy.py").write_text(SUITE.format(body=body))
        build = fake_build(directory / "lkl", boot=mode)
        done = run_pytest(
            "--lkl-host=native",
            f"--lkl-build={build}",
            "--lkl-junit-dir=out",
            *words,
            cwd=directory,
        )
        return done.returncode, done.stdout

    def junit(self, directory: Path) -> str:
        (file,) = (directory / "out").iterdir()
        return file.read_text(encoding="utf-8")

    def test_points_of_its_own(self, empty: Path) -> None:
        status, text = self.run_suite(empty, "lkl.point('mine', False, 'because')")
        assert status == 1
        assert "not ok mine" in text
        assert "because" in self.junit(empty)
        assert "3 points: 2 ok, 1 failed" in text

    def test_a_failed_assertion_is_a_failure_beside_the_points(self, empty: Path) -> None:
        status, text = self.run_suite(empty, "assert 1 + 1 == 3")
        assert status == 1
        assert "assert (1 + 1) == 3" in text
        assert "FAILED" in next(line for line in text.splitlines() if line.startswith("toy@native"))
        assert "1 + 1" in self.junit(empty)

    def test_an_exception_in_it_is_reported_everywhere(self, empty: Path) -> None:
        (empty / "pytest.ini").write_text("[pytest]\n")
        (empty / "test_toy.py").write_text(SUITE.format(body="raise RuntimeError('oh\\nno')"))
        build = fake_build(empty / "lkl", boot="pass")
        words = ("--lkl-host=native", f"--lkl-build={build}", "--lkl-junit-dir=out", "--tb=line")
        done = run_pytest(*words, cwd=empty)
        assert done.returncode == 1
        assert "oh" in self.junit(empty)

    def test_a_skip_keeps_its_reason(self, empty: Path) -> None:
        status, _ = self.run_suite(empty, "pytest.skip('the moon is full')")
        assert status == 0
        assert "the moon is full" in self.junit(empty)

    @pytest.mark.parametrize(
        "kind",
        [
            "sandbox.netdev import MissingNetwork",
            "host.disk import MissingTool",
            "errors import Unavailable",
        ],
    )
    def test_what_the_machine_cannot_have_is_a_skip(self, empty: Path, kind: str) -> None:
        """A device may be refused long after the network was had: macvtap's node to a user."""
        name = kind.rsplit(maxsplit=1)[-1]
        body = f"from lkltest.{kind}; raise {name}('run as root')"
        status, text = self.run_suite(empty, body)
        assert status == 0, text
        assert "run as root" in self.junit(empty)

    def test_a_program_that_the_build_lacks_fails_in_one_line(self, empty: Path) -> None:
        status, text = self.run_suite(empty, "lkl.run('disk')")
        assert status == 1
        assert f"build {empty / 'lkl'}: has no program disk" in text

    def test_points_with_one_name_are_kept_apart(self, empty: Path) -> None:
        status, text = self.run_suite(empty, "lkl.run('boot')")
        assert status == 0
        assert "4 points: 4 ok" in text
        names = {
            case.get("name") for case in ElementTree.fromstring(self.junit(empty)).iter("testcase")
        }
        assert len(names) == 4

    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            ("lkl.start('boot')", 0, "2 points: 2 ok"),
            ("lkl.start('boot', ends_itself=False)", 0, "2 points: 2 ok"),
            ("lkl.start('disk')", 1, "has no program disk"),
        ],
    )
    def test_helpers(self, empty: Path, body: str, status: int, words: str) -> None:
        found, text = self.run_suite(empty, body)
        assert found == status, text
        assert words in text

    @pytest.mark.parametrize(
        ("mode", "status", "words"),
        [("pass", 0, "3 points: 3 ok"), ("segfault", 1, "SIGSEGV")],
    )
    def test_a_program_without_points(
        self, empty: Path, mode: str, status: int, words: str
    ) -> None:
        fake_build(empty / "lkl", disk=mode)
        body = "ended, said = lkl.tool('disk'); lkl.point('ended', ended.status == 0, said)"
        found, text = self.run_suite(empty, body)
        assert found == status, text
        assert words in text

    def test_a_programs_colours_are_not_its_text(self, empty: Path) -> None:
        """As ip(8) of Debian 13 has them on a terminal."""
        words = "'/bin/sh', '-c', r'printf \"\\033[35m10.0.0.1\\033[0m/8\"'"
        body = f"lkl.point('said', lkl.tool({words})[1] == '10.0.0.1/8')"
        found, text = self.run_suite(empty, body)
        assert found == 0, text

    def test_a_helper_without_points_that_is_stopped(self, empty: Path) -> None:
        body = (
            "helper = lkl.start('/bin/sleep', '1000', ends_itself=False, tap=False)\n"
            "    lkl.point('waits', not helper.wait_until(lambda: False, 0.1))\n"
            "    helper.stop()\n"
            "    lkl.point('not by itself', not helper.ended(0))"
        )
        found, text = self.run_suite(empty, body)
        assert found == 0, text
        assert "4 points: 4 ok" in text

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ("'/bin/sh', '-c', 'echo why; exit 3'", "why\n/bin/sh: exited with status 3"),
            ("'/bin/true'", "/bin/true has ended"),
            ("'/bin/sleep', '1000'", "/bin/sleep is still running"),
        ],
    )
    def test_a_helper_tells_how_it_ended(self, empty: Path, words: str, told: str) -> None:
        body = (
            f"helper = lkl.start({words}, ends_itself=False, tap=False)\n"
            f"    well = helper.ended_well({0 if 'sleep' in words else 60})\n"
            f"    lkl.point('told', {told!r} in helper.told(), helper.told())\n"
            f"    lkl.point('well', well == {'true' in words})"
        )
        found, text = self.run_suite(empty, body)
        assert found == 0, text

    def test_a_helper_that_crashes_fails_the_suite(self, empty: Path) -> None:
        fake_build(empty / "lkl", disk="segfault")
        status, text = self.run_suite(empty, "lkl.start('disk')")
        assert status == 1
        assert "helper disk: " in text
        assert "SIGSEGV" in text

    def test_what_a_host_keeps_of_a_run_is_named_in_a_helpers_failure_too(
        self, empty: Path
    ) -> None:
        (empty / "conftest.py").write_text(
            f"{MY_HOST}"
            "    def launch(self, launch, scope):\n"
            "        process = super().launch(launch, scope)\n"
            "        process.evidence = (f'network: {launch.program.name}.pcap',)\n"
            "        return process\n"
        )
        (empty / "pytest.ini").write_text("[pytest]\n")
        (empty / "test_toy.py").write_text(SUITE.format(body="lkl.start('disk')"))
        build = fake_build(empty / "lkl", boot="pass", disk="segfault")
        done = run_pytest("--lkl-host=mine", f"--lkl-build={build}", cwd=empty)
        assert done.returncode == 1
        _, _, after = done.stdout.partition("helper disk: ")
        assert "network: disk.pcap" in after

    def test_a_host_from_a_conftest(self, empty: Path) -> None:
        (empty / "conftest.py").write_text(MY_HOST)
        (empty / "pytest.ini").write_text("[pytest]\n")
        (empty / "test_toy.py").write_text(SUITE.format(body=""))
        build = fake_build(empty / "lkl", boot="pass")
        done = run_pytest("--lkl-host=mine", "--lkl-host=native", f"--lkl-build={build}", cwd=empty)
        assert done.returncode == 0, done.stdout
        assert "toy@mine" in done.stdout
        assert "toy@native" in done.stdout
