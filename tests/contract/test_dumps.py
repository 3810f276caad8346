"""dump_on and watchdog: dumps without a client, in idle, busy and stuck processes."""

import contextlib
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness import RUNTIME, Patient, count_threads, open_descriptors, signal_until_true, wait_until_true

Do = Callable[[str], Any]

NO_GAP = "sys.modules['manhole._dumps'].SECONDS_BETWEEN = 0"


def start(state: str, *options: str, runtime: str = RUNTIME) -> Patient:
    patient = Patient("patient.py", runtime, "after", state, *options, flags=["-W", "ignore"])
    assert [patient.told() for _ in range(3)][-1] == "in state"
    return patient


def finished_dumps(folder: Path) -> list[str]:
    """The dumps that are there, but one that its process still has open."""
    paths = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return [path.read_text() for path in paths if not is_open(path)]


def is_open(path: Path) -> bool:
    """Whether the process whose pid is in the name writes it."""
    pid = int(path.name.split("-")[1])
    with contextlib.suppress(OSError):
        return str(path) in open_descriptors(pid).values()
    return False


def wait_for_dump(folder: Path, count: int = 1) -> str:
    wait_until_true(lambda: len(finished_dumps(folder)) >= count)
    return finished_dumps(folder)[-1]


def cpu_ticks(pid: int) -> int:
    """How long a process has run, in hundredths of a second."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def to(folder: Path) -> str:
    return f"dump_to='{folder}/dump-{{pid}}-{{time}}.txt'"


@pytest.mark.parametrize("name", ["ABRT", "TERM"])
@pytest.mark.parametrize("state", ["idle", "busy", "in_c_sleep", "stuck_in_c", "waiting_for_a_lock"])
def test_the_process_dies_of_the_signal_as_it_would_have_after_the_dump(state: str, name: str, tmp_path: Path) -> None:
    with start(state, f"dump_on='{name}'", to(tmp_path)) as patient:
        number = signal.Signals[f"SIG{name}"]
        if state == "stuck_in_c":
            before = cpu_ticks(patient.pid)
            wait_until_true(lambda: cpu_ticks(patient.pid) > before + 2)  # it tells a moment before it is
        patient.process.send_signal(number)
        assert patient.finish()[0] == -number
        assert f"in be_{state}\n" in wait_for_dump(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1


def test_the_file_is_for_its_owner_alone_and_named_after_process_and_time(tmp_path: Path) -> None:
    with start("ticking", "dump_on='URG'", to(tmp_path)) as patient:
        before = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        patient.process.send_signal(signal.SIGURG)
        wait_for_dump(tmp_path)
        (path,) = tmp_path.iterdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        head, pid, moment = path.stem.split("-")
        assert (head, pid) == ("dump", str(patient.pid))
        assert before <= moment <= time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        patient.forget_told()
        assert patient.told()  # the application goes on


def test_a_python_handler_is_called_each_time_and_a_dump_written_now_and_then(
    commanded: Patient, do: Do, tmp_path: Path
) -> None:
    do("import signal; hits = []; signal.signal(signal.SIGUSR1, lambda number, frame: hits.append(number))")
    do(f"manhole.install(verbose=False, dump_on='USR1', {to(tmp_path)})")
    do("import _runtime; dumps = sys.modules['manhole._dumps']; quick = dumps.format_dump")
    do("dumps.format_dump = lambda: _runtime.unpatched_sleep(0.3) or quick()")
    for count in range(1, 4):
        assert do("os.kill(os.getpid(), signal.SIGUSR1); runtime.sleep(0); answer = hits") == [10] * count
    assert len(finished_dumps(tmp_path)) == 1  # before the first call, so it is complete now
    do(NO_GAP)
    assert do("os.kill(os.getpid(), signal.SIGUSR1); runtime.sleep(0); answer = len(hits)") == 4
    assert len(finished_dumps(tmp_path)) == 2


def test_an_exception_of_the_handler_is_the_applications(commanded: Patient, do: Do, tmp_path: Path) -> None:
    do(f"import signal, time; manhole.install(verbose=False, dump_on='INT', {to(tmp_path)})")
    do(
        "exec('def attempt():\\n try:\\n  signal.raise_signal(signal.SIGINT); time.sleep(60)\\n"
        " except KeyboardInterrupt: return 7')"
    )
    assert do("answer = attempt()") == 7
    assert len(finished_dumps(tmp_path)) == 1


def test_an_ignored_signal_stays_ignored(commanded: Patient, do: Do, tmp_path: Path) -> None:
    do("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    do(f"m = manhole.install(verbose=False, dump_on='TERM', {to(tmp_path)})")
    assert do("signal.raise_signal(signal.SIGTERM); answer = 42") == 42
    assert len(finished_dumps(tmp_path)) == 1
    do("m.release()")
    assert do("answer = signal.getsignal(signal.SIGTERM) == signal.SIG_IGN") is True


def test_a_stopping_signal_stops_and_is_watched_again(commanded: Patient, do: Do, tmp_path: Path) -> None:
    # The kernel does not stop whoever is in an orphaned process group, as the tests may be; a group of its own, with
    # its parent in another, is none.
    do("os.setpgid(0, 0)")
    do(f"m = manhole.install(verbose=False, dump_on='TSTP', {to(tmp_path)})")
    do(NO_GAP)
    for _ in range(2):
        before = len(finished_dumps(tmp_path))
        stopped = partial(os.waitpid, commanded.pid, os.WUNTRACED | os.WNOHANG)
        signal_until_true(commanded.pid, signal.SIGTSTP, lambda stopped=stopped: stopped()[0])
        assert len(finished_dumps(tmp_path)) > before
        os.kill(commanded.pid, signal.SIGCONT)
        assert do("answer = 42") == 42


@pytest.mark.parametrize("other", ["oneshot_on", "activate_on"])
def test_without_a_thread_the_handler_writes(commanded: Patient, do: Do, other: str, tmp_path: Path) -> None:
    threads = count_threads(commanded.pid)
    do(f"import signal; manhole.install(verbose=False, thread=False, {other}='USR2', dump_on='URG', {to(tmp_path)})")
    assert count_threads(commanded.pid) == threads + (other == "activate_on")
    do("signal.raise_signal(signal.SIGURG)")
    dump = wait_for_dump(tmp_path)
    # where the signal found it, and not how the handler writes
    assert '  File "<string>", line 1, in <module>\n' in dump
    assert "_handle" not in dump


def test_what_is_there_is_never_touched(commanded: Patient, do: Do, tmp_path: Path) -> None:
    """Neither a file nor a link, to something or to nothing."""
    folder, elsewhere = tmp_path / "dumps", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.write_text("mine")
    (folder / "dump.txt").symlink_to(elsewhere)
    (folder / "dump-1.txt").symlink_to(tmp_path / "nowhere")
    (folder / "dump-2.txt").write_text("mine too")
    do(f"import signal; manhole.install(verbose=False, dump_on='URG', dump_to='{folder}/dump.txt')")
    do("signal.raise_signal(signal.SIGURG)")
    wait_until_true((folder / "dump-3.txt").exists)
    assert (elsewhere.read_text(), (folder / "dump-2.txt").read_text()) == ("mine", "mine too")
    assert not (tmp_path / "nowhere").exists()


def test_a_dump_that_cannot_be_written_is_a_message(commanded: Patient, do: Do, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    do("import signal, io; out = io.StringIO()")
    do(f"manhole.install(verbose_destination=out, dump_on='URG', {to(folder)})")
    folder.rmdir()
    do("signal.raise_signal(signal.SIGURG)")
    wait_until_true(lambda: do("answer = str(out.getvalue().count('No such file'))") == "1")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("dump_on='ABRT'", "InvalidOption"),
        ("watchdog=1", "InvalidOption"),
        ("dump_to='{folder}/x'", "InvalidOption"),
        ("dump_on='ABRT', dump_to='{folder}/{{name}}.txt'", "InvalidOption"),
        ("dump_on='ABRT', dump_to='{folder}/{{pid.txt'", "InvalidOption"),
        ("dump_on='ABRT', dump_to='{folder}/{{pid}}/x.txt'", "InvalidOption"),
        ("dump_on='ABRT', dump_to='{folder}/missing/x.txt'", "InvalidOption"),
        ("dump_on='ABRT', dump_to='{folder}/'", "InvalidOption"),
        ("dump_on='ABRT', dump_to=7", "InvalidOption"),
        ("dump_on='KILL', dump_to='{folder}/x'", "InvalidOption"),
        ("dump_on='SEGV', dump_to='{folder}/x'", "InvalidOption"),
        ("dump_on='nonsense', dump_to='{folder}/x'", "InvalidOption"),
        ("watchdog=0, dump_to='{folder}/x'", "InvalidOption"),
        ("watchdog=True, dump_to='{folder}/x'", "InvalidOption"),
        ("watchdog=1, thread=False, dump_to='{folder}/x'", "ConfigurationConflict"),
        ("dump_on='USR1', oneshot_on='USR1', dump_to='{folder}/x'", "ConfigurationConflict"),
        ("dump_on='USR1', activate_on='USR1', dump_to='{folder}/x'", "ConfigurationConflict"),
    ],
)
def test_a_wrong_option_is_an_error_and_leaves_nothing(
    commanded: Patient, do: Do, tmp_path: Path, options: str, error: str
) -> None:
    do("import signal")  # it reads commands by now
    threads, descriptors = count_threads(commanded.pid), open_descriptors(commanded.pid)
    assert do(f"manhole.install({options.format(folder=tmp_path)})")[0] == error
    assert (count_threads(commanded.pid), open_descriptors(commanded.pid)) == (threads, descriptors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", ["activate_on", "oneshot_on"])
def test_together_with_another_signal(other: str, tmp_path: Path) -> None:
    with start("ticking", f"{other}='USR2'", "dump_on='URG'", to(tmp_path)) as patient:
        patient.process.send_signal(signal.SIGURG)
        wait_for_dump(tmp_path)
        assert not os.path.exists(patient.default_path)
        patient.process.send_signal(signal.SIGUSR2)
        wait_until_true(lambda: os.path.exists(patient.default_path))


def test_release_leaves_nothing(commanded: Patient, do: Do, tmp_path: Path) -> None:
    do("import signal")
    threads, descriptors = count_threads(commanded.pid), open_descriptors(commanded.pid)
    do(f"m = manhole.install(verbose=False, dump_on='USR1', watchdog=1, {to(tmp_path)})")
    assert count_threads(commanded.pid) == threads + 3
    do("m.release()")
    wait_until_true(lambda: count_threads(commanded.pid) == threads)
    left = open_descriptors(commanded.pid)
    assert {number: what for number, what in left.items() if "libffi" not in what} == descriptors  # PyPy's ctypes
    assert do("answer = signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL") is True
    assert do("answer = signal.set_wakeup_fd(-1)") == -1


def test_a_wakeup_descriptor_in_use_gets_all_that_it_would_have(commanded: Patient, do: Do, tmp_path: Path) -> None:
    """And a main thread that is stuck in C code writes its dump all the same: gunicorn's workers have one."""
    do("import signal, hashlib; r, w = os.pipe(); os.set_blocking(w, False); signal.set_wakeup_fd(w)")
    do("signal.signal(signal.SIGUSR2, lambda *a: None); signal.signal(signal.SIGABRT, lambda *a: None)")
    do(f"m = manhole.install(verbose=False, dump_on='ABRT', {to(tmp_path)})")
    assert do("signal.raise_signal(signal.SIGUSR2); answer = list(__import__('posix').read(r, 1))") == [12]
    commanded.say("hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)")
    before = cpu_ticks(commanded.pid)
    wait_until_true(lambda: cpu_ticks(commanded.pid) > before + 2)  # in C by now
    commanded.process.send_signal(signal.SIGABRT)
    assert "__main__" not in wait_for_dump(tmp_path)
    assert commanded.process.poll() is None


