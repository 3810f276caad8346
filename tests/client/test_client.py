"""The client as a Python object, against a fake of the protocol and against a real process."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_protocol import FakeProtocol
from harness import RUNTIME, Patient
from scripted_server import ScriptedServer

from manhole import _hello
from manhole.client import (
    AnswerTimeout,
    Client,
    ConnectionLost,
    ExitStatus,
    Failure,
    ProtocolError,
    RemoteException,
    RemoteExit,
    connect,
)

DEADLINE = 30.0

speaks_messages = pytest.mark.skipif(_hello.VERSION == 0, reason="the process does not speak messages")


@pytest.fixture(params=["fake", pytest.param("real", marks=speaks_messages)])
def path(request: pytest.FixtureRequest, folder: Path) -> Iterator[Path]:
    """The socket of a process that speaks the protocol."""
    if request.param == "fake":
        with FakeProtocol(folder / "s") as fake:
            yield fake.path
        return
    with Patient("commands.py", RUNTIME) as patient:
        assert patient.told() == "ready"
        patient.say(f"manhole.install(socket_path={str(folder / 's')!r}); answer = 1")
        assert patient.told() == 1
        yield folder / "s"


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    with connect(path, timeout=DEADLINE) as client:
        yield client


@pytest.fixture
def fake(folder: Path) -> Iterator[FakeProtocol]:
    with FakeProtocol(folder / "s") as fake:
        yield fake


@pytest.fixture
def scripted(folder: Path) -> Iterator[ScriptedServer]:
    with ScriptedServer(folder / "s") as server:
        yield server


class Background:
    """A call in a thread of its own; *what it raised* is the result of join()."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:
            self._error = error

    def join(self) -> BaseException | None:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        return self._error


def begin(client: Client, code: str, **options: object) -> Background:
    """Run code in a thread; it has begun there and has printed "begun" when this returns."""
    begun = threading.Event()
    call = Background(lambda: client.eval(f"print('begun')\n{code}", on_output=lambda *_: begun.set(), **options))
    assert begun.wait(DEADLINE)
    return call


def test_a_value_comes_as_text_with_its_type(client):
    result = client.eval("1 + 1")
    assert (result.value, result.value_type, result.cut) == ("2", "int", 0)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize("code", ["None", "x = 1", ""])
def test_without_a_value_there_is_none(client, code):
    result = client.eval(code)
    assert (result.value, result.value_type) == (None, None)


def test_names_stay_for_the_next_code(client):
    client.eval("def twice(x):\n    return 2 * x")
    assert client.eval("twice('ä☃')").value == repr("ä☃" * 2)


def test_output_comes_with_the_result(client):
    result = client.eval("import sys\nprint('one')\nprint('two', file=sys.stderr)\n3")
    assert (result.stdout, result.stderr, result.value) == ("one\n", "two\n", "3")


def test_output_comes_as_it_is_printed(client):
    """The code goes on when it has got an answer to what it has printed."""
    heard: list[tuple[str, str]] = []
    answered: list[str] = []

    def on_input() -> str:
        answered.append("".join(text for _, text in heard))
        return "go on"

    result = client.eval(
        "print('one')\nx = input('more? ')\nprint(x)", on_output=lambda *o: heard.append(o), on_input=on_input
    )
    assert answered == ["one\nmore? "]
    assert "".join(text for _, text in heard) == "one\nmore? go on\n"
    assert {stream for stream, _ in heard} == {"stdout"}
    assert result.stdout == ""


def test_without_on_input_there_is_no_input(client):
    with pytest.raises(RemoteException) as caught:
        client.eval("input()")
    assert caught.value.type == "EOFError"


