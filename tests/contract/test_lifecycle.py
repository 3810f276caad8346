"""install() and release(): all or nothing, and nothing left behind; sessions, forks and exits likewise."""

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import RUNTIME, Patient, conversation, count_threads, gone, open_descriptors, wait_until_true

Do = Callable[[str], Any]


@pytest.fixture
def patient(commanded: Patient) -> Patient:
    return commanded


@pytest.fixture
def traces(patient: Patient) -> Callable[[], Any]:
    """All that a manhole could leave behind: threads, descriptors, what `threading` lists, what it has replaced."""

    def traces() -> Any:
        patient.say(
            "import threading; module = lambda name: sys.modules.get(name); answer = [threading.active_count(), "
            "repr(sys.stdout), repr(sys.displayhook), repr(__import__('signal').pthread_sigmask(0, [])), "
            "repr(threading.Thread.start), "
            "repr(module('eventlet.greenthread') and module('eventlet.greenthread').GreenThread.__init__)]"
        )
        return patient.told(), count_threads(patient.pid), open_descriptors(patient.pid)

    return traces


def test_release_leaves_no_trace(patient: Patient, do: Do, traces: Callable[[], Any], short_path: Path) -> None:
    before = traces()
    do(f"m = manhole.install(verbose=False, socket_path={str(short_path / 's')!r})")
    assert (short_path / "s").is_socket()
    with conversation(str(short_path / "s")) as client:
        client.ask("1")
        do("m.release()")
        assert client.read_all() == ""
    assert not (short_path / "s").exists()
    wait_until_true(lambda: traces() == before)  # a thread that has ended is still counted for a moment
    assert do("m.release()") is None
    assert do("manhole.release()")[0] == "NotInstalled"


def test_install_release_install(do: Do, short_path: Path) -> None:
    path = str(short_path / "s")
    for _ in range(3):
        assert do(f"answer = manhole.install(verbose=False, socket_path={path!r}).socket_path") == path
        with conversation(path) as client:
            assert client.ask("1") == "1\n"
        do("manhole.release()")


def test_what_is_released_does_not_listen_again(patient: Patient, do: Do) -> None:
    """By hand, or by a signal that came before: its thread gets to run afterwards."""
    do("m = manhole.install(verbose=False, activate_on='USR1'); m.release()")
    assert do("m.reinstall()")[0] == "NotInstalled"
    assert do("answer = m._activate()") is None
    assert not os.path.exists(patient.default_path)
    do("manhole.install(verbose=False)")
    with conversation(patient.default_path) as client:
        assert client.ask("6 * 7") == "42\n"


def test_a_second_install_is_an_error_that_says_where_the_first_is(patient: Patient, do: Do) -> None:
    do("m = manhole.install(verbose=False)")
    name, message = do("manhole.install()")
    assert name == "AlreadyInstalled"
    assert patient.default_path in message
    with conversation(patient.default_path) as client:
        assert client.ask("1") == "1\n"


def test_a_second_install_that_is_not_strict_replaces_the_first(patient: Patient, do: Do, short_path: Path) -> None:
    do("manhole.install(verbose=False)")
    do(f"manhole.install(verbose=False, strict=False, socket_path={str(short_path / 's')!r})")
    assert not os.path.exists(patient.default_path)
    with conversation(str(short_path / "s")) as client:
        assert client.ask("1") == "1\n"


