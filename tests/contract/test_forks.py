"""Forks: a child has a manhole of its own, the parent keeps its own, and nothing crosses over."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import DEADLINE, RUNTIME, Patient, conversation, count_threads, gone, wait_until_true

Do = Callable[[str], Any]

FOLLOWS = pytest.mark.skipif(sys.implementation.name == "pypy", reason="forks are not followed on PyPy")

FORKS = ["os.fork", "__import__('posix').fork", "os.forkpty"] + (
    ["__import__('gevent.os').os.fork"] if RUNTIME == "gevent" else []
)


@pytest.fixture
def patient(commanded: Patient) -> Patient:
    return commanded


@pytest.fixture
def fork(do: Do) -> Iterator[Callable[..., int]]:
    children = []

    def fork(how: str = "os.fork", end: str = "os._exit(0)") -> int:
        do("posix = __import__('posix'); r, w = os.pipe(); ready, is_ready = os.pipe()")
        # The child says that it is there, waits on a pipe until the test closes it or goes, and ends in the way that
        # its test is about.
        pid = do(
            f"child = {how}(); pid = child[0] if isinstance(child, tuple) else child; answer = posix.read(ready, 1) "
            f"and pid if pid else (posix.write(is_ready, b'x'), os.close(w), posix.read(r, 1), {end})"
        )
        children.append(pid)
        return int(pid)

    yield fork
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        try:
            os.unlink(f"/tmp/manhole-{pid}")
        except FileNotFoundError:
            pass


def accepts(path: str) -> bool:
    try:
        with conversation(path) as client:
            return client.ask("6 * 7") == "42\n"
    except (FileNotFoundError, ConnectionRefusedError):
        return False


def wait_for(path: str) -> None:
    wait_until_true(lambda: accepts(path))


@FOLLOWS
@pytest.mark.parametrize("how", FORKS)
def test_a_child_has_its_own_and_the_parent_keeps_its_own(
    patient: Patient, do: Do, fork: Callable[..., int], how: str
) -> None:
    do("m = manhole.install(verbose=False, reinstall_delay=0, locals={'mine': 1})")
    with conversation(patient.default_path) as before:
        child = fork(how)
        wait_for(f"/tmp/manhole-{child}")
        with conversation(f"/tmp/manhole-{child}") as client:
            assert client.ask("os.getpid(), mine") == f"({child}, 1)\n"
        assert before.ask("os.getpid(), mine") == f"({patient.pid}, 1)\n"
    wait_for(patient.default_path)


@FOLLOWS
@pytest.mark.parametrize(
    "end", ["os._exit(0)", "sys.exit(0)", "os.kill(os.getpid(), 9)", "os.execv('/bin/true', ['true'])"]
)
def test_the_parents_socket_survives_any_end_of_a_child(
    patient: Patient, do: Do, fork: Callable[..., int], end: str
) -> None:
    do("m = manhole.install(verbose=False, reinstall_delay=0)")
    child = fork("os.fork", end)
    wait_for(f"/tmp/manhole-{child}")
    do("os.write(w, b'x'); os.close(w)")
    wait_until_true(lambda: gone(child))
    wait_for(patient.default_path)


@FOLLOWS
def test_a_child_removes_its_socket_at_its_exit(do: Do, fork: Callable[..., int]) -> None:
    do("m = manhole.install(verbose=False, reinstall_delay=0)")
    child = fork("os.fork", "sys.exit(0)")
    wait_for(f"/tmp/manhole-{child}")
    do("os.write(w, b'x'); os.close(w)")
    wait_until_true(lambda: not os.path.exists(f"/tmp/manhole-{child}"))


@FOLLOWS
def test_a_grandchild_has_one_too(do: Do, fork: Callable[..., int]) -> None:
    do("m = manhole.install(verbose=False, reinstall_delay=0)")
    do("r2, w2 = os.pipe()")
    child = fork(
        "os.fork",
        "(g := os.fork()) and os.write(w2, str(g).encode()) or os.getpid() and __import__('posix').read(r, 1)",
    )
    do("os.write(w, b'x')")
    grandchild = int(do("answer = os.read(r2, 20).decode()"))
    try:
        wait_for(f"/tmp/manhole-{grandchild}")
    finally:
        os.kill(grandchild, signal.SIGKILL)
        os.unlink(f"/tmp/manhole-{grandchild}")
    assert child != grandchild


@pytest.mark.parametrize(
    "options",
    ["patch_fork=False", "activate_on='USR1'", "oneshot_on='USR1'", "socket_path=SOCKET", "thread=False"]
    + (["locals=None"] if sys.implementation.name == "pypy" else []),
)
def test_forks_that_are_not_followed(
    patient: Patient, do: Do, fork: Callable[..., int], options: str, short_path: Path
) -> None:
    """And the message at install() says that and why."""
    do("import io; log = []; sink = type('Sink', (), {'write': lambda self, text: log.append(text)})()")
    do(f"SOCKET = {str(short_path / 's')!r}")
    do(f"m = manhole.install(reinstall_delay=0, verbose_destination=sink, {options})")
    wait_until_true(lambda: do("answer = any('forks are not followed: ' in line for line in log)"))
    child = fork()
    # What follows a fork would have begun before this child gets to read, and does so without a delay.
    assert do("answer = len(log)") >= 1
    assert not accepts(f"/tmp/manhole-{child}")  # a file of that name may be left from an earlier bearer of the pid
    assert len(os.listdir(f"/proc/{child}/task")) == 1


def test_a_child_that_is_not_followed_opens_by_the_signal_as_its_parent_does(
    patient: Patient, do: Do, fork: Callable[..., int]
) -> None:
    do("m = manhole.install(verbose=False, activate_on='USR1')")
    child = fork()
    os.kill(child, signal.SIGUSR1)
    wait_for(f"/tmp/manhole-{child}")
    assert not os.path.exists(patient.default_path)


@pytest.mark.parametrize("end", ["m.release()", "manhole.release()", "sys.exit(0)"])
def test_a_child_that_is_not_followed_may_listen_by_hand(do: Do, fork: Callable[..., int], end: str) -> None:
    do("m = manhole.install(verbose=False, patch_fork=False)")
    ends = f"(m.reinstall(), posix.write(is_ready, b'x'), posix.read(r, 1), {end}, posix.read(r, 1))"
    child = fork("os.fork", ends)
    do("os.write(w, b'x'); posix.read(ready, 1)")
    wait_for(f"/tmp/manhole-{child}")
    do("os.write(w, b'x')")
    wait_until_true(lambda: not os.path.exists(f"/tmp/manhole-{child}"))


@FOLLOWS
def test_a_child_that_ends_before_it_listens_leaves_nothing(patient: Patient, do: Do) -> None:
    """Also when it lives on for a while in the application's own exit handlers, which run after the manhole's."""
    do("import atexit, posix, time; from manhole import compat; from _tell import tell")
    do("waits = lambda: any('reinstall' in name for name in compat.own_threads.values())")
    do("path = lambda: f'/tmp/manhole-{os.getpid()}'")
    do("exec('def late():\\n while waits(): compat.sleep(0.01)\\n tell(os.path.exists(path()))\\n posix._exit(0)')")
    do("atexit.register(late); m = manhole.install(verbose=False, reinstall_delay=0.2)")
    told = [do("pid = os.fork() or sys.exit(); answer = 'parent'"), patient.told()]
    assert sorted(map(str, told)) == ["False", "parent"]


def test_a_child_that_is_not_followed_may_install_its_own(do: Do, fork: Callable[..., int]) -> None:
    do("m = manhole.install(verbose=False, patch_fork=False)")
    child = fork("os.fork", "(manhole.install(verbose=False), __import__('time').sleep(3600))")
    do("os.write(w, b'x')")
    wait_for(f"/tmp/manhole-{child}")


def test_fork_and_exec_leaves_nothing_behind(patient: Patient, do: Do) -> None:
    """Also if it takes the child a while, a fifth of reinstall_delay, to come to the exec."""
    do("m = manhole.install(verbose=False)")
    do(
        "import subprocess; posix = __import__('posix'); r, w = posix.pipe(); "
        "sleep = sys.modules['_runtime'].unpatched_sleep"
    )
    do("before_exec = lambda: (posix.write(w, b'%d ' % posix.getpid()), sleep(0.1))")
    assert do("answer = [subprocess.call(['/bin/true'], preexec_fn=before_exec) for _ in range(3)]") == [0, 0, 0]
    children = do("answer = posix.read(r, 1000).decode()").split()
    assert len(children) == 3
    assert not any(os.path.exists(f"/tmp/manhole-{child}") for child in children)


def test_code_of_a_session_that_forks(patient: Patient, do: Do) -> None:
    """The child's copy of the session ends, the parent's goes on."""
    do("m = manhole.install(verbose=False, patch_fork=False)")
    with conversation(patient.default_path) as client:
        child = int(client.ask("import posix; pid = posix.fork(); pid"))
        wait_until_true(lambda: gone(child))
        assert client.ask("6 * 7") == "42\n"


def test_a_child_does_not_take_its_threads_for_its_parents(patient: Patient, do: Do) -> None:
    """It gives its threads the idents that its parent's had, and the manhole's own are told apart by them."""
    do("m = manhole.install(verbose=False, patch_fork=False); import posix; r, w = os.pipe()")
    known = "repr(list(sys.modules['manhole'].compat.own_threads.values())).encode()"
    with conversation(patient.default_path):
        do(f"pid = posix.fork() or (posix.write(w, {known}), posix._exit(0))")
        assert do("answer = posix.read(r, 1000).decode()") == "[]"


FORK_WARNS = pytest.mark.skipif(
    sys.version_info < (3, 12) or sys.implementation.name == "pypy", reason="no warning of a fork with threads here"
)
COUNT_THREADS = "len(posix.listdir('/proc/self/task'))"


def record_forks(do: Do) -> None:
    """How many threads each fork finds, and what Python warns of. To be called before install()."""
    do("import warnings, posix; recorder = warnings.catch_warnings(record=True); warned = recorder.__enter__()")
    do("warnings.simplefilter('always')")
    # A fork is not held up for long, and on a loaded machine a thread may not have ended by then.
    do(f"sys.modules['manhole._manhole'].PAUSE_SECONDS = {DEADLINE}")
    # Such hooks run in the reverse order of their registration, this one after that of install().
    do(f"counts = []; os.register_at_fork(before=lambda: counts.append({COUNT_THREADS}))")


def counts_after_hooks() -> bool:
    """Whether Python counts the threads, for its warning, when the hooks have begun them again: cpython#137109."""
    code = (
        "import _thread, os; lock = _thread.allocate_lock(); lock.acquire(); "
        "os.register_at_fork(after_in_parent=lambda: _thread.start_new_thread(lock.acquire, ())); "
        "os.fork() or os._exit(0); lock.release()"
    )
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    return "DeprecationWarning" in done.stderr


