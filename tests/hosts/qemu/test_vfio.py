# SPDX-License-Identifier: GPL-2.0-only
"""A disk that is handed to a driver in a program, by VFIO, in a machine with an IOMMU."""

from __future__ import annotations

import os
from pathlib import Path

from lkltest.deadline import Deadlines
from lkltest.guest.linux import libraries_of
from lkltest.host.api import Launch
from lkltest.host.build import Build
from lkltest.host.disk import Disk
from lkltest.host.execution import Execution
from lkltest.hosts.qemu.host import HANDED_OVER, QemuHost
from lkltest.hosts.qemu.machine import MACHINES, Boot, Drive, Setup, command
from lkltest.sandbox.scope import Scope
from tests.compiler import compile_program
from tests.fake_build import fake_build, lkltest
from tests.hosts.qemu.fixtures import require_kernel

SOURCE = r"""
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *link_of(const char *address, const char *name)
{
	static char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
	len = readlink(path, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = 0;
	return basename(target);
}

int main(int argc, char **argv)
{
	char group[PATH_MAX];

	(void)argc;
	printf("1..2 # vfio\n* 1 driver\n");
	printf("%sok 1 driver\n", strcmp(link_of(argv[2], "driver"), "vfio-pci") ? "not " : "");
	snprintf(group, sizeof(group), "/dev/vfio/%s", link_of(argv[2], "iommu_group"));
	printf("* 2 group\n%sok 2 group\n", open(group, O_RDWR) < 0 ? "not " : "");
	return 0;
}
"""


def test_a_program_finds_the_disk_with_vfio_and_its_own_libraries(tmp_path: Path) -> None:
    require_kernel()
    source = tmp_path / "disk-vfio-pci.c"
    source.write_text(SOURCE)
    program = compile_program(source)
    assert any(path.name.startswith("ld-linux") for path in libraries_of(program))
    host = QemuHost()
    build = Build(tmp_path, HANDED_OVER, {program.name: program})
    image = os.memfd_create("image")
    os.truncate(image, 1 << 20)
    with Scope() as scope:
        words = ("-n", Disk(image, "ext4", handed_over=True))
        launch = Launch(program, words, {}, Deadlines.from_timeout(120), build)
        result = Execution(host, host.launch(launch, scope)).run()
    os.close(image)
    assert result.passed, (result.problems, result.output_tail)
    assert [point.name for point in result.points] == ["driver", "group"]


def test_the_machine_has_an_iommu_before_the_disk() -> None:
    drives = [Drive("/disk", "nvme", "s", "0x10")]
    setup = Setup(MACHINES["q35"], Boot("kernel"), "kvm", 10, ["console"], drives=drives)
    words = " ".join(command(setup))
    assert "-M q35,kernel-irqchip=split" in words
    assert words.index("intel-iommu") < words.index("nvme,drive=d0,serial=s,addr=0x10")
    plain = Setup(MACHINES["q35"], Boot("kernel"), "tcg", 10, ["console"], drives=[Drive("/d")])
    assert "iommu" not in " ".join(command(plain))


def test_other_hosts_have_no_disk_to_give_away(tmp_path: Path) -> None:
    build = fake_build(tmp_path, disk_vfio_pci="pass")
    done = lkltest("run", "vfio", f"--build={build}")
    assert done.returncode == 0 and done.stdout.count("--host qemu") == 2, done.stdout
