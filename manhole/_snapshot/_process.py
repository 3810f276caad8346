"""What a snapshot says of the process itself and what the kernel says of its threads."""

from __future__ import annotations

import os
import platform
import posix
import sys

from manhole import compat
from manhole._snapshot._model import Process

__all__ = ["collect_process", "is_runnable", "thread_ages", "thread_busy_seconds"]

_IMPLEMENTATION = platform.python_implementation()
_PYTHON = platform.python_version()
# Of a file in /proc; the ones read here have some hundred bytes.
MAX_PROC_BYTES = 4096
# proc_pid_stat(5): the start time is field 22, the 20th behind the name, in clock ticks since the system's boot.
_START_FIELD = 19


def collect_process() -> Process:
    """The process that this is called in; see :class:`Process`."""
    patched = ((runtime.name, tuple(runtime.patched_modules())) for runtime in compat.RUNTIMES)
    return Process(
        pid=os.getpid(),
        argv=tuple(clean for argument in sys.orig_argv if (clean := compat.clean_name(argument)) is not None),
        uptime=_age("/proc/self/stat", _system_uptime()),
        implementation=_IMPLEMENTATION,
        python=_PYTHON,
        libraries=tuple(
            (runtime.name, version) for runtime in compat.RUNTIMES if (version := runtime.version()) is not None
        ),
        patched=tuple((name, modules) for name, modules in patched if modules),
    )


def thread_ages() -> dict[int, float]:
    """Seconds since the start of each thread, by its ident; empty where the system does not tell."""
    uptime = _system_uptime()
    ages = ((ident, _age(f"/proc/self/task/{native}/stat", uptime)) for ident, native in compat.native_idents().items())
    return {ident: age for ident, age in ages if age is not None}


def thread_busy_seconds(native: int) -> float | None:
    """How long a thread has run so far or has waited for a processor, by its kernel's number; None if that is not told.

    The waiting counts since on a machine with more to do than it can, a thread that computes gets little CPU time.
    """
    text = _read_proc(f"/proc/self/task/{native}/schedstat")
    return sum(map(int, text.split()[:2])) / 1e9 if text else None


def is_runnable(native: int) -> bool:
    """Whether a thread runs or waits for a processor at this moment: how long it waits is not told before it runs."""
    return _read_proc(f"/proc/self/task/{native}/stat").rpartition(")")[2].split()[:1] == ["R"]


def _read_proc(path: str) -> str:
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return posix.read(descriptor, MAX_PROC_BYTES).decode("utf-8", "replace")
    except OSError:  # the thread ended meanwhile
        return ""
    finally:
        posix.close(descriptor)


def _system_uptime() -> float | None:
    text = _read_proc("/proc/uptime")
    return float(text.split()[0]) if text else None


def _age(path: str, uptime: float | None) -> float | None:
    text = _read_proc(path)
    if not text or uptime is None:
        return None
    started = int(text.rpartition(")")[2].split()[_START_FIELD]) / posix.sysconf("SC_CLK_TCK")
    return max(0.0, uptime - started)