def test_release_from_inside_a_session(patient: Patient, do: Do, traces: Callable[[], Any]) -> None:
    before = traces()
    do("manhole.install(verbose=False)")
    with conversation(patient.default_path) as client:
        client.send("sys.modules['manhole'].release()\n")
        client.read_all()
    wait_until_true(lambda: traces() == before)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ("no_such_option=1", "InvalidOption", "there is no such option"),
        ("verbose=1", "InvalidOption", "True or False"),
        ("strict='yes'", "InvalidOption", "True or False"),
        ("verbose_destination='stderr'", "InvalidOption", "file descriptor"),
        ("socket_path=5", "InvalidOption", "str or os.PathLike"),
        ("socket_path='/tmp/' + 'x' * 200", "InvalidOption", "bytes long"),
        ("socket_path='/no/such/folder/s'", "InvalidOption", "folder that exists"),
        ("socket_path='/proc/1/s'", "", "/proc/1/s"),
        ("start_timeout=0", "InvalidOption", "above 0"),
        ("start_timeout=float('inf')", "InvalidOption", "finite"),
        ("oneshot_timeout=1e300", "InvalidOption", "finite"),
        ("reinstall_delay=float('inf')", "InvalidOption", "finite"),
        ("reinstall_delay=float('nan')", "InvalidOption", "finite"),
        ("locals=[1]", "InvalidOption", "mapping"),
        ("locals={1: 2}", "InvalidOption", "str"),
    ],
)
def test_a_wrong_option_says_what_is_allowed_and_leaves_nothing(
    do: Do, traces: Callable[[], Any], options: str, error: str, says: str
) -> None:
    before = traces()
    name, message = do(f"manhole.install({options})")
    assert error in name
    assert says in message
    assert traces() == before
    assert do("manhole.install(verbose=False); manhole.release(); answer = 1") == 1


def test_a_file_in_the_way_is_kept(do: Do, short_path: Path) -> None:
    path = short_path / "s"
    path.write_text("precious")
    name, message = do(f"manhole.install(socket_path={str(path)!r})")
    assert name == "PathInUse"
    assert str(path) in message
    assert path.read_text() == "precious"


def test_a_link_in_the_way_is_kept_and_not_followed(do: Do, short_path: Path) -> None:
    (short_path / "s").symlink_to(short_path / "target")
    assert do(f"manhole.install(socket_path={str(short_path / 's')!r})")[0] == "PathInUse"
    assert (short_path / "s").is_symlink()
    assert not (short_path / "target").exists()


def test_a_living_listener_is_left_alone(do: Do, short_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(short_path / "s"))
        other.listen(1)
        name, message = do(f"manhole.install(socket_path={str(short_path / 's')!r})")
        assert (name, "a living process listens there" in message) == ("PathInUse", True)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(short_path / "s"))


def test_our_own_stale_socket_is_replaced(do: Do, short_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short_path / "s"))
    do(f"manhole.install(verbose=False, socket_path={str(short_path / 's')!r})")
    with conversation(str(short_path / "s")) as client:
        assert client.ask("1") == "1\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to make a file of another user")
def test_a_stale_socket_of_somebody_else_is_kept(do: Do, short_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short_path / "s"))
    os.chown(short_path / "s", 12345, 12345)
    name, message = do(f"manhole.install(socket_path={str(short_path / 's')!r})")
    assert (name, "uid 12345" in message) == ("PathInUse", True)
    assert (short_path / "s").is_socket()


def test_the_mode_does_not_depend_on_the_umask_and_leaves_it(do: Do, short_path: Path) -> None:
    for mask in (0o000, 0o777, 0o022):
        do(f"os.umask({mask}); manhole.install(verbose=False, socket_path={str(short_path / 's')!r})")
        assert (short_path / "s").stat().st_mode & 0o777 == 0o600
        assert do("answer = os.umask(0o022)") == mask
        do("manhole.release()")


def test_what_took_the_sockets_place_is_not_removed(do: Do, short_path: Path) -> None:
    path = short_path / "s"
    do(f"manhole.install(verbose=False, socket_path={str(path)!r})")
    path.unlink()
    path.write_text("precious")
    do("manhole.release()")
    assert path.read_text() == "precious"


def test_a_session_gives_everything_back(patient: Patient, do: Do, traces: Callable[[], Any]) -> None:
    """Also what code on its thread has made there: a hub with its descriptors, an entry in `threading`."""
    do("manhole.install(verbose=False)")
    with conversation(patient.default_path):
        pass  # what is made once and for all
    before = None

    def settled() -> bool:
        return count_threads(patient.pid) == 2

    for _ in range(3):
        with conversation(patient.default_path) as client:
            client.ask("import threading, time; time.sleep(0.01); threading.current_thread()")
            client.ask("import logging; logging.getLogger('x').debug('y')")
            client.send("exit()\n")
            client.read_all()
        wait_until_true(settled)
        before = before or traces()
        assert traces() == before


