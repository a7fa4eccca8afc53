# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest nightly` as a user runs it, on builds whose programs misbehave."""

import json
import re
import shutil
import signal
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.census import MARKER, Census, new_marker
from tests.fake_build import bundled_build, environment, fake_build, lkltest, start
from tests.nightly.config.matrices import config, junit_names, nights


def failures(file: Path) -> int:
    suite = ElementTree.parse(file).getroot()[0]
    return int(suite.attrib["failures"]) + int(suite.attrib["errors"])


class TestNights:
    @pytest.mark.skipif(bundled_build() is None, reason="the bundled kernel is not built")
    def test_the_example_runs_as_it_is(self, tmp_path: Path) -> None:
        assert lkltest("nightly", "--init", cwd=tmp_path).returncode == 0
        build = {"LKL_BUILD": "/nonexistent"}  # the file says what is built, nothing else does
        done = lkltest("nightly", "-j2", cwd=tmp_path, env=environment(**build))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "10 cells" in done.stdout and "FAILED" not in done.stdout
        again = lkltest("nightly", "--init", cwd=tmp_path)
        assert (again.returncode, again.stderr) == (2, "lkltest: nightly.toml: exists already\n")

    def test_one_cells_trouble_touches_no_other(self, tmp_path: Path) -> None:
        limits = '[[override]]\nbuild = "stuck"\ntimeout = 100\nlimit = 1\n'
        limits += '[[override]]\nbuild = "broken"\nenvironment = {PYTHONHOME = "/nonexistent"}\n'
        file = config(
            tmp_path, more=limits, bad="fail", crash="segfault", stuck="hang", broken="pass"
        )
        marker = new_marker()
        census = Census.take(marker, tmp_path / "tmp")
        (tmp_path / "tmp").mkdir()
        env = environment(TMPDIR=str(tmp_path / "tmp"), **{MARKER: marker})
        done = lkltest("nightly", str(file), "-j3", env=env)
        assert done.returncode == 1
        assert census.left() == []
        out = done.stdout
        assert "NEW FAILURE    boot@native#bad/second" in out
        assert "NEW FAILURE    boot@native#crash/crashing: never reported: killed by SIGSEGV" in out
        assert "ERROR          boot@native#stuck: killed after 1 s" in out
        assert "ERROR          boot@native#broken: ended with status 1 without a result" in out
        assert "boot@native#good " in out and "good/" not in out
        (night,) = nights(tmp_path)
        files = {name: failures(night / "junit" / name) for name in junit_names(night)}
        assert {name: bool(count) for name, count in files.items()} == {
            "boot@native%23good.xml": False,
            **{f"boot@native%23{b}.xml": True for b in ("bad", "crash", "stuck", "broken")},
        }
        report = json.loads((night / "report.json").read_text())
        assert report

    def test_the_second_night_fails_for_what_is_new_alone(self, tmp_path: Path) -> None:
        file = config(tmp_path, bad="fail", ugly="pass")
        assert lkltest("nightly", str(file)).returncode == 1
        second = lkltest("nightly", str(file))
        assert second.returncode == 0
        assert "still failing  boot@native#bad/second" in second.stdout
        fake_build(tmp_path / "bad", boot="pass")
        fake_build(tmp_path / "ugly", boot="short")
        third = lkltest("nightly", str(file))
        assert third.returncode == 1
        assert "fixed          boot@native#bad/second" in third.stdout
        assert "NEW FAILURE    boot@native#ugly/(plan not met)" in third.stdout
        none = lkltest("compare", f"--config={file}", "--fail-on=none")
        assert none.returncode == 0 and "new failure: 2 points, 1 cause" in none.stdout
        compared = lkltest("compare", f"--config={file}", f"--baseline={nights(tmp_path)[0].name}")
        assert compared.returncode == 1
        assert lkltest("compare", f"--config={file}", "--fail-on=fixed").returncode == 1
        shown = lkltest("history", "boot@native#bad/second", f"--config={file}")
        words = [line.split()[1] for line in shown.stdout.splitlines()[1:]]
        assert words == ["passed", "failed", "failed"]

    def test_repeats(self, tmp_path: Path) -> None:
        file = config(tmp_path, night="repeat = 3")
        assert lkltest("nightly", str(file)).returncode == 0
        shown = lkltest("history", "boot@*", f"--config={file}")
        assert shown.stdout.count("passed") == 3

    def test_a_new_failure_is_run_again(self, tmp_path: Path) -> None:
        more = f'[[override]]\nbuild = "odd"\nenvironment = {{FAKE_ONCE = "{tmp_path}/once"}}\n'
        file = config(tmp_path, night="rerun = 2", more=more, bad="fail", odd="fail-once")
        done = lkltest("nightly", str(file))
        assert "NEW FAILURE    boot@native#bad/second: failed 3 of 3 runs tonight" in done.stdout
        assert "flaky          boot@native#odd/second: failed 1 of 2 runs tonight" in done.stdout
        assert done.returncode == 1 and "good/" not in done.stdout
        shown = lkltest("history", "boot@native#*/second", f"--config={file}").stdout
        assert (shown.count("passed"), shown.count("failed ")) == (2, 4)
        again = lkltest("nightly", str(file))
        assert again.returncode == 0 and "run again" not in again.stdout
        assert "still failing  boot@native#bad/second" in again.stdout

    def test_old_nights_are_forgotten_and_stay_so(self, tmp_path: Path) -> None:
        file = config(tmp_path, night='keep = "1d"')
        assert lkltest("nightly", str(file)).returncode == 0
        (old,) = (tmp_path / "nightly" / "nights").iterdir()
        head = json.loads((old / "night.json").read_text())
        (old / "night.json").write_text(json.dumps({**head, "started": head["started"] - 100_000}))
        history = tmp_path / "nightly" / "history.sqlite"
        with sqlite3.connect(history) as database:
            database.execute("UPDATE nights SET started = started - 100000")
        copy = shutil.copytree(old, tmp_path / old.name)
        done = lkltest("nightly", str(file))
        assert done.returncode == 0 and "1 old night forgotten" in done.stdout
        assert not old.exists()
        done = lkltest("history", "--history", str(history), "--import", str(copy))
        assert "was forgotten" in done.stdout
        assert len(lkltest("history", "--history", str(history)).stdout.splitlines()) == 1

    def test_news_are_told_and_no_news_are_not(self, tmp_path: Path) -> None:
        told, metrics = tmp_path / "told", tmp_path / "out" / "lkltest.prom"
        script = tmp_path / "tell.sh"
        script.write_text(f'cat "$LKLTEST_JSON" >/dev/null && echo "$LKLTEST_HEADLINE" >>{told}\n'
                          f'head -n 1 >>{told}\nexit 3\n')  # fmt: skip
        night = f'notify = "sh {script}"\nmetrics = "{metrics}"'
        file = config(tmp_path, night=night, bad="fail")
        done = lkltest("nightly", str(file))
        assert done.returncode == 1, "the night's own status"
        assert done.stderr == f"lkltest: notify 'sh {script}': ended with status 3\n"
        headline, markdown = told.read_text().splitlines()
        assert headline.startswith("FAILED: 1 new failure") and markdown == f"# {headline}"
        again = lkltest("nightly", str(file))
        assert (again.returncode, again.stderr) == (0, "")
        assert len(told.read_text().splitlines()) == 2, "still failing is no news"
        lines = metrics.read_text().splitlines()
        assert 'lkltest_changes{night="test",kind="still"} 1' in lines
        assert 'lkltest_night_failed{night="test"} 0' in lines
        assert all(re.match(r"(# (HELP|TYPE) )?lkltest_\w+[ {]", line) for line in lines)

    def test_a_wrong_baseline(self, tmp_path: Path) -> None:
        file = config(tmp_path)
        done = lkltest("nightly", str(file), "--baseline=nix")
        assert done.returncode == 2
        assert done.stderr.startswith("lkltest: no night 'nix'")
        assert not (tmp_path / "nightly" / "nights").exists(), "nothing was begun"


