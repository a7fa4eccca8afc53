# SPDX-License-Identifier: GPL-2.0-only
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from lkltest.report.junit import file_name, suite_document, write
from lkltest.tap.parser import Parser
from lkltest.text import printable, printable_line
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, PointResult, Problem, ProblemKind, SuiteResult
from tests.report.junit_schema import check

MOUNT = PointResult("mount", Outcome.PASSED, 1, "disk ext4", log="mounted", seconds=0.0123)
READ = PointResult(
    "readdir", Outcome.FAILED, 2, "disk ext4", "never reported: killed by SIGSEGV", "half of it"
)
SIGSEGV = Problem(ProblemKind.SIGNAL, "killed by SIGSEGV", "readdir", "#0 main () at disk.c:3")
RESULT = SuiteResult(
    "disk",
    "ext4",
    "native",
    (MOUNT, READ),
    (SIGSEGV,),
    {"kernel": "4.9.0", "command": 'disk -t "ext4" <&>', "hostname": "lab"},
    1.23456,
    started=1_800_000_000.0,
)


def root_of(result: SuiteResult) -> etree._Element:
    return check(suite_document(result))


def case(result: SuiteResult, name: str) -> etree._Element:
    (found,) = (case for case in root_of(result).iter("testcase") if case.get("name") == name)
    return found


def test_suite() -> None:
    (suite,) = root_of(RESULT)
    assert suite.get("name") == "disk[ext4]@native"
    assert suite.get("time") == "1.235"
    assert suite.get("timestamp") == "2027-01-15T08:00:00"
    assert suite.get("hostname") == "lab"
    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert properties == {"host": "native", **RESULT.properties}


def test_classname_has_no_dots_but_those_of_packages() -> None:
    result = replace(RESULT, variant="4.9", host="qemu.x")
    assert case(result, "mount").get("classname") == "lkltest.qemu_x.disk[4_9]"


def test_passed() -> None:
    mount = case(RESULT, "mount")
    assert mount.get("time") == "0.012"
    assert [(item.tag, item.text) for item in mount] == [("system-out", "mounted")]


def test_crash_is_an_error_at_its_point() -> None:
    error, output = case(RESULT, "readdir")
    assert (error.tag, error.get("type")) == ("error", "signal")
    assert error.get("message") == "never reported: killed by SIGSEGV"
    for shown in ("killed by SIGSEGV", "#0 main () at disk.c:3", "half of it"):
        assert shown in str(error.text)
    assert output.text == "half of it"
    assert len(root_of(RESULT).findall(".//testcase")) == 2


@pytest.mark.parametrize(
    ("kind", "element"),
    [
        (None, "failure"),
        (ProblemKind.WARNING, "failure"),
        (ProblemKind.SANITIZER, "failure"),
        (ProblemKind.PANIC, "error"),
        (ProblemKind.STALL, "error"),
        (ProblemKind.DUPLICATE_NUMBER, "error"),
    ],
)
def test_failure_or_error(kind: ProblemKind | None, element: str) -> None:
    point = PointResult("a", Outcome.FAILED, log="first\nlast words\n")
    problems = (Problem(kind, "why", "a"),) if kind else ()
    found = case(replace(RESULT, points=(point,), problems=problems), "a")
    assert found[0].tag == element
    assert found[0].get("type") == (kind.value if kind else "not ok")
    assert found[0].get("message") == "last words"
    assert "last words" in str(found[0].text)


@pytest.mark.parametrize("kind", ProblemKind)
def test_loose_problem_is_a_testcase(kind: ProblemKind) -> None:
    loose = Problem(kind, "why so", detail="and how")
    result = replace(RESULT, points=(MOUNT,), problems=(loose, loose))
    found = case(result, f"[{kind}]")
    assert found[0].tag in ("failure", "error")
    assert found[0].get("message") == "why so"
    assert "and how" in str(found[0].text)
    assert case(result, f"[{kind}]#2") is not None


def test_skipped_and_todo() -> None:
    points = (
        PointResult("a", Outcome.SKIPPED, reason="no tap"),
        PointResult("b", Outcome.SKIPPED),
        PointResult("c", Outcome.TODO, reason="later"),
    )
    result = replace(RESULT, points=points, problems=())
    messages = [case(result, name)[0].get("message") for name in "abc"]
    assert messages == ["no tap", "no reason given", "TODO: later"]


