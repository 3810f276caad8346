"""What `connection_handler="repl"` does: finds out how the client wants to talk, and talks with it that way."""

from __future__ import annotations

import json
import posix
from contextlib import ExitStack

from manhole._channel import Channel
from manhole._conversation import Conversation
from manhole._hello import HELLO_PREFIX, VERSION, BadHello, Hello, parse_hello
from manhole._interrupts import Interruption
from manhole._messages import MessageConversation
from manhole._reader import LineTooLong
from manhole._session import Session
from manhole._stdio import own_thread
from manhole._surroundings import Surroundings
from manhole._text import TextConversation
from manhole._writer import ANSWER

__all__ = ["serve_repl"]

# How long a client has to say hello before it is taken for a person's. A program sends it right after connect(); one
# that is late is understood all the same, it has only caused a dump that it does not read.
HELLO_SECONDS = 0.01


def serve_repl(session: Session, around: Surroundings, with_threads: bool = True) -> None:
    """Converse with the client until one of both ends it.

    :param with_threads: False where none is welcome, and the calling thread is the application's: then code cannot be
        interrupted, and the client gets no copy of the application's output.
    :raises OSError: if the client is gone.
    """
    interruption = Interruption()
    channel = Channel(session.socket, around.max_output, interruption)
    around.router.attach(channel)
    try:
        hello = _read_hello(channel)
        before = ""
        while True:
            answer = "" if hello is None else before + _format_answer(hello, session.number)
            late = _converse(session, channel, interruption, hello or Hello(), answer, around, with_threads)
            if late is None:
                break
            hello, before = late, "\n"  # behind a prompt
    except BadHello as error:
        channel.writer.put("stdout", f"\nmanhole: {error}\n")
        channel.writer.drain()
    finally:
        around.router.detach(channel)


def _converse(
    session: Session,
    channel: Channel,
    interruption: Interruption,
    hello: Hello,
    answer: str,
    around: Surroundings,
    with_threads: bool,
) -> Hello | None:
    """Converse as *hello* asks for; the hello with which the client has asked for something else.

    :param answer: to the hello. Whoever has it gets all that the application prints from then on.
    """
    session.mode = hello.mode
    talk: Conversation
    if hello.mode == "messages":
        talk = MessageConversation(session, channel, interruption, around)
    else:
        talk = TextConversation(session, channel, interruption, around, hello)
    with ExitStack() as undo:
        undo.callback(talk.evaluator.close)
        channel.writer.put_whole(ANSWER, answer)
        if with_threads:
            undo.enter_context(own_thread(talk.evaluator.streams))
            talk.is_attended = around.attendant.attach(talk)
            undo.callback(around.attendant.detach, talk)
            talk.mirror(hello.mirror)
        return talk.run()


def _read_hello(channel: Channel) -> Hello | None:
    """The client's hello, None if it does not begin with one.

    :raises BadHello: if it is wrong.
    """
    if not channel.reader.wait_first(HELLO_SECONDS).startswith(HELLO_PREFIX):
        return None
    try:
        line = channel.reader.read_line()
    except LineTooLong:
        raise BadHello("a hello is not that long") from None
    hello = parse_hello(line or b"")
    if hello is None:
        raise BadHello("that hello is no JSON object")
    return hello


def _format_answer(hello: Hello, session: int) -> str:
    """The line that confirms *hello*."""
    answer = {
        "manhole": VERSION,
        "pid": posix.getpid(),
        "session": session,
        "mode": hello.mode,
        "token": hello.token,
    }
    return json.dumps(answer) + "\n"
