"""What all conversations with a client have in common: its code, who looks after it, and how that is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, TypeVar

from manhole import compat
from manhole._channel import Channel
from manhole._evaluator import Evaluator
from manhole._hello import Hello
from manhole._hub_list import find_hub_of
from manhole._interrupts import Interruption
from manhole._session import Session
from manhole._stdio import run_with
from manhole._surroundings import Surroundings
from manhole._tracebacks import is_ours
from manhole.compat import HubHandle

__all__ = ["Conversation"]

# After an interrupt: seconds until the hub of the session's own thread is woken, whose code may wait there, and until
# the client is told that its code goes on. Arbitrary; Python code stops within a tick of the attendant.
WAKE_SECONDS = 0.1
# Until it is raised from outside again, if the hub has not come round. Arbitrary.
RENEW_SECONDS = 0.2
# As the two above. Where nothing reaches code that computes, there is little to wait for.
TELL_SECONDS = 0.5
TELL_SOON_SECONDS = 0.2

_T = TypeVar("_T")


class Conversation:
    """One client's, on the thread that runs its code; the attendant calls tend() and copy() from its own.

    :param session: whose.
    :param channel: to the client.
    :param interruption: the channel's guard.
    :ivar is_attended: whether there is a thread beside this one; without, code cannot be interrupted, and the client
        gets no copy of the application's output.
    """

    def __init__(
        self,
        session: Session,
        channel: Channel,
        interruption: Interruption,
        around: Surroundings,
    ) -> None:
        self.session = session
        self.channel = channel
        self.around = around
        self.interruption = interruption
        self.is_attended = False
        self.evaluator = Evaluator(session.number, channel, self.read_input, around.locals, around.redirect_stderr)
        self._interrupts = 0  # asked for since the code began that runs
        self._asked_at = self._last_asked_at = 0.0  # the first time, and the last
        self._is_woken = self._is_told = self._is_left = self._is_lost = False
        self._code: object = None  # stands for the code that runs
        self.is_leaving = False  # whether the client wants no more than that its code ends

    def run(self) -> Hello | None:
        """Converse until one of both ends it.

        :returns: the hello that the client has sent late, instead of a first statement.
        :raises BadHello: if that is wrong.
        :raises OSError: if the client is gone.
        """
        raise NotImplementedError

    def read_input(self) -> bytes | None:
        """The next line for code that reads its stdin."""
        raise NotImplementedError

    def hear(self) -> None:
        """Do at once what must not wait for the code that is running; on the attendant's thread."""
        raise NotImplementedError

    def note(self, message: str) -> None:
        """Tell the client something that its code has not said."""
        raise NotImplementedError

    def copy(self, text: str, missed: int) -> bool:
        """See Attended."""
        raise NotImplementedError

    def send_on(self) -> bool:
        """See Attended."""
        return self.channel.writer.flush()

    def perform(self, code: str, function: Callable[[], _T]) -> _T:
        """*function*'s result, which runs *code* and shows what it gives or raises: that runs code of others, too.

        :raises AuditFailed: if it must not.
        :raises KeyboardInterrupt: if it is interrupted, and what else it raises.
        """
        with self._running(code):
            return self.interruption.run(partial(run_with, self.evaluator.streams, function))

    # --- for the commands that begin with %

    @property
    def dump_only(self) -> bool:
        """Whether no code is run."""
        return self.around.dump_only

    def write(self, text: str) -> None:
        """Show *text*."""
        self.channel.writer.put("stdout", text)

    def set_hub(self, hub: HubHandle | None) -> None:
        """Run code there from now on; None: on the session's thread."""
        self.evaluator.hub = hub

    def run_in_hub(self, source: str, hub: HubHandle) -> None:
        """Run one statement there, and show its value."""
        code = self.evaluator.compiler.statement(source, final=True)
        if code is not None:
            self.evaluator.evaluate(code, hub)

    def mirror(self, wanted: bool) -> None:
        """Begin or end copying the application's output."""
        self.around.attendant.mirror(self, wanted)

    def sessions(self) -> list[dict[str, Any]]:
        """What `Session.describe()` says of each."""
        return self.around.list_sessions()

    def more(self) -> str | None:
        """The next part of a value that was too long to be shown."""
        return self.evaluator.more()

    @contextmanager
    def _running(self, code: str) -> Iterator[None]:
        """While *code* runs."""
        self.session.begin_code(code)
        self._interrupts = 0
        self._is_woken = self._is_told = self._is_lost = False
        self._code = object()
        if compat.has_hub_here():
            compat.remember_root()  # or a dump takes the main greenlet of this thread for another thread's
        if self.is_attended:
            self.channel.writer.eager = False
            self.around.attendant.begin(self)
        try:
            yield
        finally:
            if self.is_attended:
                self.around.attendant.end(self)
                self.channel.writer.eager = True
            self._code = None
            self.session.end_code()

    def interrupt(self) -> bool:
        """Interrupt the code that runs; whether any does. From any thread; never waits."""
        if not self.interruption.request():
            return False
        self._last_asked_at = compat.monotonic()
        if not self._interrupts:
            self._asked_at = self._last_asked_at
        self._interrupts += 1
        return True

    def tend(self) -> bool:
        """See Attended."""
        try:
            self.channel.reader.look()
            try:
                self.channel.writer.flush()
            except OSError:
                self.channel.writer.is_gone = True
            self.hear()
            if self.channel.is_gone and not self._is_left:
                self._is_left = True
                self.interrupt()
            self.interruption.deliver()
            if self._interrupts:
                self._follow_up()
        except Exception as error:  # noqa: BLE001 - it would end the thread that looks after everybody
            self.around.log(f"session {self.session.number}: {type(error).__name__}: {error}")
        return not self.session.is_abandoned

    def _follow_up(self) -> None:
        """See what has become of an interrupt."""
        waited = compat.monotonic() - self._asked_at
        if waited > WAKE_SECONDS and not self._is_woken:
            self._is_woken = True
            self._throw_in_hub()
        if waited > RENEW_SECONDS and self._is_lost:
            self._is_lost = False
            self.interruption.request()
        can_raise = compat.can_raise_in_threads()
        if waited < (TELL_SECONDS if can_raise else TELL_SOON_SECONDS):
            return
        if not self._is_told:
            self._is_told = True
            self._interrupts = 1  # those that came before the client could know do not count
            where = _where(self.session.ident)
            why = (
                "perhaps in a call of C code that cannot be interrupted"
                if can_raise
                else "and in this Python it is interrupted only where it prints, reads its input or waits for a hub"
            )
            self.note(
                f"the code has not reacted to the interrupt yet: it is {where}, {why}; again, or end of input, leaves "
                "it to itself"
            )
        elif self._is_in_vain() or self.is_leaving or self.channel.reader.has_ended or self.channel.is_gone:
            self.session.is_abandoned = True
            self.channel.end()

    def _is_in_vain(self) -> bool:
        """Whether it was asked for again, and that has not helped: a finalizer may have got the first."""
        return self._interrupts > 1 and compat.monotonic() - self._last_asked_at > RENEW_SECONDS

    def _throw_in_hub(self) -> None:
        """Interrupt code that waits in a hub of the session's own thread: what is raised from outside waits with it."""
        code = self._code
        hub = find_hub_of(self.session.ident)
        if hub is None:
            return

        def throw() -> None:
            if self._code is code:
                self._is_lost = False
                hub.throw(compat.main_greenlet(), KeyboardInterrupt)  # which runs all that the session is asked to

        # The hub would be the first to get it, and complain.
        compat.forget_raised(self.session.ident)
        self._is_lost = True
        hub.call_soon(throw)


def _where(ident: int) -> str:
    """Where the thread is, but for our own code."""
    frame: FrameType | None = compat.current_frames().get(ident)
    while frame is not None and is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return "somewhere else"
    return f"at {frame.f_code.co_filename}:{frame.f_lineno} in {compat.code_name(frame.f_code)}"
