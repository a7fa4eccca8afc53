# SPDX-License-Identifier: GPL-2.0-only
"""The nightly page, made by the real report of a night whose every text means harm."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lkltest.nightly.report import html
from tests.fake_build import lkltest
from tests.hostile import DRIVES_A_TERMINAL, HOSTILE, speaking_build
from tests.nightly.config.matrices import nights
from tests.nightly.report.views import example_night

_SAFE_LINK = re.compile(r"#[\w.-]+")
ALL_NIGHTS = "../../index.html"


class Page(HTMLParser):
    """The elements of a page as a browser sees them.

    Attributes:
        elements: tag and names of attributes, outside of plots.
        links: values of attributes that a browser may follow, plots included.
        names: of all tags and attributes, plots included.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self._plots = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._plots += tag == "svg"
        names = [name for name, _ in attrs]
        self.names |= {tag, *names}
        self.links += [value or "" for name, value in attrs if name.endswith(("href", "src"))]
        if not self._plots:
            self.elements.append((tag, *names))

    def handle_endtag(self, tag: str) -> None:
        self._plots -= tag == "svg"
        if not self._plots:
            self.elements.append((f"/{tag}",))


def everywhere(value: Any, text: str) -> Any:
    """`value` with `text` in place of every text in it."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return text
    if isinstance(value, tuple):
        return tuple(everywhere(item, text) for item in value)
    if isinstance(value, dict):
        return {everywhere(key, text): everywhere(item, text) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: everywhere(item, text) for name, item in changed.items()})
    return value


@pytest.fixture(scope="module")
def harmless() -> Page:
    return Page(html.page(everywhere(example_night(), "harmless")))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_makes_an_element_or_an_attribute(harmless: Page, text: str) -> None:
    source = html.page(everywhere(example_night(), text))
    page = Page(source)
    assert len(page.elements) > 100
    assert page.elements == harmless.elements
    assert page.names <= harmless.names
    assert not [name for name in page.names if name.startswith("on")]
    assert not page.names & {"script", "iframe", "object", "embed", "img", "form", "base"}
    assert {link for link in page.links if not _SAFE_LINK.fullmatch(link)} == {ALL_NIGHTS}
    assert not DRIVES_A_TERMINAL.search(source)


def test_the_page_of_a_night_whose_program_means_harm(tmp_path: Path) -> None:
    hostile = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\" onclick='x"
    log = f"---\n log: |\n  {hostile}\n  \x1b[31m{hostile}\n ...\n"
    stream = f"1..2 # {hostile}\nnot ok 1 {hostile}\n {log}* 2 {hostile}\n"
    speaking_build(tmp_path / "b", f"[    0.1] Linux version {hostile}\n{stream}".encode())
    (tmp_path / "nightly.toml").write_text(
        f"[night]\nname = '''{hostile}'''\n"
        f"[builds.b]\npath = 'b'\ncommit = '''{hostile}'''\n"
        "[matrix]\nbuilds = ['b']\nhosts = ['native']\nsuites = ['boot']\n"
    )
    done = lkltest("nightly", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    page = Page((nights(tmp_path)[0] / "index.html").read_text(encoding="utf-8"))
    assert "script" not in page.names and "img" not in page.names
    assert not [name for name in page.names if name.startswith("on")]
    assert {link for link in page.links if not _SAFE_LINK.fullmatch(link)} == {ALL_NIGHTS}
    text = (nights(tmp_path)[0] / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in text, "it is shown"