def test_messages_say_what_happens_one_line_each(do: Do, patient: Patient, short_path: Path) -> None:
    do(f"log = open({str(short_path / 'log')!r}, 'w'); manhole.install(verbose_destination=log.fileno())")
    with conversation(patient.default_path) as client:
        client.send("exit()\n")
        client.read_all()
    do("manhole.release()")
    lines = (short_path / "log").read_text().splitlines()
    assert all(line.startswith(f"manhole[{patient.pid}:") for line in lines)
    said = " ".join(lines)
    assert patient.default_path in said
    assert f"PID {os.getpid()}, UID {os.geteuid()}, GID {os.getegid()}" in said
    # On PyPy one more says that it does not follow forks.
    assert len([line for line in lines if "forks are not followed" not in line]) == 5


def test_messages_to_an_object_and_errors_in_it(do: Do, patient: Patient) -> None:
    do("lines = []; sink = type('Sink', (), {'write': lambda self, text: lines.append(text) or 1 / 0})()")
    do("manhole.install(verbose_destination=sink)")
    with conversation(patient.default_path) as client:
        assert client.ask("1") == "1\n"
    # A thread writes them.
    wait_until_true(lambda: do("answer = len(lines) > 1 and all(line[-1] == chr(10) for line in lines)") is True)


def test_a_forked_child_leaves_the_parents_manhole_alone(patient: Patient, do: Do) -> None:
    do("manhole.install(verbose=False)")
    with conversation(patient.default_path) as client:
        # gevent's os.waitpid() waits for its own handler of SIGCHLD, which may have been lost to this thread's wait.
        assert do("pid = os.fork() or sys.exit(); answer = __import__('posix').waitpid(pid, 0)[1]") == 0
        assert os.path.exists(patient.default_path)
        assert client.ask("1") == "1\n"


@pytest.mark.parametrize("how", ["os._exit(0)", "sys.exit()", "exec('raise SystemExit')"])
def test_a_child_holds_none_of_the_parents_sockets(patient: Patient, do: Do, short_path: Path, how: str) -> None:
    """The parent is killed while its child lives: the client and the path notice at once.

    And whatever the child's end is, it leaves the parent's file where it is.
    """
    fifo = short_path / "fifo"
    os.mkfifo(fifo)
    do("posix = __import__('posix'); manhole.install(verbose=False)")
    with conversation(patient.default_path) as client:
        # the child waits until the test has opened the other end
        child = do(f"pid = os.fork() or (posix.open({str(fifo)!r}, os.O_RDONLY), {how}); answer = pid")
        try:
            os.kill(patient.pid, signal.SIGKILL)
            assert client.read_all() == ""
            wait_until_true(lambda: refuses(patient.default_path))
            assert not gone(child)
            fifo.write_bytes(b"")
            wait_until_true(lambda: gone(child))
            assert refuses(patient.default_path)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"/tmp/manhole-{child}")