def test_the_end_of_the_input(client, monkeypatch):
    """So that the function `input` can be given."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n"))
    assert client.eval("input()", on_input=input).value == "'one'"
    with pytest.raises(RemoteException, match="EOFError"):
        client.eval("input()", on_input=input)


def test_an_exception_comes_as_data(client):
    with pytest.raises(RemoteException) as caught:
        client.eval("print('before')\ndef f():\n    raise ValueError('bad')\nf()")
    error = caught.value
    assert (error.type, error.module, error.message) == ("ValueError", "builtins", "bad")
    assert [(frame.line, frame.function) for frame in error.frames] == [(4, "<module>"), (3, "f")]
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert error.traceback.endswith("ValueError: bad\n")
    assert error.stdout == "before\n"
    assert str(error) == "ValueError: bad"


def test_a_syntax_error_is_an_exception(client):
    with pytest.raises(RemoteException, match="SyntaxError"):
        client.eval("1 +")


def test_exit_ends_the_session(client):
    with pytest.raises(RemoteExit) as caught:
        client.eval("print('bye')\nraise SystemExit")
    assert caught.value.stdout == "bye\n"
    with pytest.raises(ConnectionLost):
        client.eval("1")


def test_completion(client):
    client.eval("elephant = eleven = 1")
    completion = client.complete("1 + ele")
    assert completion.start == 4
    assert {"elephant", "eleven"} <= set(completion.matches)
    assert list(completion.matches) == sorted(completion.matches)


def test_description(client):
    description = client.describe()
    assert description.protocol == 1
    assert description.mode == "repl"
    assert (description.session, description.process.pid) == (client.session, client.pid)
    assert {"eval", "interrupt", "snapshot", "close"} <= set(description.ops)
    assert description.limits.message_bytes == 1048576


def test_sessions(client):
    (own,) = [session for session in client.sessions() if session.session == client.session]
    assert (own.uid, own.mode) == (os.geteuid(), "messages")


def test_snapshot(client):
    snapshot = client.snapshot()
    assert snapshot["manhole_snapshot"] == 1
    assert snapshot["process"]["pid"] == client.pid
    assert snapshot["threads"]


def test_snapshot_takes_filters(client):
    snapshot = client.snapshot(match="no_such_function", samples=1, finished=False)
    assert snapshot["threads"] == []


def test_interrupt_from_another_thread(client):
    call = begin(client, "while True: pass")
    assert client.interrupt() is True
    error = call.join()
    assert isinstance(error, RemoteException)
    assert error.type == "KeyboardInterrupt"
    assert client.eval("1 + 1").value == "2"


def test_interrupt_where_nothing_runs(client):
    assert client.interrupt() is False


def test_interrupt_from_the_callback_that_hears_the_output(client):
    """The thread that reads asks something itself."""
    with pytest.raises(RemoteException, match="KeyboardInterrupt"):
        client.eval("print('begun')\nwhile True: pass", on_output=lambda *_: client.interrupt())


def test_two_threads_get_their_own_answers(client):
    """While code runs; the one that waits longer reads for both."""
    call = begin(client, "input('more? ')", on_input=lambda: "x")
    answers = [Background(lambda: client.complete("pri")) for _ in range(3)]
    assert call.join() is None
    assert [answer.join() for answer in answers] == [None] * 3


def test_code_that_takes_too_long(client):
    """It goes on, what it sends is dropped, and the next code is served when it has ended."""
    with pytest.raises(AnswerTimeout) as caught:
        client.eval("print('begun')\nwhile True: pass", wait=0.2)
    assert (caught.value.op, caught.value.seconds) == ("eval", 0.2)
    assert client.interrupt() is True
    assert client.eval("2").value == "2"


def test_an_operation_behind_running_code_has_the_timeout(path):
    with connect(path, timeout=2) as client:  # which the interrupt has too, on a loaded machine
        call = begin(client, "while True: pass")
        with pytest.raises(AnswerTimeout, match="complete"):
            client.complete("x")
        client.interrupt()
        assert isinstance(call.join(), RemoteException)


def test_an_exception_of_a_callback_comes_out_and_the_client_goes_on(client):
    with pytest.raises(ZeroDivisionError):
        client.eval("print('x')", on_output=lambda *_: 1 / 0)
    assert client.eval("2").value == "2"


def test_closing_while_code_runs_interrupts_it(path):
    with connect(path) as client:
        call = begin(client, "while True: pass")
    assert isinstance(call.join(), (ConnectionLost, RemoteException))
    client.close()
    with pytest.raises(ConnectionLost):
        client.describe()
    with connect(path, timeout=DEADLINE) as client:
        assert client.eval("1").value == "1"


def test_a_closed_client_has_given_its_descriptor_back(path):
    before = os.listdir("/proc/self/fd")
    with connect(path) as client:
        client.eval("1")
    assert os.listdir("/proc/self/fd") == before


def test_a_message_that_is_too_large_is_not_sent(client):
    with pytest.raises(ProtocolError) as caught:
        client.eval("#" * 1048576)
    assert caught.value.code == "too-large"
    assert client.eval("1").value == "1"


def test_an_error_of_the_process(client):
    with pytest.raises(ProtocolError) as caught:
        client.complete(["no text"])  # type: ignore[arg-type]
    assert caught.value.code in ("bad-field", "failed")
    assert client.eval("1").value == "1"


def test_mirror_without_anybody_to_hear(client):
    with pytest.raises(ValueError, match="mirror"):
        client.mirror(True)


@pytest.mark.parametrize("press", ["a signal", "an exception"])
def test_ctrl_c_interrupts_the_code_and_waits_for_its_end(client, press):
    """Also with a handler of one's own that raises."""
    heard: list[str] = []

    def on_output(stream: str, text: str) -> None:
        heard.append(text)
        if "begun" in text:
            os.kill(os.getpid(), signal.SIGINT)

    def own(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    code = "try:\n    print('begun')\n    while True: pass\nfinally:\n    print('ended')"
    before = signal.signal(signal.SIGINT, own if press == "an exception" else signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            client.eval(code, on_output=on_output)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "ended" in "".join(heard)
    assert client.eval("1").value == "1"


def test_ctrl_c_while_waiting(client):
    """The usual place: nothing comes, and the main thread waits for the connection."""
    press = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    press.start()
    with pytest.raises(KeyboardInterrupt):
        client.eval("while True: pass")
    press.join()
    assert client.eval("1").value == "1"


def test_python_s_own_handler_is_back_afterwards(client):
    client.eval("1")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_is_raised_at_once_and_a_note_tells_why_the_first_did_nothing(fake):
    notes: list[str] = []

    def on_note(message: str) -> None:
        notes.append(message)
        os.kill(os.getpid(), signal.SIGINT)

    with connect(fake.path) as client:
        with pytest.raises(KeyboardInterrupt):
            client.eval(
                "stubborn()",
                on_output=lambda *_: os.kill(os.getpid(), signal.SIGINT),
                on_note=on_note,
            )
        assert notes == ["the interrupt has not got through yet"]


def test_ctrl_c_in_a_flood_of_output_loses_nothing(client):
    """Pressed at any moment; every message is counted, so that a lost one would be found."""
    code = "import itertools\nfor n in itertools.count(): print(n)"
    for _ in range(20):
        press = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
        press.start()
        with pytest.raises(KeyboardInterrupt):
            client.eval(code, on_output=lambda *_: None)
        press.join()
    assert client.eval("1").value == "1"


def test_the_mirror_hears_the_application(fake):
    heard: list[tuple[str, int]] = []
    with connect(fake.path, mirror=lambda *copy: heard.append(copy)) as client:
        client.eval("application('one')")
        assert client.mirror(False) is False
        client.eval("application('two')")
        assert client.mirror(True) is True
        client.eval("application('three')")
    assert heard == [("one", 0), ("three", 0)]


def test_without_a_mirror_none_is_asked_for(fake):
    with connect(fake.path) as client:
        client.eval("application('one')\nNone")


def test_by_process_id_as_a_number_and_as_digits(folder):
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        for target in (victim.pid, str(victim.pid)):
            with pytest.raises(Failure) as caught:
                connect(target)
            assert caught.value.status == ExitStatus.NO_MANHOLE
    finally:
        victim.communicate(b"\n")


def test_a_process_that_ends_is_a_lost_connection(fake):
    with connect(fake.path) as client:
        call = begin(client, "while True: pass")
        fake.process.kill()
        assert isinstance(call.join(), ConnectionLost)


def test_a_process_that_does_not_answer(folder):
    """It is stopped: the kernel still connects."""
    with FakeProtocol(folder / "s") as fake:
        fake.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(Failure) as caught:
            connect(fake.path, timeout=0.3)
        assert caught.value.status == ExitStatus.NO_ANSWER
        assert time.monotonic() - began < 5
        fake.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    "answer", [{"manhole": 2}, {"manhole": True}, {"pid": "1"}, {"session": None}, {"mode": "text"}, {"mode": 1}]
)
def test_an_answer_to_hello_that_is_none(scripted, answer):
    scripted.answer = answer
    with pytest.raises(ProtocolError):
        connect(scripted.path)


DONE = {"id": 1, "seq": 0, "type": "done", "status": "ok", "value": "2", "value_type": "int", "cut": 0}


def test_a_flood_without_a_line_end_before_the_answer_to_hello(folder, start_fake):
    with pytest.raises(Failure) as caught:
        connect(start_fake("flood_greeting").path, timeout=1)
    assert caught.value.status == ExitStatus.NO_ANSWER


def test_unknown_members_and_types_are_ignored(scripted):
    messages = [{"id": 1, "seq": 0, "type": "news", "x": 1}, {**DONE, "seq": 1, "more": [1]}]
    scripted.pieces = [json.dumps(message).encode() + b"\n" for message in messages]
    with connect(scripted.path) as client:
        assert client.eval("1+1").value == "2"


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b"9" * 5000,
        json.dumps({**DONE, "id": 7}).encode(),
        json.dumps({**DONE, "id": None}).encode(),
        json.dumps({**DONE, "id": True}).encode(),
        json.dumps({**DONE, "id": []}).encode(),
        json.dumps({**DONE, "seq": 1}).encode(),
        json.dumps({**DONE, "type": None}).encode(),
        json.dumps({**DONE, "cut": "0"}).encode(),
        json.dumps({**DONE, "status": "exception"}).encode(),
        b"x" * 1048577,
        json.dumps({"id": None, "seq": 0, "type": "error", "code": "bad-message", "message": "what?"}).encode(),
    ],
)
def test_what_is_no_answer_is_an_error_and_no_hang(scripted, line):
    scripted.pieces = [line + b"\n"]
    with connect(scripted.path) as client, pytest.raises(ProtocolError) as caught:
        client.eval("1+1")
    assert caught.value.code in ("bad-message", "too-large")


def test_a_line_that_never_ends(scripted):
    scripted.pieces = [b"x" * 65536] * 1000
    with connect(scripted.path) as client, pytest.raises(ProtocolError, match="1048576"):
        client.eval("1+1")
