"""What `connection_handler="exec"` does: each line is executed as it comes, and nothing is sent back."""

from __future__ import annotations

from manhole._errors import AuditFailed
from manhole._evaluator import make_namespace
from manhole._reader import LineReader, LineTooLong
from manhole._session import Session
from manhole._surroundings import Surroundings

__all__ = ["serve_exec"]


def serve_exec(session: Session, around: Surroundings) -> None:
    """No stream is touched, `exit()` ends it. Errors are reported with the manhole's own messages.

    :raises OSError: if the client is gone.
    """
    session.mode = "exec"
    read_line = LineReader(session.socket).read_line
    namespace = make_namespace(around.locals)
    while True:
        try:
            line = read_line()
        except LineTooLong:
            around.log("a line was too long and was thrown away")
            continue
        if line is None:
            break
        source = line.decode("utf-8", "replace")
        try:
            session.begin_code(source)
            exec(source, namespace)  # noqa: S102 - what this handler is for
        except SystemExit:
            break
        except AuditFailed as error:
            around.log(f"not run: {error}")
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends the line, not the session
            around.log(f"{type(error).__name__}: {_text_of(error)} in the line {line[:80]!r}")
        finally:
            session.end_code()


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the exception is the user's, and so is what its text raises
        return "(its text cannot be had)"
