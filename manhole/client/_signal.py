"""The signal that opens a manhole which waits for one, sent before connecting."""

from __future__ import annotations

import argparse
import os
import re
import signal
from pathlib import Path

from manhole.client._status import ExitStatus, Failure

__all__ = ["parse_signal", "send_signal"]

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


def send_signal(argument: str, number: signal.Signals) -> None:
    """Send the signal to the process that *argument* means: a process id, or a path that ends in ``manhole-<pid>``.

    :raises Failure: if no process is meant, there is none, or it may not be signalled.
    """
    found = re.fullmatch(r"(?:manhole-)?([0-9]+)", Path(argument).name)
    if found is None or (found[0] == found[1] and argument != found[1]):
        raise Failure(
            ExitStatus.USAGE, f"{argument!r} does not say which process to send {number.name} to; give its id"
        )
    pid = int(found[1])
    try:
        os.kill(pid, number)
    except (ProcessLookupError, OverflowError):
        raise Failure(ExitStatus.NO_PROCESS, f"there is no process {pid}; check the process id") from None
    except PermissionError:
        raise Failure(
            ExitStatus.NOT_PERMITTED,
            f"not permitted to send {number.name} to process {pid}; try as its user or as root",
        ) from None