@FORK_WARNS
@pytest.mark.parametrize("option", ["thread=True", "activate_on='USR1'"])
def test_a_fork_finds_no_thread_of_ours(patient: Patient, do: Do, option: str) -> None:
    """Python 3.12 and later warn of a fork with threads; afterwards the parent listens as before."""
    record_forks(do)
    do(f"m = manhole.install(verbose=False, patch_fork=False, {option})")
    for _ in range(20):
        assert do("pid = posix.fork() or posix._exit(0); answer = posix.waitpid(pid, 0)[1]") == 0
    if option != "thread=True":
        os.kill(patient.pid, signal.SIGUSR1)
    wait_for(patient.default_path)
    # The threads of the session that wait_for() had are still ending, and a fork would rightly warn of them.
    wait_until_true(lambda: count_threads(patient.pid) == (2 if option == "thread=True" else 3))
    assert do("pid = posix.fork() or posix._exit(0); answer = posix.waitpid(pid, 0)[1]") == 0
    wait_for(patient.default_path)
    assert do("answer = counts") == [1] * 21
    assert (
        do("answer = [text for one in warned if 'multi-threaded' in (text := str(one.message))]") == []
        or counts_after_hooks()
    )


@FORK_WARNS
def test_a_child_that_forks_before_it_listens_has_no_thread_of_ours_either(do: Do, fork: Callable[..., int]) -> None:
    record_forks(do)
    do("m = manhole.install(verbose=False); r2, w2 = os.pipe()")
    grandchild = "posix.waitpid(posix.fork() or posix._exit(0), 0)"
    child = fork("os.fork", f"({grandchild}, posix.write(w2, repr(counts).encode()), posix.read(r, 1))")
    do("os.write(w, b'x')")
    assert do("answer = posix.read(r2, 100).decode()") == "[1, 1]"
    wait_for(f"/tmp/manhole-{child}")


@FOLLOWS
def test_release_in_a_child_that_does_not_listen_yet_leaves_no_thread(do: Do, fork: Callable[..., int]) -> None:
    do("m = manhole.install(verbose=False, reinstall_delay=3600)")
    child = fork("os.fork", "(m.release(), posix.read(r, 1))")
    wait_until_true(lambda: count_threads(child) == 2)
    do("os.write(w, b'x')")
    wait_until_true(lambda: count_threads(child) == 1)
