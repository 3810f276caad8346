"""connection_handler, thread, redirect_stderr, verbose_destination, and the copy of the application's output."""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Conversation, Patient, conversation, count_threads, wait_until_true

Do = Callable[[str], Any]


@pytest.fixture
def patient(commanded: Patient) -> Patient:
    return commanded


def test_exec_executes_line_by_line_and_sends_nothing(patient: Patient, do: Do, short_path: Path) -> None:
    log = short_path / "log"
    do(f"log = open({str(log)!r}, 'w')")
    do("manhole.install(connection_handler='exec', verbose_destination=log, locals=globals())")
    with patient.connect() as client:
        client.send("got = 6\nimport sys; sys.modules['__main__'].names['result'] = got * 7\n1 / 0\n\xff\nexit()\n")
        assert client.read_all() == ""
    assert do("answer = result") == 42
    assert "ZeroDivisionError: division by zero" in log.read_text()


def test_a_handler_of_ones_own_gets_the_unpatched_socket(patient: Patient, do: Do) -> None:
    do("exec('def handler(client):\\n f = client.makefile(\"rw\")\\n f.write(f.readline().upper())\\n f.flush()')")
    do("kinds = []")
    do("wrapped = lambda client: (kinds.append([c.__module__ for c in type(client).__mro__]), handler(client))")
    do("manhole.install(verbose=False, connection_handler=wrapped)")
    with patient.connect() as client:
        client.send("shout\n")
        assert client.read_all() == "SHOUT\n"
    assert not [name for name in do("answer = kinds[0]") if "gevent" in name or "green" in name]


def test_a_handlers_socket_has_no_timeout_of_the_applications(patient: Patient, do: Do) -> None:
    do("__import__('socket').setdefaulttimeout(0.01); timeouts = []")
    do("manhole.install(verbose=False, connection_handler=lambda client: timeouts.append(client.gettimeout()))")
    with patient.connect() as client:
        assert client.read_all() == ""
    assert do("answer = timeouts") == [None]


def test_a_handler_of_ones_own_may_go_on_to_the_repl(patient: Patient, do: Do) -> None:
    do("handler = lambda client: (client.sendall(b'hello\\n'), manhole.handle_connection_repl(client))")
    do("manhole.install(verbose=False, connection_handler=handler, locals={'mine': 6})")
    with patient.connect() as client:
        greeting = client.read_until()
        assert greeting.startswith("hello\n")
        assert client.ask("mine * 7") == "42\n"


def test_a_handler_that_fails_harms_nothing(patient: Patient, do: Do) -> None:
    do("manhole.install(verbose=False, connection_handler=lambda client: 1 / 0)")
    for _ in range(2):
        with patient.connect() as client:
            assert client.read_all() == ""
    assert do("answer = 1") == 1


def test_without_a_thread_nothing_runs_until_it_is_called(patient: Patient, do: Do) -> None:
    threads = count_threads(patient.pid)
    do("m = manhole.install(verbose=False, thread=False)")
    assert not os.path.exists(patient.default_path)
    assert count_threads(patient.pid) == threads
    do("m.reinstall()")
    with conversation(patient.default_path) as client:
        assert client.ask("6 * 7") == "42\n"
    do("m.reinstall(); m.uninstall()")
    assert not os.path.exists(patient.default_path)


def test_a_oneshot_called_by_hand(patient: Patient, do: Do) -> None:
    patient.say("m = manhole.install(verbose=False, thread=False); m.handle_oneshot(); answer = 'went on'")
    wait_until_true(lambda: os.path.exists(patient.default_path))
    client = _connect(patient)
    with client:
        client.read_until()
        client.send("exit()\n")
        client.read_all()
    assert patient.told() == "went on"


def _connect(patient: Patient) -> Conversation:
    found = []

    def connects() -> bool:
        try:
            found.append(patient.connect())
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    wait_until_true(connects)
    return found[0]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_applications_own_signals_reach_it_in_a_oneshot(patient: Patient, do: Do, signum: int) -> None:
    """sys.exit() in a handler of SIGTERM ends the process although a session waits for input."""
    do("import signal; signal.signal(signal.SIGTERM, lambda *a: sys.exit(7))")
    patient.say("m = manhole.install(verbose=False, thread=False); m.handle_oneshot()")
    wait_until_true(lambda: os.path.exists(patient.default_path))
    with _connect(patient) as client:
        client.read_until()
        patient.process.send_signal(signum)
        client.read_all()
    code, _, _ = patient.finish()
    assert code in (7, -signal.SIGINT)
    assert not os.path.exists(patient.default_path)


@pytest.fixture
def oneshot(patient: Patient, do: Do) -> Iterator[Conversation]:
    """A client at the prompt of a oneshot, in a process that prints, and then tells of it, at SIGUSR1."""
    do("import signal; from _tell import tell")
    do("signal.signal(signal.SIGUSR1, lambda *a: (print('from the handler'), tell('handled')))")
    patient.say("m = manhole.install(verbose=False, thread=False); m.handle_oneshot()")
    with _connect(patient) as client:
        client.read_until()
        yield client


def test_a_handler_may_print_while_a_oneshot_sends(patient: Patient, oneshot: Conversation) -> None:
    """It interrupts the very frame that sends to the client, and does not wait for it."""
    oneshot.send("print('x' * 10_000_000)\n")
    oneshot.socket.recv(1)
    patient.process.send_signal(signal.SIGUSR1)
    assert patient.told() == "handled"
    assert "from the handler\n" in oneshot.read_until()
    assert oneshot.ask("6 * 7") == "42\n"


