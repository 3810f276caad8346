"""The command manhole-cli: its arguments, its messages and its exit statuses."""

from __future__ import annotations

import argparse
import io
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from types import BuiltinFunctionType, ModuleType
from typing import NoReturn

from manhole import __version__
from manhole._errors import SuspiciousServer
from manhole.client._connection import RETRY_INTERVAL, open_connection, receive_first
from manhole.client._hello import say_hello
from manhole.client._history import History, default_history_path
from manhole.client._locate import Target, locate
from manhole.client._pipe import copy
from manhole.client._signal import parse_signal, send_signal
from manhole.client._status import ExitStatus, Failure
from manhole.client._terminal import Terminal

__all__ = ["main"]

PROGRAM = "manhole-cli"
DEFAULT_TIMEOUT = 5.0  # seconds; arbitrary: the dump of a large process on a loaded machine
MAX_TIMEOUT = 86400.0  # seconds; arbitrary: a day

DESCRIPTION = """\
Open the manhole of a running Python process: see the stacks of its threads and
greenlets, and evaluate Python in it. Where stdin is not a terminal, what is read
there is evaluated and only what it prints comes out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: its arguments, by default those of this process.
    :returns: an :class:`~manhole.client.ExitStatus`. Every failure has printed one line on stderr.
    :raises SystemExit: for --help, --version and wrong arguments, as argparse does.
    """
    _open_standard_streams()
    options = _parse(argv)
    target: Target | None = None
    try:
        deadline = time.monotonic() + options.timeout
        if options.signal is not None:
            send_signal(options.target, options.signal)
        target, sock = _reach(options.target, deadline, patiently=options.signal is not None)
        with sock:
            _converse(sock, target, deadline, options.timeout)
        sys.stdout.flush()
    except Failure as failure:
        return _fail(failure.status, str(failure))
    except SuspiciousServer as error:
        return _fail(ExitStatus.SUSPICIOUS, str(error))
    except KeyboardInterrupt:
        where = "" if target is None else f"; what {target.name} has read already goes on there"
        return _fail(ExitStatus.INTERRUPTED, f"interrupted{where}")
    except BrokenPipeError:
        # Nobody reads our output any longer, `| head` has had enough. What is still buffered would raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        return _fail(ExitStatus.LOST, f"{options.target}: {error.strerror or error}")
    return ExitStatus.OK


def _reach(argument: str, deadline: float, patiently: bool) -> tuple[Target, socket.socket]:
    """The process's manhole, and a connection to it.

    :param patiently: whether to try until *deadline* while there is none: a signal is to make it.
    """
    while True:
        try:
            target = locate(argument)
            return target, open_connection(target, deadline)
        except Failure as failure:
            not_yet = failure.status in (ExitStatus.NO_MANHOLE, ExitStatus.NOBODY_LISTENS)
            if not (patiently and not_yet) or time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_INTERVAL)


def _converse(sock: socket.socket, target: Target, deadline: float, timeout: float) -> None:
    if not os.isatty(0):
        _, early = say_hello(sock, target, deadline, "text", greeting=False, prompt=False, mirror=False)
        copy(sock, target, early, 0, 1)
        return
    first = receive_first(sock, target, deadline)
    readline = _import_readline()
    history = None
    if readline is not None:
        history = History(readline, default_history_path(), _say)
        history.load()
    Terminal(sock, target, readline, history).converse(first, timeout)


def _import_readline() -> ModuleType | None:
    """The readline module, where input() would use it and the timer of LineEditor may raise out of it."""
    if not os.isatty(1):
        return None
    try:
        import readline
    except ImportError:
        return None
    # PyPy's is a line editor in Python: an exception in the midst of it leaves the terminal in its hands.
    return readline if isinstance(readline.set_startup_hook, BuiltinFunctionType) else None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ExitStatus.USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    statuses = "\n".join(f"  {status:>3}  {status.meaning}" for status in ExitStatus)
    parser = _Parser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=f"exit status:\n{statuses}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "target", metavar="PID_OR_PATH", help="the process's id, or the path of its socket; write ./123 for a file 123"
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument(
        "-t",
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=DEFAULT_TIMEOUT,
        help="how long to wait for the connection and for the first byte of an answer (default: %(default)g); "
        "what is evaluated may take as long as it likes",
    )
    signals = parser.add_mutually_exclusive_group()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        short = number.name.removeprefix("SIG")
        signals.add_argument(
            f"-{short[-1]}",
            f"-{short}",
            dest="signal",
            action="store_const",
            const=number,
            help=f"send {short} to the process before connecting",
        )
    signals.add_argument(
        "-s",
        "--signal",
        metavar="SIGNAL",
        type=parse_signal,
        help="send this one, a name or a number, and try to connect until the timeout",
    )
    return parser.parse_args(argv)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_TIMEOUT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, at most {MAX_TIMEOUT:g}")
    return seconds


def _say(message: str) -> None:
    """Print one line on stderr, whatever *message* holds."""
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in message)
    try:
        print(f"{PROGRAM}: {line}", file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody reads it; the exit status tells


def _fail(status: ExitStatus, message: str) -> ExitStatus:
    _say(message)
    return status


def _open_standard_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed, lest the connection becomes one of them.

    And let no character that the terminal's encoding lacks become a traceback.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