def test_skipped_suite() -> None:
    result = replace(RESULT, points=(), problems=(), skip="no /dev/net/tun")
    assert case(result, "disk[ext4]")[0].get("message") == "no /dev/net/tun"


def test_suite_without_anything_is_an_error() -> None:
    assert case(replace(RESULT, points=(), problems=()), "[no results]")[0].tag == "error"


def outputs(result: SuiteResult) -> dict[str, str]:
    """The system-out of the suite (by its name) and of its testcases."""
    found = root_of(result).iter("system-out")
    return {str(one.getparent().get("name")): str(one.text) for one in found}


def test_other_output_is_the_suites_and_the_first_failed_cases() -> None:
    stray = replace(RESULT, output="stray <&> \u00e9")
    assert outputs(stray) == {
        "mount": "mounted",
        "readdir": "half of it\n\nother output:\nstray <&> \u00e9",
        "disk[ext4]@native": "stray <&> \u00e9",
    }
    silent = replace(READ, log="")
    later = PointResult("later", Outcome.FAILED)
    assert outputs(replace(stray, points=(silent, later)))["readdir"] == stray.output
    assert "later" not in outputs(replace(stray, points=(silent, later)))


def test_other_output_belongs_to_a_problem_without_a_point() -> None:
    loose = (Problem(ProblemKind.EXIT_STATUS, "exited with status 1"),)
    assert outputs(replace(RESULT, points=(MOUNT,), problems=loose, output="stray")) == {
        "mount": "mounted",
        "[exit status]": "stray",
        "disk[ext4]@native": "stray",
    }


def test_other_output_is_no_testcase() -> None:
    passed = replace(RESULT, points=(MOUNT,), problems=(), output="stray")
    assert outputs(passed) == {"mount": "mounted", "disk[ext4]@native": "stray"}
    assert len(root_of(passed).findall(".//testcase")) == 1
    assert "system-out" not in suite_document(replace(passed, points=(), output="")).decode()


def test_first_failed_case_after_many() -> None:
    """The output is put in where the testcases before it are no longer in memory."""
    many = [PointResult(f"p{n}", Outcome.PASSED, log="\u20ac" * 3000) for n in range(2000)]
    points = (*many, READ, replace(READ, name="again"), *many)
    found = outputs(replace(RESULT, points=points, problems=(), output="stray"))
    assert found["readdir"].endswith("other output:\nstray")
    assert sum("stray" in text for text in found.values()) == 2


def test_names_are_kept_apart() -> None:
    child = PointResult("c", Outcome.PASSED)
    points = (
        PointResult("a", Outcome.PASSED, children=(child, replace(child, children=(child,)))),
        PointResult("a/c", Outcome.PASSED),
        PointResult("a", Outcome.PASSED),
        PointResult("[signal]", Outcome.PASSED),
        PointResult("\x1b", Outcome.PASSED),
        PointResult("\\x1b", Outcome.PASSED),
        PointResult("x" * 10_000, Outcome.PASSED),
        PointResult("x" * 10_001, Outcome.PASSED),
    )
    loose = Problem(ProblemKind.SIGNAL, "x")
    root = root_of(replace(RESULT, points=points, problems=(loose,)))
    names = [found.get("name") for found in root.iter("testcase")]
    assert names[:5] == ["a/c", "a/c/c", "a/c#2", "a", "[signal]"]
    assert names[-1] == "[signal]#2"


FAILED_LEAF = PointResult("c", Outcome.FAILED)
PASSED_LEAF = PointResult("d", Outcome.PASSED)


@pytest.mark.parametrize(
    ("point", "cases"),
    [
        (PointResult("a", Outcome.PASSED, children=(PASSED_LEAF,)), "a/d"),
        (PointResult("a", Outcome.FAILED, children=(FAILED_LEAF, PASSED_LEAF)), "a/c:failure a/d"),
        (PointResult("a", Outcome.FAILED, children=(PASSED_LEAF,)), "a:failure a/d"),
        (PointResult("a", Outcome.TODO, children=(FAILED_LEAF,)), "a/c:skipped"),
        (PointResult("a", Outcome.TODO, children=(PASSED_LEAF,)), "a:skipped a/d"),
        (PointResult("a", Outcome.SKIPPED, children=(PASSED_LEAF,)), "a:skipped a/d"),
    ],
)
def test_a_point_with_subtests_has_a_testcase_if_it_says_more(
    point: PointResult, cases: str
) -> None:
    root = root_of(replace(RESULT, points=(point,), problems=()))
    found = [":".join([case.get("name", ""), *(child.tag for child in case)]) for case in root[0]]
    assert [name for name in found if name.startswith("a")] == cases.split()