@pytest.mark.skipif(
    sys.implementation.name == "pypy", reason="forks are not followed, so no thread sees the signal there"
)
def test_a_forked_child_dumps_and_dies_alone(commanded: Patient, do: Do, tmp_path: Path) -> None:
    do(f"m = manhole.install(verbose=False, dump_on='TERM', {to(tmp_path)})")
    do("import posix, signal, hashlib")
    do("r, w = posix.pipe()")
    child = do(
        "child = posix.fork(); "
        "child or (posix.write(w, b'x'), hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)); answer = child"
    )
    try:
        do("posix.read(r, 1)")
        before = cpu_ticks(child)
        wait_until_true(lambda: cpu_ticks(child) > before + 2)  # in C by now
        os.kill(child, signal.SIGTERM)
        assert do("answer = os.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])") == -15
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    assert [path.name.split("-")[1] for path in tmp_path.iterdir()] == [str(child)]


def test_a_child_forked_without_hooks_does_not_kill_its_parent(commanded: Patient, do: Do, tmp_path: Path) -> None:
    """As uWSGI forks: Python knows nothing of it, and the child has its parent's wakeup descriptor."""
    do(f"import ctypes, posix, signal; m = manhole.install(verbose=False, dump_on='TERM', {to(tmp_path)})")
    do("fork = ctypes.CDLL(None).fork")
    # Not signal.pause(): a signal that comes just before it is seen when it ends, which is never.
    child = do("child = fork(); child or exec('while True: pass'); answer = child")
    assert child
    os.kill(child, signal.SIGTERM)
    assert do("answer = os.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])") == -15
    assert do("answer = 42") == 42
    assert [path.name.split("-")[1] for path in tmp_path.iterdir()] == [str(child)]


