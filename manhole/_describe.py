"""What a program is told of the process that it is connected to, cheaply: no stack is read."""

from __future__ import annotations

from typing import Any

from manhole._snapshot import collect_process
from manhole._version import __version__

__all__ = ["describe_process"]


def describe_process() -> dict[str, Any]:
    """The manhole's version and the process, as plain data. From any thread; takes no lock."""
    process = collect_process()
    return {
        "manhole": __version__,
        "process": {
            "pid": process.pid,
            "argv": list(process.argv),
            "uptime": process.uptime,
            "implementation": process.implementation,
            "python": process.python,
            "libraries": dict(process.libraries),
            "patched": {name: list(modules) for name, modules in process.patched},
        },
    }