def test_a_problem_that_a_subtest_carried_up_is_its_own() -> None:
    point = PointResult("a", Outcome.FAILED, reason="c: WARNING in f", children=(FAILED_LEAF,))
    tied = Problem(ProblemKind.WARNING, "c: WARNING in f", "a", "a trace")
    root = root_of(replace(RESULT, points=(point,), problems=(tied,)))
    (case,) = root.iter("testcase")
    assert (case.get("name"), "a trace" in (case[0].text or "")) == ("a/c", True)
    other = replace(tied, reason="WARNING in f")
    root = root_of(replace(RESULT, points=(point,), problems=(other,)))
    assert [case.get("name") for case in root.iter("testcase")] == ["a", "a/c"]


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e9, 0.0005, 123456.789, -1.0])
def test_times_have_three_decimals(seconds: float) -> None:
    root_of(replace(RESULT, seconds=seconds, points=(replace(MOUNT, seconds=seconds),)))


def test_large_results_stay_below_the_limit() -> None:
    log = "<&>" * 60_000
    points = [PointResult(f"p{n}", Outcome.PASSED, log=log) for n in range(400)]
    points += [PointResult(f"f{n}", Outcome.FAILED, log=log) for n in range(400)]
    points.append(PointResult("long", Outcome.FAILED, log="<" * 20_000_000))
    root = root_of(replace(RESULT, points=tuple(points), problems=()))
    assert len(root.findall(".//testcase")) == 801
    assert "are left out" in str(root.findall(".//testcase")[399][0].text)


anything = st.text(st.characters(), max_size=30) | st.binary(max_size=60).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)


@given(anything)
def test_printable_is_fit_for_xml_and_loses_nothing(text: str) -> None:
    element = etree.Element("a", x=printable_line(text))
    element.text = printable(text)
    again = etree.fromstring(etree.tostring(element))
    assert (again.text or "") == printable(text)
    assert again.get("x") == printable_line(text)
    if text.isprintable():
        assert printable(text) == text


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_any_bytes_give_a_valid_document(data: bytes) -> None:
    recorder, parser = Recorder(), Parser()
    stream = b"1..2\nok 1 a\n ---\n log: |\n  " + data + b"\n ...\n" + data + b"\nnot ok 2 " + data
    for event in parser.feed(stream) + parser.close():
        recorder.add(event)
    program = recorder.finish(Exit(1))
    text = data.decode("utf-8", "surrogateescape")
    root_of(
        SuiteResult(
            text,
            text,
            text,
            program.points,
            program.problems,
            {text: text, "hostname": text},
            skip=text,
            output=program.output_tail,
        )
    )


@pytest.mark.parametrize(
    ("suite", "variant", "host", "expected"),
    [
        ("disk", "ext4", "native", "disk-ext4@native.xml"),
        ("boot", "", "wine", "boot@wine.xml"),
        ("net-test", "", "native", "net%2Dtest@native.xml"),
        ("../../etc", "a/b", "x", "%2E.%2F..%2Fetc-a%2Fb@x.xml"),
        (".", "-", "@", "%2E--@%40.xml"),
    ],
)
def test_file_name(suite: str, variant: str, host: str, expected: str) -> None:
    assert file_name(SuiteResult(suite, variant, host)) == expected


short = st.text(st.sampled_from("ab-@%./\0\u00e9"), max_size=4)
long = short | short.map(lambda text: text * 100)


@given(st.lists(st.tuples(long, long, long), max_size=30, unique=True))
def test_file_names_are_injective_and_safe(parts: list[tuple[str, str, str]]) -> None:
    names = [file_name(SuiteResult(*part)) for part in parts]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.isascii()
        assert name.isprintable()
        assert "/" not in name
        assert not name.startswith(".")
        assert len(name) <= 245


def test_write(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "junit"
    path = write(RESULT, directory)
    assert path == directory / "disk-ext4@native.xml"
    check(path.read_bytes())
    assert write(RESULT, directory) == path
    check(path.read_bytes())
    assert os.listdir(directory) == [path.name]  # noqa: PTH208 - names alone
