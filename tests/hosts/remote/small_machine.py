# SPDX-License-Identifier: GPL-2.0-only
"""A small machine for tests, made of what is here: Debian's kernel, busybox, sshd, ip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lkltest.guest.initramfs import Entry, cached, compress, directory, file, pack
from lkltest.guest.kernel_modules import KernelModules, read_module
from tests.hosts.qemu.fixtures import KERNEL, require_kernel
from tests.hosts.remote.sshd import SESSION_PROGRAMS, sshd_root

_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ipv6", "af_packet", "tun", "veth", "macvtap")
_INIT = """\
#!/bin/busybox sh
export PATH=/bin:/usr/sbin
/bin/busybox --install -s /bin
# Its ip makes no devices, and its shell would take no other.
rm /bin/ip; ln -sf dash /bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/pts /dev/net /tmp /run/sshd /var/empty
mount -t devpts none /dev/pts
for module in $(cat /modules/order); do insmod /modules/$module; done
[ ! -b /dev/vda ] || echo written >/dev/vda
chmod 666 /dev/net/tun
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
/usr/sbin/sshd -f /etc/sshd_config -E /dev/console
while :; do sleep 1000; done
"""
_SSHD = """\
HostKey /etc/host_key
AuthorizedKeysFile /etc/keys
StrictModes no
UsePAM no
PermitRootLogin yes
"""
_USERS = """\
root:x:0:0::/root:/bin/sh
tester:x:1000:1000::/home/tester:/bin/sh
sshd:x:100:65534::/run/sshd:/bin/false
"""


def small_machine(folder: Path, *, user: str = "root", extra: str = "") -> Path:
    """The file with `[targets.small]`; what it names is in `folder`. Skips where it cannot be."""
    require_kernel()
    for name, package in {"busybox": "busybox-static", "ip": "iproute2", "dash": "dash"}.items():
        if shutil.which(name, path=PATH) is None:
            pytest.skip(f"{name} is missing: apt-get install {package}")
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    keys = [
        file("/etc/host_key", (folder / "host").read_bytes(), 0o600),
        file("/etc/keys", (folder / "user.pub").read_bytes()),
    ]
    initrd = folder / "initrd"
    initrd.write_bytes(cached(_entries()).read_bytes() + compress(pack(keys)))
    (kernel,) = KERNEL.glob("vmlinuz-*")
    targets = folder / "targets.toml"
    targets.write_text(
        f'[targets.small]\nkernel = "{kernel}"\ninitrd = "initrd"\n'
        f'memory = 1536\nappend = "console=ttyS0 panic=-1"\nuser = "{user}"\nkey = "user"\n{extra}'
    )
    return targets


PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _entries() -> list[Entry]:
    root = sshd_root()
    programs = {"/usr/sbin/sshd": root / "usr/sbin/sshd"}
    settings = _SSHD
    for option, name in SESSION_PROGRAMS.items():
        if (path := root / "usr/lib/openssh" / name).exists():
            programs[f"/usr/lib/openssh/{name}"] = path
            settings += f"{option} /usr/lib/openssh/{name}\n"
    for name, place in {"ip": "/usr/sbin", "ethtool": "/usr/sbin", "dash": "/bin"}.items():
        if found := shutil.which(name, path=PATH):
            programs[f"{place}/{name}"] = Path(found).resolve()
    libraries = {where: path for it in programs.values() for where, path in _libraries(it, root)}
    # The C library loads it when a thread ends; no program names it.
    (unwinder,) = {it.parent for it in libraries.values() if it.name.startswith("libc.so")}
    libraries["/lib/x86_64-linux-gnu/libgcc_s.so.1"] = unwinder / "libgcc_s.so.1"
    busybox = Path(str(shutil.which("busybox", path=PATH)))
    all_files = {**programs, **libraries, "/bin/busybox": busybox}
    texts = {"/etc/sshd_config": settings, "/etc/passwd": _USERS, "/etc/group": "root:x:0:\n"}
    return [
        *(file(where, path.read_bytes(), 0o755) for where, path in all_files.items()),
        *(file(where, text.encode()) for where, text in texts.items()),
        *_modules(),
        file("/init", _INIT.encode(), 0o755),
        *map(directory, ("/proc", "/sys", "/dev", "/root", "/tmp")),
        Entry("home/tester", 0o40777),
    ]


def _modules() -> list[Entry]:
    (release,) = (KERNEL / "lib/modules").iterdir()
    paths = KernelModules(release).files(_MODULES)
    names = [f"{number}.ko" for number in range(len(paths))]
    entries = [
        file(f"/modules/{name}", read_module(path)) for name, path in zip(names, paths, strict=True)
    ]
    return [*entries, file("/modules/order", " ".join(names).encode())]


def _libraries(program: Path, root: Path) -> list[tuple[str, Path]]:
    """What ldd(1) names, at its place in the machine."""
    folders = ":".join(str(path) for path in (root / "usr/lib").glob("*-linux-gnu"))
    said = subprocess.run(
        ["ldd", program],
        env={**os.environ, "LD_LIBRARYPATH": folders},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [Path(name) for name in re.findall(r"(/\S+) \(0x", said)]
    return [(_place(path, root), path.resolve()) for path in paths]


def _place(path: Path, root: Path) -> str:
    """A library of the unpacked sshd goes where installing would have put it."""
    inner = path.is_relative_to(root) and root != Path("/")
    return f"/{path.relative_to(root)}" if inner else str(path)