class TestInterruptions:
    def kill_in_the_middle(self, file: Path, number: int, env: dict[str, str]) -> int:
        """Run until the first cell is done and the second one runs, then send a signal."""
        with start("lkltest", "nightly", str(file), env=env) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("[1/3] boot@native#good")
            process.send_signal(number)
            process.communicate()
            return process.returncode

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_a_killed_night_is_resumed_and_repeats_nothing(
        self, tmp_path: Path, number: int
    ) -> None:
        (tmp_path / "tmp").mkdir()
        marker = new_marker()
        env = environment(TMPDIR=str(tmp_path / "tmp"), **{MARKER: marker})
        census = Census.take(marker, tmp_path / "tmp")
        file = config(tmp_path, stuck="hang", last="pass")
        status = self.kill_in_the_middle(file, number, env)
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 130)
        assert census.left(5.0) == [], "nothing of the night lives on"
        (night,) = nights(tmp_path)
        record = night / "cells" / "boot@native%23good.json"
        before = record.stat().st_mtime_ns
        fake_build(tmp_path / "stuck", boot="pass")
        done = lkltest("nightly", str(file), "--resume", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("its lock is stale" in done.stderr) is (number == signal.SIGKILL)
        assert "1 of 3 cells are finished" in done.stdout
        assert done.stdout.count("boot@native#good") == 0
        assert nights(tmp_path) == [night]
        assert record.stat().st_mtime_ns == before
        assert len(junit_names(night)) == 3
        again = lkltest("nightly", str(file), "--resume")
        assert again.returncode == 2 and "there is nothing to resume" in again.stderr

    def test_nights_do_not_overlap(self, tmp_path: Path) -> None:
        file = config(tmp_path, stuck="hang", last="pass")
        marker = new_marker()
        census = Census.take(marker)
        with start("lkltest", "nightly", str(file), env=environment(**{MARKER: marker})) as process:
            assert process.stdout is not None
            process.stdout.readline()
            done = lkltest("nightly", str(file))
            process.kill()
        assert census.left(5.0) == []
        assert done.returncode == 2
        assert f"the night of process {process.pid} on " in done.stderr
        assert "is still running" in done.stderr
        assert len(nights(tmp_path)) == 1

    def test_nothing_to_resume(self, tmp_path: Path) -> None:
        done = lkltest("nightly", str(config(tmp_path)), "--resume")
        assert done.returncode == 2 and "has no night to resume" in done.stderr


class TestKnownFailures:
    KNOWN = '[[known]]\nid = "boot@native#bad/second"\nreason = "always so"\n'

    def test_known_failures(self, tmp_path: Path) -> None:
        file = config(tmp_path, night='known = "known.toml"', bad="fail")
        known = tmp_path / "known.toml"
        known.write_text(f'{self.KNOWN}link = "https://example.org/1"\nexpires = 2999-01-01\n')
        done = lkltest("nightly", str(file))
        assert done.returncode == 0, done.stdout
        assert "known failure  boot@native#bad/second: always so (https" in done.stdout
        assert lkltest("known", str(file)).stdout.startswith("known ")
        assert lkltest("known", str(file), "--verify").returncode == 0
        fake_build(tmp_path / "bad", boot="pass")
        assert "KNOWN FAILURE PASSES" in lkltest("nightly", str(file)).stdout
        verified = lkltest("known", str(file), "--verify")
        assert verified.returncode == 1
        assert "boot@native#good" not in verified.stdout, "it runs just those"
        assert verified.stdout.splitlines()[-1].startswith("PASSES")

    def test_an_expired_one_fails_the_night(self, tmp_path: Path) -> None:
        file = config(tmp_path, night='known = "known.toml"\nfail_on = []', bad="fail")
        (tmp_path / "known.toml").write_text(f"{self.KNOWN}expires = 2001-01-01\n")
        done = lkltest("nightly", str(file))
        assert done.returncode == 1
        assert "EXPIRED        boot@native#bad/second: expired on 2001-01-01" in done.stdout
        fake_build(tmp_path / "bad", boot="pass")
        assert lkltest("nightly", str(file)).returncode == 1

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ('[[known]]\nid = "boot"\nreason = "x"\n', ":2:6: 'boot' is no pattern of results"),
            ('[[known]]\nid = "boot@x/y"\n', ":1:1: reason is missing"),
            (f"{KNOWN}expires = 'soon'\n", ":4:11: expires must be a date"),
            (f"{KNOWN}expire = 2001-01-01\n", ":4:1: unknown key 'expire'"),
        ],
    )
    def test_a_bad_file(self, tmp_path: Path, text: str, where: str) -> None:
        file = config(tmp_path, night='known = "known.toml"')
        (tmp_path / "known.toml").write_text(text)
        done = lkltest("nightly", str(file))
        assert done.returncode == 2 and where in done.stderr
        assert not (tmp_path / "nightly").exists(), "nothing was begun"


def test_a_wrong_configuration(tmp_path: Path) -> None:
    file = config(tmp_path)
    file.write_text(file.read_text().replace('"boot"', '"bot"'))
    done = lkltest("nightly", str(file))
    assert done.returncode == 2
    assert done.stderr.startswith(f"lkltest: {file}:11:11: unknown suite 'bot'")
    assert lkltest("nightly", "-j0", str(file)).returncode == 2
    assert "unknown kind" in lkltest("nightly", "--fail-on=x", str(file)).stderr
