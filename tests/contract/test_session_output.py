"""The output of what a session starts is the session's, as long as that lasts."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from harness import RUNTIME, Patient, wait_until_true
from speaking import Messages, messages, quiet

Do = Callable[[str], Any]


@pytest.fixture
def installed(commanded: Patient, do: Do) -> Patient:
    do("manhole.install(verbose=False); import posix; pipe = posix.pipe()")
    return commanded


APPLICATION = "names = sys.modules['__main__'].names"


def test_threads_that_a_session_starts(installed: Patient) -> None:
    with quiet(installed.default_path) as client, quiet(installed.default_path) as other:
        client.ask("import threading; t = threading.Thread(target=print, args=['of the thread']); t.start()")
        client.ask("t.join()")
        client.ask("from concurrent.futures import ThreadPoolExecutor; pool = ThreadPoolExecutor(2)")
        client.send("list(pool.map(print, ['of the pool'] * 3))\n")
        assert client.read_until() == "of the pool\n" * 3 + "[None, None, None]\n"
        assert other.ask("1") == "1\n"
    installed.process.terminate()
    assert installed.finish()[1] == ""


def test_the_thread_s_first_words(installed: Patient) -> None:
    with quiet(installed.default_path) as client:
        client.ask("import threading; t = threading.Thread(target=print, args=['of the thread'])")
        client.send("t.start(); t.join()\n")
        assert client.read_until() == "of the thread\n"


@pytest.mark.skipif(RUNTIME == "threads", reason="plain threads have no greenlets")
def test_greenlets_that_a_session_starts(installed: Patient) -> None:
    spawn = {
        "gevent": "import gevent; gevent.spawn(print, 'of the greenlet').join()",
        "eventlet": "import eventlet; eventlet.spawn(print, 'of the greenlet').wait()",
    }[RUNTIME]
    deep = {
        "gevent": "gevent.spawn(lambda: gevent.spawn(print, 'deeper').join()).join()",
        "eventlet": "eventlet.spawn(lambda: eventlet.spawn(print, 'deeper').wait()).wait()",
    }[RUNTIME]
    with quiet(installed.default_path) as client, quiet(installed.default_path) as other:
        assert client.ask(spawn) == "of the greenlet\n"
        assert client.ask(deep) == "deeper\n"
        assert other.ask("1") == "1\n"
    installed.process.terminate()
    assert installed.finish()[1] == ""


@pytest.mark.skipif(
    RUNTIME != "threads", reason="a patched thread is a greenlet of the session's own thread and ends with that"
)
def test_a_thread_that_outlives_its_session_goes_on_and_prints_as_the_application_does(
    installed: Patient, do: Do
) -> None:
    with quiet(installed.default_path) as client:
        client.ask(APPLICATION, "import threading, posix; pipe = names['pipe']; word = 'afterwards'")
        client.ask("def go_on():", "  print('during'); posix.read(pipe[0], 1); print(word, flush=True)", "")
        client.ask("t = names['t'] = threading.Thread(target=go_on)")
        client.send("t.start()\n")
        client.read_past(b"during\n")
        client.send("exit()\n")
        client.read_all()
    # Its session has ended, which a moment later is true for its streams.
    wait_until_true(lambda: do("answer = len(manhole.compat.own_threads)") == 1)
    do("posix.write(pipe[1], b'x'); t.join()")
    installed.process.terminate()
    assert installed.finish()[1] == "afterwards\n"


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="since 3.14 it is Thread's own attribute")
def test_a_thread_keeps_what_it_calls_its_context(installed: Patient) -> None:
    with quiet(installed.default_path) as client:
        client.ask("import threading")
        code = "class Mine(threading.Thread):", "  _context = None", "  def run(self): print('mine', self._context)", ""
        client.ask(*code)
        assert client.ask("mine = Mine(); mine.start(); mine.join()") == "mine None\n"


def test_a_function_that_a_session_has_left_in_the_application_still_works(installed: Patient, do: Do) -> None:
    with quiet(installed.default_path) as client:
        client.ask(APPLICATION, "import json", "def dumps(x): return json.dumps(x)", "", "names['dumps'] = dumps")
        client.send("exit()\n")
        client.read_all()
    wait_until_true(lambda: do("answer = len(manhole.compat.own_threads)") == 1)
    assert do("answer = dumps([1])") == "[1]"


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy frees nothing but by collecting")
def test_nothing_of_a_session_is_kept(installed: Patient, do: Do) -> None:
    """The namespace, and with it what its names hold, also if nothing collects rings."""
    do("import gc, weakref; Thing = type('Thing', (), {}); gc.disable()")
    with quiet(installed.default_path) as client:
        client.ask(APPLICATION, "weakref = names['weakref']; thing = names['Thing']()")
        client.ask("names['first'] = weakref.ref(thing)", "thing")
        client.ask("1/0 + thing", "_.x = names['Thing'](); names['second'] = weakref.ref(_.x); 1")
        client.send("exit()\n")
        client.read_all()
    with messages(installed.default_path) as program:
        program.eval(APPLICATION + "; thing = names['Thing'](); names['third'] = names['weakref'].ref(thing)\nthing")
        program.eval("1/0 + thing")
    wait_until_true(lambda: do("answer = [r() is None for r in (first, second, third)]") == [True] * 3)


def read_copy(program: Messages, length: int) -> str:
    """That much of the application's output, in however many pieces it comes, and nothing else."""
    text = ""
    while len(text) < length:
        message = program.read()
        assert (message["type"], message["id"], message["missed"]) == ("mirror", None, 0)
        text += message["text"]
    return text