def test_a_handler_prints_to_the_process_while_a_oneshot_waits(patient: Patient, oneshot: Conversation) -> None:
    patient.process.send_signal(signal.SIGUSR1)
    assert patient.told() == "handled"
    assert oneshot.ask("print('of the session')") == "of the session\n"
    oneshot.send("exit()\n")
    assert oneshot.read_all() == ""
    assert patient.told() is None
    patient.process.terminate()
    assert patient.finish()[1] == "from the handler\n"


def test_stderr_of_a_session_may_stay_the_processs(patient: Patient, do: Do) -> None:
    do("manhole.install(verbose=False, redirect_stderr=False)")
    with conversation(patient.default_path) as client:
        client.send("print('to the process', file=sys.stderr); 6 * 7\n")
        assert client.read_until().endswith("42\n")
        assert client.ask("1 / 0").endswith("ZeroDivisionError: division by zero\n")
        client.send("exit()\n")
        client.read_all()
    patient.process.terminate()
    assert patient.finish()[2] == "to the process\n"


def test_clients_get_a_copy_of_what_the_application_prints(patient: Patient, do: Do) -> None:
    do("manhole.install(verbose=False)")
    with conversation(patient.default_path) as one, conversation(patient.default_path) as other:
        do("print('to all'); print('and errors', file=sys.stderr)")
        for client in (one, other):
            client.read_until(b"and errors\n")
        assert one.ask("print('mine')") == "mine\n"
    patient.process.terminate()
    _, out, err = patient.finish()
    assert (out, err) == ("to all\n", "and errors\n")


def test_the_copy_is_bounded_and_what_is_dropped_is_said(patient: Patient, do: Do) -> None:
    """Half a gigabyte at a client that does not read: the application does not wait, nor does its memory grow."""
    do("manhole.install(verbose=False); null = open(os.devnull, 'w'); sys.stdout = null")
    with conversation(patient.default_path) as deaf:
        grown = do(
            "import resource; before = resource.getrusage(0).ru_maxrss; [print('x' * 10_000) for _ in range(50_000)]; "
            "answer = resource.getrusage(0).ru_maxrss - before"
        )
        # PyPy's collector lets garbage grow to a multiple of what is in use; five hundred went through.
        assert grown < (300_000 if sys.implementation.name == "pypy" else 100_000)  # KiB
        text = ""

        def told() -> bool:
            """The application prints once more; what has room by then comes with the count."""
            nonlocal text
            do("print('and then')")
            deaf.socket.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                while True:
                    text += deaf.socket.recv(1 << 20).decode()
            return "not copied]" in text and text.endswith("and then\n")

        wait_until_true(told)
        counts = re.findall(r"\n\[manhole: (\d+) pieces of the application's output were not copied\]\n", text)
        # each print() is two pieces, and nothing is lost without being counted
        assert sum(map(int, counts)) > 90_000
        assert len(text) < 20_000_000


def test_messages_to_an_object_that_blocks_for_ever(patient: Patient, do: Do) -> None:
    """Its lock is held by the main thread: neither install() nor a client waits for it."""
    do("import _thread; lock = __import__('manhole.compat').compat.allocate_lock(); lock.acquire()")
    do("sink = type('Sink', (), {'write': lambda self, text: lock.acquire()})()")
    do("m = manhole.install(verbose_destination=sink)")
    with conversation(patient.default_path) as client:
        assert client.ask("6 * 7") == "42\n"
    do("m.release()")
    assert not os.path.exists(patient.default_path)


def test_messages_that_nobody_reads_hold_nobody_up(patient: Patient, do: Do) -> None:
    """Its stderr is a full pipe: everything works, and what could not be said is counted as soon as it can be."""
    do("import posix, itertools; os.set_blocking(2, False)")
    assert do("[posix.write(2, b'x' * 4096) for _ in itertools.count()]")[0] == "BlockingIOError"
    do("os.set_blocking(2, True); m = manhole.install()")
    with conversation(patient.default_path) as client:
        assert client.ask("6 * 7") == "42\n"
        client.send("exit()\n")
        client.read_all()
    do("m.release(); m = manhole.install(thread=False, oneshot_timeout=0.1)")
    assert do("m.handle_oneshot(); answer = 'went on'") == "went on"
    assert patient.process.stderr is not None
    said = b""
    while said.count(b"x") < 65536:
        said += os.read(patient.process.stderr.fileno(), 65536)
    do("m.handle_oneshot(); m.handle_oneshot()")
    patient.process.terminate()
    first, second, *_ = patient.finish()[2].splitlines()
    assert re.search(r"\[lines dropped before this one: 3\] waiting ", first)
    assert "dropped" not in second


def test_messages_to_a_pipe_without_a_reader_kill_nobody(patient: Patient, do: Do) -> None:
    do("import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)")
    assert patient.process.stderr is not None
    patient.process.stderr.close()
    do("manhole.install()")
    with conversation(patient.default_path) as client:
        assert client.ask("6 * 7") == "42\n"
        assert client.ask("import signal; signal.sigpending(), signal.pthread_sigmask(signal.SIG_BLOCK, ())") == (
            "(set(), set())\n"
        )
    assert do("answer = [list(signal.sigpending()), list(signal.pthread_sigmask(signal.SIG_BLOCK, ()))]") == [[], []]
