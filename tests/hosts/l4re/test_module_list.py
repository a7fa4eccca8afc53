# SPDX-License-Identifier: GPL-2.0-only
"""Module lists of L4Re and the script that ned gets."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lkltest.hosts.l4re.module_list import Module, ModulesError, read_entry, with_program
from lkltest.hosts.l4re.ned_script import ned_script
from tests.hosts.l4re import elf

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
    assert entry.append == "-modaddr=0x2d0000"
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


ROOTS = ["fiasco", "sigma0", "moe"]
RULES: Mapping[str, tuple[str, list[str] | None]] = {
    "other entries do not matter": (
        "entry y\nmodule[shell] false\nnonsense\nentry x\nmodule ned\nentry z\nmodule[perl] die\n",
        [*ROOTS, "ned"],
    ),
    "names of any case": ("TITLE X\nMODULE ned\nbin l4re\n", [*ROOTS, "ned", "l4re"]),
    "arch": ("entry x\nmodule[arch=amd64|x86] ned\nmodule[arch=arm64] l4re\n", [*ROOTS, "ned"]),
    "bits": ("entry x\nmodule[bits=32] ned\nmodule[bits=32|64] l4re\n", [*ROOTS, "l4re"]),
    "arch of an entry": ("entry[arch=arm] x\nmodule ned\nentry x\nmodule l4re\n", [*ROOTS, "l4re"]),
    "fname": ("entry x\nmodule[arch=amd64,fname=a.dtb] ned b c\n", [*ROOTS, "a.dtb b c"]),
    "fname of a root": ("entry x\nroottask[fname=root] moe -x\n", ["fiasco", "sigma0", "root -x"]),
    "the first of two": ("entry x\nmodule ned\nentry x\nmodule l4re\n", [*ROOTS, "ned"]),
    "nothing after it": (
        "entry x\nmodule ned\nentry y\ndefault-kernel fiasco -late\nmodaddr 5\n",
        [*ROOTS, "ned"],
    ),
    "defaults": (
        "default-kernel fiasco -a\ndefault-kernel[arch=arm] fiasco -b\ndefault-roottask moe c\n"
        "default-bootstrap bootstrap -d\nentry x\nsigma0 sigma0 -e\n",
        ["-d", "fiasco -a", "sigma0 -e", "moe c"],
    ),
    "the entry's own": (
        "default-kernel fiasco -a\nentry x\nkernel fiasco -b\nkernel[arch=arm] fiasco -c\n",
        ["fiasco -b", "sigma0", "moe"],
    ),
    "no defaults": ("entry[no-defaults] x\nkernel fiasco -b\nmodule ned\n", ["fiasco -b", "ned"]),
    "moe": ("entry x\nmoe sub/a.inc -v\n", ["fiasco", "sigma0", "moe rom/a.inc -v", "a.inc -v"]),
    "groups": (
        "group g\nkernel l4re -x\ngroup h\nbin hello\ngroup g\ndata ned\n"
        "entry x\nmodule-group g h\n",
        [*ROOTS, "l4re -x", "ned", "hello"],
    ),
    "glob": ("entry x\nmodule[glob] bin/h* bin/n?d\n", [*ROOTS, "hello", "ned"]),
    "include": ("entry x\ninclude sub/?.inc\nmodule hello\n", [*ROOTS, "ned", "l4re", "hello"]),
    "include, a variable": ("entry x\ninclude ${FOLDER}/a.inc\n", [*ROOTS, "ned"]),
    "include, another arch": (
        "entry x\ninclude[arch=arm] sub/a.inc\nmodule l4re\n",
        [*ROOTS, "l4re"],
    ),
    "include, no match": ("include sub/*.none\nentry x\nmodule ned\n", [*ROOTS, "ned"]),
    "include, no file": ("include sub/none\nentry x\nmodule ned\n", None),
    "a variable elsewhere": ("entry x\nmodule ${FOLDER}\n", None),
    "searchpath": ("searchpath other\nentry x\nmodule elsewhere\n", [*ROOTS, "elsewhere"]),
    "MODULE_SEARCH_PATH": ("entry x\nmodule further\n", [*ROOTS, "further"]),
    "modaddr": ("modaddr 0x100\nentry x\nmodule ned\n", ["-modaddr=0x100", *ROOTS, "ned"]),
    "modaddr of the entry": ("modaddr 1\nentry x\nmodaddr 2\n", ["-modaddr=2", *ROOTS]),
    "modaddr of bootstrap": (
        "modaddr 1\nentry x\nbootstrap bootstrap -modaddr 2\n",
        ["-modaddr 2", *ROOTS],
    ),
    "modaddr in its place": (
        "modaddr 1\nentry x\nbootstrap bootstrap -modaddr %modaddr% -a\n",
        ["-modaddr=1 -a", *ROOTS],
    ),
    "perl and shell": (
        "entry x\nmodule[perl] ('ned', \"l4re $ENV{ARCH}\")\n"
        "module[shell] echo hello; echo ned 2\n",
        [*ROOTS, "ned", "l4re amd64", "hello", "ned 2"],
    ),
    "comments, blanks": ("  entry x # a\n\n module\tned  a  b # c\nmodule\n", [*ROOTS, "ned a  b"]),
    "an empty option": ("entry x\nmodule[] ned\ndata-nostrip l4re\n", [*ROOTS, "ned", "l4re"]),
    "an unknown default": ("default-frobnicator y\nentry x\nmodule ned\n", [*ROOTS, "ned"]),
    "an unknown kind": ("entry x\nrmgr y\nmodule ned\n", None),
    "an unknown group": ("entry x\nmodule-group g\n", None),
    "an unknown entry": ("entry y\nmodule ned\n", None),
    "a missing file": ("entry x\nmodule absent\n", None),
    "a program that fails": ("entry x\nmodule[shell] false\n", None),
    "shared libraries": (
        "entry x\nmodule uses_two\nmodule ned\n",
        [*ROOTS, "uses_two", "ned", "libdeep.so", "libld-l4.so", "libtop.so"],
    ),
    "shared libraries named": (
        "entry x\nmodule libtop.so\nmodule uses_two\n",
        [*ROOTS, "libtop.so", "uses_two", "libdeep.so", "libld-l4.so"],
    ),
    "shared libraries not scanned for": (
        "entry x\nmodule[no-shlib-scan] uses_two\n",
        [*ROOTS, "uses_two"],
    ),
}
"""Rules of module lists: a list, and bootstrap's arguments, if any, and modules with theirs; None
where L4Re's tool and we refuse it."""


