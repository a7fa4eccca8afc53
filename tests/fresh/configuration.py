# SPDX-License-Identifier: GPL-2.0-only
"""This machine's configuration, as far as a fresh Debian on it needs it to reach the network.

Mirrors, package indexes, certificates and proxies are the machine's; none of them is written down
in this project.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_NPM_KEYS = ("registry", "cafile", "proxy", "https-proxy", "noproxy", "strict-ssl")
_OWN_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+")


@dataclass(frozen=True, slots=True)
class Source:
    """One package source: where the `suffix` ("", "-updates", "-security") of a suite lies."""

    uri: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings that are brought into a fresh root.

    sources: Debian's mirrors; none: debootstrap's default. files: path in the root to text.
    certificates: files that the machine trusts beside Debian's. folders: what the configuration
    names on this machine's disk, such as an index of packages. environment: the proxies.
    """

    sources: Sequence[Source]
    files: Mapping[str, str]
    certificates: Sequence[Path]
    folders: Sequence[Path]
    environment: Mapping[str, str]

    @property
    def mirror(self) -> str:
        """The mirror for debootstrap; empty for its default."""
        return next((source.uri for source in self.sources if not source.suffix), "")


def configuration() -> Configuration:
    """Read the configuration of this machine's apt, pip and npm."""
    pip = _pip_settings()
    npm = _npm_settings()
    named = [*_folders_of(pip.values()), *_folders_of(npm.values())]
    files = {
        "/etc/pip.conf": _ini("global", pip),
        "/etc/npmrc": "".join(f"{key}={value}\n" for key, value in npm.items()),
        "/etc/apt/apt.conf.d/90machine": _apt_proxies(),
    }
    return Configuration(
        sources=list(_debian_sources()),
        files={path: text for path, text in files.items() if text},
        certificates=sorted(_OWN_CERTIFICATES.rglob("*.crt")),
        folders=[path for path in dict.fromkeys(named) if not _is_certificates(path)],
        environment={name: os.environ[name] for name in PROXIES if os.environ.get(name)},
    )


def _debian_sources() -> Iterator[Source]:
    """The sources of this machine that are Debian's own; nothing on another distribution."""
    release = dict(
        line.split("=", 1) for line in _text("/etc/os-release").splitlines() if "=" in line
    )
    codename = release.get("VERSION_CODENAME", "").strip('"')
    if release.get("ID", "").strip('"') != "debian" or not codename:
        return
    for uri, suite in sorted(_apt_entries()):
        suffix = suite.removeprefix(codename)
        if suite.startswith(codename) and suffix in ("", "-updates", "-security"):
            yield Source(uri, suffix)


def _apt_entries() -> Iterator[tuple[str, str]]:
    """Each (URI, suite) of sources.list(5), in both of its formats."""
    folder = Path("/etc/apt/sources.list.d")
    for path in [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]:
        for line in _text(path).splitlines():
            if match := _ONE_LINE.match(line):
                yield match["uri"], match["suite"]
    for path in sorted(folder.glob("*.sources")):
        for paragraph in re.split(r"\n\s*\n", _text(path)):
            fields = dict(re.findall(r"^(\w[\w-]*):\s*(.*)$", paragraph, re.MULTILINE))
            if "deb" in fields.get("Types", "").split():
                for uri in fields.get("URIs", "").split():
                    yield from ((uri, suite) for suite in fields.get("Suites", "").split())


def _apt_proxies() -> str:
    """Lines of apt.conf(5) with the proxies that apt uses here."""
    lines = _output("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in lines if re.match(r"Acquire::\w+::Proxy\b.*\w", line))


def _pip_settings() -> dict[str, str]:
    """The settings of pip's files and environment in the words of pip.conf; the latter count."""
    settings = {}
    for line in _output(sys.executable, "-m", "pip", "config", "list").splitlines():
        match = re.match(r"(?P<place>[\w:.-]*?)\.(?P<key>[\w-]+)='(?P<value>.*)'$", line)
        if match and match["place"] in ("global", "site", "user", "install", ":env:"):
            value = match["value"].replace("\\n", " ")
            settings.setdefault(match["key"], value)
            if match["place"] == ":env:":
                settings[match["key"]] = value
    return settings


def _npm_settings() -> dict[str, str]:
    """The way to npm's registry as its files here say it; never a password."""
    if shutil.which("npm") is None:
        return {}
    try:
        found = json.loads(_output("npm", "config", "list", "--json") or "{}")
    except ValueError:
        return {}
    settings = {key: str(found[key]) for key in _NPM_KEYS if found.get(key) not in (None, "", [""])}
    extra = os.environ.get("NODE_EXTRA_CA_CERTS", "")
    if extra and "cafile" not in settings:
        settings["cafile"] = extra
    return {key: value.lower() if value in ("True", "False") else value
            for key, value in settings.items()}  # fmt: skip


def _folders_of(values: Iterable[str]) -> Iterator[Path]:
    """The files and folders on this machine's disk that settings name, as paths or file: URLs."""
    for value in values:
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and path.exists():
                yield path.parent if word.startswith("file://") else path


def _is_certificates(path: Path) -> bool:
    return path.is_relative_to("/etc/ssl")


def _ini(section: str, settings: Mapping[str, str]) -> str:
    lines = [f"{key} = {value}" for key, value in settings.items()]
    return "\n".join([f"[{section}]", *lines, ""]) if lines else ""


def _output(*words: str) -> str:
    """The output of a program of this machine; nothing when there is none or it fails."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
