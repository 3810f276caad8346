"""How the command ends: an exit status for every cause, and the exception that carries one."""

from __future__ import annotations

from enum import IntEnum

from manhole._errors import ManholeError

__all__ = ["ExitStatus", "Failure"]


class ExitStatus(IntEnum):
    """The exit statuses of manhole-cli, one for every cause, so that a script need not read messages.

    :ivar meaning: the cause in a few words, as --help shows it.
    """

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitStatus:
        """An int with its meaning beside it."""
        status = int.__new__(cls, value)
        status._value_ = value
        status.meaning = meaning
        return status

    OK = 0, "the conversation ended in good order"
    LOST = 1, "the connection was lost unexpectedly"
    USAGE = 2, "wrong arguments"
    NO_PROCESS = 3, "there is no such process"
    NO_MANHOLE = 4, "the process has no manhole, or the path does not lead to a socket"
    NOBODY_LISTENS = 5, "there is a socket, but nobody listens on it"
    NOT_PERMITTED = 6, "not permitted, by the file system or by the process"
    SUSPICIOUS = 7, "the listener is not who it should be"
    NO_ANSWER = 8, "no answer within the timeout"
    NO_HANDLER = 9, "the process has no handler for the signal, which was not sent"
    INTERRUPTED = 130, "interrupted by Ctrl-C"


class Failure(ManholeError):
    """The conversation did not come about, or ended before its time.

    The message is one line: what happened, to which process or path, and what to do next.

    :ivar status: the cause.
    """

    def __init__(self, status: ExitStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
