# SPDX-License-Identifier: GPL-2.0-only
"""The rules for a JUnit file: the schema, and what readers need beyond it."""

import re
from pathlib import Path

from lxml import etree

_DATA = Path(__file__).resolve().parents[1] / "data"
_SCHEMA = etree.XMLSchema(etree.parse(_DATA / "junit-10.xsd"))
GITLAB_LIMIT = 30_000_000


def check(document: bytes) -> etree._Element:
    """Return the root of a document that every reader accepts; fail with what one would not."""
    assert len(document) < GITLAB_LIMIT
    root = etree.fromstring(document, etree.XMLParser(huge_tree=True))
    _SCHEMA.assertValid(root)
    (suite,) = root
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases))
    for element, attribute in (
        ("failure", "failures"),
        ("error", "errors"),
        ("skipped", "skipped"),
    ):
        assert suite.get(attribute) == str(len(suite.findall(f"testcase/{element}")))
    identities = [(case.get("classname"), case.get("name")) for case in cases]
    assert len(set(identities)) == len(identities), "GitLab keeps the first of two alone"
    for case in cases:
        assert set(case.attrib) <= {"name", "time", "classname", "group"}
        assert re.fullmatch(r"\d+\.\d{3}", case.get("time", "0.000"))
        assert len(case.findall("failure") + case.findall("error") + case.findall("skipped")) < 2
    for trouble in root.iter("failure", "error"):
        assert trouble.text, "GitLab shows the content"
        assert trouble.get("message")
    assert re.fullmatch(r"\d+\.\d{3}", suite.get("time") or "")
    assert not root.xpath("//@disabled")
    assert not root.attrib, "test-results-parser would count no skips"
    for output in root.iter("system-out"):
        assert len(output.getparent().findall("system-out")) == 1
    return root
