"""The signal that opens a manhole which waits for one, sent before connecting."""

from __future__ import annotations

import argparse
import os
import re
import signal
from pathlib import Path

from manhole.client._status import ExitStatus, Failure

__all__ = ["parse_signal", "send_signal"]

PROC = Path("/proc")
_BY_NAME = {known.name: known for known in signal.Signals}


def parse_signal(text: str) -> signal.Signals:
    """A signal from its number or its name, with or without SIG, in any case.

    :raises argparse.ArgumentTypeError: if there is none like that.
    """
    name = text.upper()
    try:
        return signal.Signals(int(text)) if text.isdigit() else _BY_NAME[name if name in _BY_NAME else f"SIG{name}"]
    except (KeyError, ValueError):
        names = ", ".join(sorted(known.removeprefix("SIG") for known in _BY_NAME))
        raise argparse.ArgumentTypeError(f"{text!r} is no signal; there are {names}") from None


def send_signal(argument: str, number: signal.Signals, proc: Path = PROC) -> None:
    """Send the signal to the process that *argument* means: a process id, or a path that ends in ``manhole-<pid>``.

    What a signal does by default is to end the process, so it is not sent to one without a handler for it, as far as
    *proc* tells.

    :param proc: the procfs of Linux; where it is not, the signal is sent to any process.
    :raises Failure: if no process is meant, there is none, it may not be signalled, or it has no handler.
    """
    found = re.fullmatch(r"(?:manhole-)?([0-9]+)", Path(argument).name)
    if found is None or (found[0] == found[1] and argument != found[1]):
        raise Failure(
            ExitStatus.USAGE, f"{argument!r} does not say which process to send {number.name} to; give its id"
        )
    pid = int(found[1])
    try:
        os.kill(pid, 0)  # whether it is there and ours to signal, which is the better thing to be told
        if not _may_have_handler(pid, number, proc):
            raise Failure(
                ExitStatus.NO_HANDLER,
                f"process {pid} has no handler for {number.name}, which was not sent: it might end the process; "
                f"give the option that its manhole was installed with, oneshot_on or activate_on",
            )
        os.kill(pid, number)
    except (ProcessLookupError, OverflowError):
        raise Failure(ExitStatus.NO_PROCESS, f"there is no process {pid}; check the process id") from None
    except PermissionError:
        raise Failure(
            ExitStatus.NOT_PERMITTED,
            f"not permitted to send {number.name} to process {pid}; try as its user or as root",
        ) from None


def _may_have_handler(pid: int, number: signal.Signals, proc: Path) -> bool:
    """False if procfs says that the process has no handler for the signal; proc_pid_status(5)."""
    try:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", (proc / str(pid) / "status").read_text(), re.MULTILINE)
    except OSError:
        return True  # not Linux, or hidden from us
    return caught is None or bool(int(caught[1], 16) >> (number - 1) & 1)
