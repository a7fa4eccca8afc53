# SPDX-License-Identifier: GPL-2.0-only
"""Module lists of L4Re and the script that ned gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkltest.hosts.l4re.module_list import Module, ModulesError, read_entry, with_program
from lkltest.hosts.l4re.ned_script import ned_script

LIST = """\
# a comment
modaddr 0x2d0000
default-kernel fiasco -serial_esc
searchpath bin
group libs
  module l4re
  module[arch=x86|amd64] ned   # two words and a comment
entry hello
  roottask moe rom/hello.cfg
  module-group libs
  module hello.cfg
entry other
  kernel fiasco -nohlt
  moe other.cfg
"""


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name in ("fiasco", "sigma0", "moe", "l4re", "ned", "bootstrap"):
        (tmp_path / "bin" / name).write_bytes(b"x")
    for name in ("hello.cfg", "other.cfg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "modules.list").write_text(LIST)
    return tmp_path / "modules.list"


def test_an_entry(lists: Path) -> None:
    entry = read_entry(lists, "hello", [])
    assert entry.bootstrap == lists.parent / "bin" / "bootstrap"
    assert entry.append == "-modaddr 0x2d0000"
    assert [(module.name, module.arguments) for module in entry.modules] == [
        ("fiasco", "-serial_esc"),
        ("sigma0", ""),
        ("moe", "rom/hello.cfg"),
        ("l4re", ""),
        ("ned", ""),
        ("hello.cfg", ""),
    ]


def test_moe_is_short_for_root_task_and_module(lists: Path) -> None:
    modules = read_entry(lists, "other", []).modules
    assert [(module.name, module.arguments) for module in modules] == [
        ("fiasco", "-nohlt"),
        ("sigma0", ""),
        ("moe", "rom/other.cfg"),
        ("other.cfg", ""),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("entry x\nmodule ned\nentry y\nmodule[shell] rm -rf z\n", ["ned"]),
        ("group g\nmodule[perl] 1\nentry x\nmodule ned\n", ["ned"]),
        ("entry x\nmodule[arch=amd64|x86] ned\nmodule[arch=arm64] l4re\n", ["ned"]),
        ("entry x\nmodule[fname=virt.dtb] ned\n", ["virt.dtb"]),
        ("entry x\nmodule ned\nentry x\nmodule l4re\n", ["ned"]),
        ("entry X\nmodule ${NAME_OF_IT}\n", ["ned"]),
        ("entry x\nmodule elsewhere\n", ["elsewhere"]),
        ("default-frobnicator y\nentry x\nmodule ned\n", None),
    ],
)
def test_rules_of_the_tool(
    lists: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str] | None
) -> None:
    """What ModList.pm makes of a list with ARCH=amd64, beside kernel, sigma0 and root task."""
    (lists.parent / "other").mkdir()
    (lists.parent / "other" / "elsewhere").touch()
    monkeypatch.setenv("ARCH", "amd64")
    monkeypatch.setenv("NAME_OF_IT", "ned")
    monkeypatch.setenv("MODULE_SEARCH_PATH", f"/nowhere:{lists.parent / 'other'}")
    lists.write_text(f"searchpath bin\n{text}")
    if expected is None:
        with pytest.raises(ModulesError, match="no kind of line"):
            read_entry(lists, "x", [])
        return
    assert [module.name for module in read_entry(lists, "x", []).modules[3:]] == expected


def test_a_program_is_added_with_a_script_of_its_own(lists: Path) -> None:
    modules = read_entry(lists, "hello", []).modules
    script = Module(Path("/run/lkltest.cfg"), "lkltest.cfg")
    added = with_program(modules, Module(Path("/boot"), "boot"), script)
    assert [module.name for module in added][-2:] == ["lkltest.cfg", "boot"]
    assert added[2].arguments == "rom/lkltest.cfg"


@pytest.mark.parametrize(
    ("entry", "text", "message"),
    [
        ("nothing", LIST, "has no entry 'nothing'; there are: hello, other"),
        ("x", "entry x\nmodule absent\n", "absent: not found in"),
        ("x", "entry x\nmodule-group g\n", "modules.list:2: unknown group 'g'"),
        ("x", "entry x\nfrobnicate y\n", "modules.list:2: 'frobnicate' is no kind of line"),
        ("x", "entry x\nmodule[shell] rm -rf y\n", "would run a program"),
        ("x", "group g\nbin[perl] 1\nentry x\nmodule-group g\n", "would run a program"),
        ("x", "entry x\nroottask[shell] rm -rf y\n", "would run a program"),
        ("x", "include absent.inc\nentry x\n", "absent.inc: No such file"),
    ],
)
def test_what_is_wrong_is_one_line(lists: Path, entry: str, text: str, message: str) -> None:
    lists.write_text(text if text == LIST else f"searchpath bin\n{text}".replace(":2:", ":3:"))
    with pytest.raises(ModulesError) as caught:
        read_entry(lists, entry, [])
    assert message.replace(":2:", ":3:") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_without_ned_cannot_start_programs() -> None:
    script = Module(Path("/s"), "s")
    with pytest.raises(ModulesError, match="no ned"):
        with_program([Module(Path("/moe"), "moe")], Module(Path("/p"), "p"), script)


def test_the_script_keeps_each_word() -> None:
    words = ["a b", 'c"d\\', "", "x=1", "ä\n"]
    text = ned_script("boot", words, {"LANG": "C"}, "tag").decode("ascii")
    assert 'log = { "tag", "g" }' in text
    expected = r'"rom/boot", "a b", "c\034d\092", "", "x=1", "\195\164\010", { ["LANG"] = "C" }'
    assert expected in text
