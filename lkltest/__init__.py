# SPDX-License-Identifier: GPL-2.0-only
"""The public face of lkltest, for authors of hosts and of suites.

    from lkltest import Host, Launch, register      # a host: docs/hosts.md
    from lkltest import SuiteRun                    # a suite: docs/suites.md

What `__all__` names is kept, or is deprecated for a release before it goes (CONTRIBUTING.md), and
so is `lkltest.testing`, the contract for hosts. Everything else is private and may change. Names
are loaded when they are asked for: importing the package loads none of its modules, nor typing,
which would cost each guard of a scope as much again as its Python (sandbox/guard.py).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lkltest.errors import BuildError, LaunchError, Missing
    from lkltest.host.api import Host, Interface, Launch, OptionGroup, Process
    from lkltest.host.build import Build
    from lkltest.host.disk import Disk
    from lkltest.host.registry import make_host, register
    from lkltest.plugin.suite_run import SuiteRun
    from lkltest.sandbox.netdev import Network
    from lkltest.sandbox.scope import Scope

__all__ = [
    "Build",
    "BuildError",
    "Disk",
    "Host",
    "Interface",
    "Launch",
    "LaunchError",
    "Missing",
    "Network",
    "OptionGroup",
    "Process",
    "Scope",
    "SuiteRun",
    "make_host",
    "register",
]

_MODULES = {
    "errors": ("BuildError", "LaunchError", "Missing"),
    "host.api": ("Host", "Interface", "Launch", "OptionGroup", "Process"),
    "host.build": ("Build",),
    "host.disk": ("Disk",),
    "host.registry": ("make_host", "register"),
    "plugin.suite_run": ("SuiteRun",),
    "sandbox.netdev": ("Network",),
    "sandbox.scope": ("Scope",),
}

if not TYPE_CHECKING:  # a type checker is to complain of a name that is not there

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                import importlib

                return getattr(importlib.import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
