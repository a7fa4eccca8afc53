# SPDX-License-Identifier: GPL-2.0-only
"""The scripts for `notify` in docs/nightly.md, run as they stand, against tools that only note."""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lkltest.nightly.commands.notify import notify
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.report.model import NightModel
from tests.compiler import ROOT

REPORT = "# FAILED: 1 new failure\n\nwith 'quotes', $HOME and `ticks`\n"
NIGHT = NightModel(
    *("2026-11-21T02-00-00", 0.0, None, "x86_64", ()),
    changes=(Change(ChangeKind.NEW_FAILURE, "boot@native#b/a"),),
    failed=True,
)
TOOL = """#!/bin/sh
name=$(basename "$0")
printf '%s\\n' "$@" >"$TOLD/$name.args"
cat >"$TOLD/$name"
"""


def script(title: str) -> str:
    """The example whose first line ends with `title`."""
    text = (ROOT / "docs" / "nightly.md").read_text()
    (found,) = re.findall(rf"^    # told\.sh, [^\n]*{title}[^\n]*\n((?:    [^\n]*\n)+)", text, re.M)
    return re.sub(r"^    ", "", found, flags=re.M)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what sendmail, curl and gh were given."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sendmail", "curl", "gh"):
        (tools / name).write_text(TOOL)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(tmp_path))
    return tmp_path


def tell(folder: Path, title: str, night: NightModel = NIGHT) -> None:
    (folder / "report.md").write_text(REPORT)
    (folder / "told.sh").write_text(script(title))
    subprocess.run(["sh", "-n", folder / "told.sh"], check=True)
    notify(f"sh {shlex.quote(str(folder / 'told.sh'))}", night, folder)


def test_a_mail(told: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tell(told, "by mail")
    headers, _, body = (told / "sendmail").read_text().partition("\n\n")
    assert "Subject: FAILED: 1 new failure" in headers.splitlines()
    assert body == REPORT
    assert (told / "sendmail.args").read_text() == "-t\n"
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(shutil.which("jq") is None, reason="no jq: apt-get install jq")
def test_a_message_to_slack(told: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tell(told, "to Slack")
    assert json.loads((told / "curl").read_text()) == {"text": "FAILED: 1 new failure"}
    assert (told / "curl.args").read_text().splitlines()[:3] == ["-sf", "--json", "@-"]
    assert capfd.readouterr() == ("", "")


def test_an_issue_of_github_when_the_night_failed(
    told: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tell(told, "GitHub")
    assert (told / "gh").read_text() == REPORT
    arguments = (told / "gh.args").read_text().splitlines()
    assert arguments[arguments.index("-t") + 1] == "FAILED: 1 new failure"
    (told / "gh").unlink()
    tell(told, "GitHub", replace(NIGHT, failed=False))
    assert not (told / "gh").exists()
    assert capfd.readouterr() == ("", "")