def test_the_environment_can_ask_for_both(commanded: Patient, do: Do, tmp_path: Path) -> None:
    value = f"verbose=False, dump_on='URG', watchdog=60, {to(tmp_path)}"
    do(f"import manhole._startup; manhole._startup.start_once({value!r})")
    commanded.process.send_signal(signal.SIGURG)
    wait_for_dump(tmp_path)


HUBS = ["asyncio"] if RUNTIME == "threads" else [RUNTIME]


@pytest.mark.parametrize("runtime", HUBS)
@pytest.mark.parametrize("state", ["busy", "in_c"])
def test_the_watchdog_dumps_once_for_each_time_a_hub_stays_away(runtime: str, state: str, tmp_path: Path) -> None:
    with Patient("stays_away.py", runtime, state, str(tmp_path), flags=["-W", "ignore"]) as patient:
        assert patient.told() == "in its loop"
        for count in (1, 2):
            patient.say("stay away")
            left = patient.told()
            assert f"in stay_{state}\n" in wait_for_dump(tmp_path, count)
            # asked a moment before it left, at the earliest
            assert max(path.stat().st_mtime for path in tmp_path.iterdir()) - left > 0.4 - 0.1
            patient.say("come back")
            assert patient.told() == "back"
            assert len(finished_dumps(tmp_path)) == count