@pytest.fixture
def rule_files(lists: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the list in which the rules' files are."""
    folder = lists.parent
    for name in ("bin/hello", "other/elsewhere", "far/further"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "sub").mkdir()
    (folder / "sub" / "a.inc").write_text("module ned\n")
    (folder / "sub" / "b.inc").write_text("module l4re\n")
    elf.write(folder / "bin" / "uses_two", ["libtop.so"], "rom/libld-l4.so")
    elf.write(folder / "bin" / "libtop.so", ["libdeep.so", "libld-l4.so"])
    elf.write(folder / "bin" / "libdeep.so", ["libtop.so"])
    elf.write(folder / "bin" / "libld-l4.so", [])
    monkeypatch.chdir(folder)
    for name, value in {"ARCH": "amd64", "BITS": "64", "FOLDER": "sub"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODULE_SEARCH_PATH", f"/nowhere:{folder}/far")
    return folder


@pytest.mark.parametrize("rule", RULES)
def test_rules_of_the_tool(rule_files: Path, rule: str) -> None:
    text, expected = RULES[rule]
    (rule_files / "x.list").write_text(text)
    search = [rule_files / "bin", rule_files / "sub"]
    if expected is None:
        with pytest.raises(ModulesError) as caught:
            read_entry(rule_files / "x.list", "x", search, allow_commands=True)
        assert "\n" not in str(caught.value)
        return
    entry = read_entry(rule_files / "x.list", "x", search, allow_commands=True)
    modules = [f"{module.name} {module.arguments}".strip() for module in entry.modules]
    assert [*filter(None, [entry.append]), *modules] == expected


@pytest.mark.parametrize("rule", RULES)
def test_the_tool_itself_has_these_rules(rule_files: Path, rule: str) -> None:
    """The answers of L4Re's own tool are those expected above; L4DIR says where that is."""
    library = Path(os.environ.get("L4DIR", "/nowhere")) / "tool" / "lib"
    if not (library / "L4" / "ModList.pm").is_file():
        pytest.skip("L4DIR does not name L4Re's source")
    text, expected = RULES[rule]
    (rule_files / "x.list").write_text(text)
    asked = (
        "use L4::ModList; my ($file, $path) = @ARGV;"
        'my %entry = L4::ModList::get_module_entry($file, "x", $path);'
        'print "$entry{bootstrap}{cmdline}\n";'
        "for (@{$entry{mods}}) {"
        ' L4::ModList::search_file_or_die($_->{file}, $path); print "$_->{cmdline}\n"; }'
    )
    path = f"{os.environ['MODULE_SEARCH_PATH']}:bin:sub:{rule_files}"
    done = subprocess.run(
        ["perl", f"-I{library}", "-e", asked, rule_files / "x.list", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if expected is None:
        assert done.returncode != 0, done.stdout
        return
    assert done.returncode == 0, done.stderr
    bootstrap, *modules = done.stdout.splitlines()
    append = bootstrap.removeprefix("bootstrap").strip()
    assert [*filter(None, [append]), *modules] == expected


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


def test_an_option_unpacks(lists: Path) -> None:
    lists.write_text("searchpath bin\nentry x\nmodule[uncompress] ned\nmodule l4re\n")
    unpacked = [module.uncompress for module in read_entry(lists, "x", []).modules]
    assert unpacked == [False, False, False, True, False]


def test_commands_are_refused_unless_allowed(lists: Path) -> None:
    lists.write_text("searchpath bin\nentry x\nmodule[perl] 'ned'\n")
    with pytest.raises(ModulesError, match="--lkl-qemu-allow-commands"):
        read_entry(lists, "x", [])
    assert read_entry(lists, "x", [], allow_commands=True).modules[-1].name == "ned"


def test_libraries_of_a_build_tree_are_found_beside_its_programs(lists: Path) -> None:
    programs = lists.parent / "obj" / "bin" / "amd64_gen" / "l4f"
    libraries = lists.parent / "obj" / "lib" / "amd64_gen" / "std" / "l4f"
    for folder in (programs, libraries):
        folder.mkdir(parents=True)
    elf.write(programs / "uses", ["libtop.so"])
    elf.write(libraries / "libtop.so", [])
    lists.write_text("searchpath bin\nentry x\nmodule uses\n")
    modules = read_entry(lists, "x", [programs]).modules
    assert modules[-1].file == libraries / "libtop.so"
