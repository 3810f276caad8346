"""The conversation in plain text: a dump, then a prompt; what `socat`, `nc` and a person at manhole-cli speak."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from manhole._channel import Channel
from manhole._commands import is_command, run_command
from manhole._conversation import Conversation
from manhole._dump import format_greeting
from manhole._errors import AuditFailed, ManholeError
from manhole._hello import Hello, parse_hello
from manhole._interrupts import Interruption
from manhole._reader import Interrupted, LineTooLong
from manhole._session import Session
from manhole._surroundings import Surroundings
from manhole._tracebacks import format_error

__all__ = ["TextConversation"]

PRIMARY, CONTINUATION = ">>> ", "... "


class TextConversation(Conversation):
    """Reads statements, runs them, and shows what they give or raise.

    :param hello: what the client has asked for.
    """

    def __init__(
        self, session: Session, channel: Channel, interruption: Interruption, around: Surroundings, hello: Hello
    ) -> None:
        super().__init__(session, channel, interruption, around)
        self._hello = hello
        self._is_first = hello == Hello()  # then the next line may be a hello that is late
        self._lines: list[str] = []  # of the statement that is being typed
        self._goes_on = True
        self.channel.reader.take_controls()

    def run(self) -> Hello | None:
        if self._hello.greeting:
            self.channel.writer.drain()  # an answer to a hello; else it goes with the prompt
            self._show(format_greeting())
        if self.around.dump_only:
            self._show("manhole: no code is run here; %dump, %sessions and %hubs show what there is, %help says more\n")
        while self._goes_on:
            if self._hello.prompt:
                self._show(CONTINUATION if self._lines else PRIMARY)
            self.channel.writer.drain()
            try:
                line = self.channel.reader.read_line()
            except LineTooLong:
                self._lines.clear()
                self._show("manhole: that line was too long and was thrown away\n")
                continue
            except Interrupted:
                self._lines.clear()
                self._show("\nKeyboardInterrupt\n")
                continue
            if self._is_first:
                self._is_first = False
                late = parse_hello(line or b"")
                if late is not None:
                    return late
            self._take(line)
        self.channel.writer.drain()
        return None

    def _take(self, line: bytes | None) -> None:
        """Take one more line, None for the end of input: then an open block is finished."""
        final = line is None
        text = "" if line is None else line.decode("utf-8", "replace")
        if not self._lines and is_command(text):
            self._run(text, partial(self._command, text))
        elif self.around.dump_only:
            if text.strip():
                self._show("manhole: no code is run here (mode='dump'); see %help\n")
        else:
            self._lines.append(text)
            self._take_statement(final)
        if final:
            self._goes_on = False

    def _take_statement(self, final: bool) -> None:
        source = "\n".join(self._lines)
        try:
            code = self.evaluator.compiler.statement(source, final)
        except Exception as error:  # noqa: BLE001 - whatever compile() has against it is the user's to see
            self._lines.clear()
            self._show_error(error)
            return
        if code is not None:
            self._lines.clear()
            if source.strip():
                self._run(source, partial(self.evaluator.evaluate, code, self.evaluator.hub))

    def _command(self, line: str) -> None:
        try:
            run_command(line, self)
        except ManholeError as error:
            self._show(f"manhole: {error}\n")

    def _run(self, source: str, function: Callable[[], None]) -> None:
        try:
            self.perform(source, partial(self._show_what_it_raises, function))
        except AuditFailed as error:
            self._show(f"manhole: not run: {error}\n")
        except (
            KeyboardInterrupt
        ):  # too late for the code itself; how an error came about that it hit is not shown again
            self._show("\nKeyboardInterrupt\n")

    def _show_what_it_raises(self, function: Callable[[], None]) -> None:
        try:
            function()
        except SystemExit:
            self._goes_on = False
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends the statement, not the session
            self._show_error(error)

    def _show_error(self, error: BaseException) -> None:
        self.channel.writer.put("stderr", format_error(error))

    def _show(self, text: str) -> None:
        self.channel.writer.put("stdout", text)

    # --- what the others want of it

    def read_input(self) -> bytes | None:
        return self.channel.reader.read_line_interruptibly()

    def hear(self) -> None:
        if self.channel.reader.take_interrupt() and not self.interrupt():
            self.channel.reader.interrupt_again()  # the code has just ended: the prompt shall see it

    def note(self, message: str) -> None:
        self.channel.writer.put("stderr", f"\n[manhole: {message}]\n", may_wait=False)

    def copy(self, text: str, missed: int) -> bool:
        note = f"\n[manhole: {missed} pieces of the application's output were not copied]\n" if missed else ""
        return self.channel.writer.offer("stdout", note + text)