@pytest.mark.parametrize("runtime", HUBS)
def test_a_hub_that_only_waits_or_always_works_is_not_reported(runtime: str, tmp_path: Path) -> None:
    with Patient("stays_away.py", runtime, "idle", str(tmp_path), flags=["-W", "ignore"]) as patient:
        assert patient.told() == "in its loop"
        for how in ("wait", "switch"):
            patient.say(how)
            assert patient.told() == how
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(RUNTIME != "threads", reason="is about processes without a hub")
def test_a_process_without_a_hub_is_told_once(tmp_path: Path) -> None:
    with start("in_c_sleep", "verbose=True", "watchdog=0.1", to(tmp_path)) as patient:
        time.sleep(1)  # there is nothing to wait for: that nothing happens is the property
        patient.process.kill()
        _, _, err = patient.finish()
    assert err.count("no hub") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python warns of forks with threads from 3.12 on")
def test_a_fork_finds_no_thread_of_ours_and_all_goes_on_after_it(commanded: Patient, do: Do, tmp_path: Path) -> None:
    # hooks for the time before run in reverse order: ours has run by then
    do("found = []; os.register_at_fork(before=lambda: found.append(len(os.listdir('/proc/self/task'))))")
    do(f"import posix; manhole.install(verbose=False, patch_fork=False, dump_on='URG', watchdog=60, {to(tmp_path)})")
    threads = count_threads(commanded.pid)
    assert do("pid = posix.fork() or posix._exit(0); answer = posix.waitpid(pid, 0)[1]") == 0
    assert do("answer = found") == [1]
    assert count_threads(commanded.pid) == threads
    commanded.process.send_signal(signal.SIGURG)
    wait_for_dump(tmp_path)