def refuses(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == errno.ECONNREFUSED


EXITS = {"falls_off_the_end": 0, "calls_sys_exit": 3, "raises": 1}


def check_exit(patient: Patient, how: str) -> None:
    code, out, err = patient.finish()
    assert not os.path.exists(patient.default_path)
    assert (code, out) == (EXITS[how], "")
    assert err == "" or (how == "raises" and err.endswith("RuntimeError: the application's own\n"))
    assert err.count("Traceback") == (how == "raises")


@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("how", EXITS)
def test_exit_is_clean(how: str, daemon: bool) -> None:
    options = ["wait=True", "verbose=False", f"daemon_connection={daemon}"]
    with Patient("exits.py", RUNTIME, how, *options, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "installed"
        patient.say("")
        check_exit(patient, how)


@pytest.mark.parametrize("how", EXITS)
def test_exit_does_not_wait_for_a_daemon_connection(how: str) -> None:
    options = ["wait=True", "verbose=False", "daemon_connection=True"]
    with Patient("exits.py", RUNTIME, how, *options, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "installed"
        with conversation(patient.default_path) as client:
            client.send("while True: pass\n\n")
            client.read_until(b"... ")
            patient.say("")
            check_exit(patient, how)


@pytest.mark.parametrize("how", EXITS)
def test_exit_waits_for_the_client_to_leave(how: str) -> None:
    with Patient("exits.py", RUNTIME, how, "wait=True", "verbose=False", flags=["-W", "ignore"]) as patient:
        assert patient.told() == "installed"
        with conversation(patient.default_path) as client:
            patient.say("")
            wait_until_true(lambda: not os.path.exists(patient.default_path))
            client.send("6 * 7\n")
            client.read_past(b"42\n")  # a copy of the application's traceback comes before or after
        check_exit(patient, how)


def test_exit_does_not_wait_for_code_whose_client_has_left() -> None:
    with Patient("exits.py", RUNTIME, "falls_off_the_end", "wait=True", "verbose=False", flags=["-W", "ignore"]) as p:
        assert p.told() == "installed"
        with conversation(p.default_path) as client:
            client.send("while True: pass\n\n")
            client.read_until(b"... ")
            p.say("")
            wait_until_true(lambda: not os.path.exists(p.default_path))
        check_exit(p, "falls_off_the_end")


def test_a_thread_that_does_not_start_is_an_error_that_leaves_nothing(
    do: Do, traces: Callable[[], Any], patient: Patient
) -> None:
    do("import manhole._listener as listener; real = listener.Listener._run")
    before = traces()
    do("gate = __import__('manhole.compat').compat.allocate_lock(); gate.acquire()")
    do("listener.Listener._run = lambda self: (gate.acquire(), gate.release(), self._ended.release())")
    name, message = do("manhole.install(verbose=False, start_timeout=0.01)")
    assert (name, "0.01 seconds" in message) == ("StartFailed", True)
    assert not os.path.exists(patient.default_path)
    do("gate.release(); listener.Listener._run = real")
    wait_until_true(lambda: count_threads(patient.pid) == before[1])
    do("manhole.install(verbose=False)")
    with conversation(patient.default_path) as client:
        assert client.ask("6 * 7") == "42\n"


@pytest.mark.parametrize("option", ["thread=True", "activate_on='USR1'"])
def test_a_lack_of_descriptors_is_an_error_that_leaves_nothing(
    do: Do, traces: Callable[[], Any], patient: Patient, option: str
) -> None:
    do("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); null = os.open('/dev/null', 0)")
    before = traces()
    answers = []
    for free in range(5):
        # Imported by now, or it would be what fails.
        do(f"full = [os.dup(null) for _ in range({40 - len(before[2]) - free})]")
        answers.append(do(f"manhole.install(verbose=False, {option})"))
        do("manhole.release()")
        do("[os.close(fd) for fd in full]")
        wait_until_true(lambda: traces() == before)
        assert not os.path.exists(patient.default_path)
    assert answers[0][0] == "StartFailed"
    assert "Too many open files" in answers[0][1]
    assert {answer and answer[0] for answer in answers} <= {"StartFailed", None}


@pytest.mark.parametrize("options", [[], ["activate_on='USR1'"], ["oneshot_on='USR1'"]])
def test_an_install_that_is_interrupted_anywhere_leaves_nothing(options: list[str]) -> None:
    """As by a signal handler that raises: at each call that install() makes."""
    with Patient("interrupts.py", RUNTIME, *options, flags=["-W", "ignore"]) as patient:
        assert patient.told() == []
        assert patient.told() > 50
        with conversation(patient.default_path) as client:
            assert client.ask("6 * 7") == "42\n"
