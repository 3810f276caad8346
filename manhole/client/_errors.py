"""What can go wrong once a client and a process converse in messages, each with its data."""

from __future__ import annotations

from dataclasses import dataclass

from manhole._errors import ManholeError

__all__ = ["AnswerTimeout", "ConnectionLost", "ProtocolError", "RemoteException", "RemoteExit", "RemoteFrame"]


class ProtocolError(ManholeError):
    """The process has answered with an error, or with what is no answer.

    :ivar code: one of docs/protocol.md: "unknown-op", "bad-field", "refused"... Of "bad-message" and "too-large" the
        connection is closed, if it was the process that broke the rules.
    :ivar message: what happened and what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class ConnectionLost(ManholeError, ConnectionError):
    """The connection has ended, so there is no answer.

    :ivar target: what was connected to, "process 123" or the path.
    :ivar reason: how it ended.
    """

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"{target}: {reason}")
        self.target = target
        self.reason = reason


class AnswerTimeout(ManholeError, TimeoutError):
    """There was no answer in time. The operation may still go on; its answer will be dropped.

    :ivar op: the operation.
    :ivar seconds: how long the answer was waited for.
    """

    def __init__(self, op: str, seconds: float, target: str) -> None:
        super().__init__(
            f"{target} has not answered {op} within {seconds:g} s; it goes on there: "
            "interrupt() it, or wait longer next time"
        )
        self.op = op
        self.seconds = seconds


@dataclass(frozen=True)
class RemoteFrame:
    """One entry of a traceback in the process.

    :ivar file: as the code object has it.
    :ivar line: from 1 on.
    :ivar function: its name.
    """

    file: str
    line: int
    function: str


class RemoteException(ManholeError):
    """The code has raised an exception in the process.

    :ivar type: the name of the exception's class, such as "ValueError".
    :ivar module: the module of that class, such as "builtins".
    :ivar message: the exception's text.
    :ivar traceback: the traceback as Python prints it, without the manhole's own frames.
    :ivar frames: its frames, outermost first.
    :ivar stdout: what the code had printed, as in :class:`~manhole.client.Result`.
    :ivar stderr: the same for stderr.
    """

    def __init__(
        self,
        type: str,
        module: str,
        message: str,
        traceback: str,
        frames: tuple[RemoteFrame, ...],
        stdout: str,
        stderr: str,
    ) -> None:
        super().__init__(f"{type}: {message}" if message else type)
        self.type = type
        self.module = module
        self.message = message
        self.traceback = traceback
        self.frames = frames
        self.stdout = stdout
        self.stderr = stderr


class RemoteExit(ManholeError):
    """The code has raised SystemExit, as `exit()` does. That ends the session, not the process.

    :ivar stdout: what the code had printed, as in :class:`~manhole.client.Result`.
    :ivar stderr: the same for stderr.
    """

    def __init__(self, stdout: str, stderr: str) -> None:
        super().__init__("the code has ended the session; connect again for another one")
        self.stdout = stdout
        self.stderr = stderr