def test_the_application_s_output_is_copied_to_who_wants_it(installed: Patient, do: Do) -> None:
    with (
        quiet(installed.default_path, mirror=True) as wants,
        quiet(installed.default_path) as wants_none,
        messages(installed.default_path, mirror=True) as program,
        messages(installed.default_path) as silent,
    ):
        do("print('of the application')")
        wants.read_past(b"of the application\n")
        assert read_copy(program, 19) == "of the application\n"
        assert program.ask("mirror", on=False) == {"id": 1, "type": "done", "on": False}
        assert silent.ask("mirror", on=True) == {"id": 1, "type": "done", "on": True}
        do("print('more')")
        assert read_copy(silent, 5) == "more\n"
        assert program.eval("1")["value"] == "1"
        assert wants_none.ask("1") == "1\n"
    installed.process.terminate()
    assert installed.finish()[1] == "of the application\nmore\n"


def test_a_burst_of_output_is_copied_whole_to_a_client_that_reads(commanded: Patient, do: Do) -> None:
    """Also if nothing happens afterwards that would have the rest sent."""
    do("sys.stdout = open(os.devnull, 'w'); manhole.install(verbose=False)")
    for write in ("sys.stdout.writelines(['x' * 1000] * 400)", "sys.stdout.write('x' * 16000 * 25)"):
        with (
            messages(commanded.default_path, mirror=True) as program,
            quiet(commanded.default_path, mirror=True) as text,
        ):
            do(write)
            assert read_copy(program, 400_000) == "x" * 400_000
            text.read_past(b"x" * 400_000)


def test_what_a_client_that_does_not_read_misses_of_the_copies_is_counted(commanded: Patient, do: Do) -> None:
    do("sys.stdout = open(os.devnull, 'w'); manhole.install(verbose=False, max_output=65536)")
    with messages(commanded.default_path, mirror=True) as program:
        program.ask("mirror", on=True)
        do("for number in range(10_000): sys.stdout.write(f'{number:>1000}')")
        copied = missed = 0
        while copied + missed < 10_000_000:
            message = program.read()
            copied += len(message["text"])
            missed += 1000 * message["missed"]
        assert copied + missed == 10_000_000
        assert missed > 0
        assert program.eval("1")["value"] == "1"


@pytest.mark.parametrize("handler", ["repl", "exec"])
def test_a_function_that_a_session_has_left_in_the_application_still_works_for_every_handler(
    commanded: Patient, do: Do, handler: str
) -> None:
    do(f"left = []; manhole.install(verbose=False, connection_handler={handler!r}, locals=dict(left=left))")
    with commanded.connect() as client:
        client.send("import os; left.append(lambda: os.sep)\nexit()\n")
        client.read_all()
    assert do("answer = left[0]()") == "/"


def test_a_value_that_is_too_long_is_cut_and_the_rest_is_shown_on_demand(installed: Patient) -> None:
    with quiet(installed.default_path) as client:
        shown = client.ask("'a' * 25_000 + 'z' * 20_000")
        assert len(shown) < 21_000
        assert "25002 more characters: %more" in shown
        more = client.ask("%more")
        assert more.startswith("a")
        assert "5002 more characters" in more
        assert client.ask("%more") == "z" * 5001 + "'\n"
        assert client.ask("%more") == "There is nothing more to show\n"
        assert client.ask("len(_)") == "45000\n"
