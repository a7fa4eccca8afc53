# SPDX-License-Identifier: GPL-2.0-only
"""Small matrices of builds whose programs misbehave, and the nights that they leave."""

from pathlib import Path

from tests.fake_build import fake_build

CONFIG = """
[night]
name = "test"
{night}
[builds.good]
path = "good"
{builds}
[matrix]
builds = [{names}]
hosts = ["native"]
suites = ["boot"]
{more}
"""


def config(directory: Path, night: str = "", more: str = "", **builds: str) -> Path:
    """A matrix of `boot` on a build for each mode, besides the good one."""
    fake_build(directory / "good", boot="pass")
    for name, mode in builds.items():
        fake_build(directory / name, boot=mode)
    file = directory / "nightly.toml"
    text = CONFIG.format(
        night=night,
        more=more,
        builds="\n".join(f'[builds.{name}]\npath = "{name}"' for name in builds),
        names=", ".join(f'"{name}"' for name in ("good", *builds)),
    )
    file.write_text(text, encoding="utf-8")
    return file


def nights(directory: Path) -> list[Path]:
    return sorted((directory / "nightly" / "nights").iterdir())


def junit_names(night: Path) -> set[str]:
    return {path.name for path in (night / "junit").glob("*.xml")}
