"""activate_on, oneshot_on and sigmask, in idle, busy and stuck processes."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import (
    DEADLINE,
    RUNTIME,
    Patient,
    connect_by,
    conversation,
    count_threads,
    open_descriptors,
    wait_until_true,
)


def start(state: str, *options: str) -> Patient:
    patient = Patient("patient.py", RUNTIME, "after", state, *options, flags=["-W", "ignore"])
    assert [patient.told() for _ in range(3)][-1] == "in state"
    return patient


def wait_for_message(patient: Patient, text: str) -> None:
    """Read the process's stderr until it says *text*."""
    assert patient.process.stderr is not None
    said = b""
    while text.encode() not in said:
        ready, _, _ = select.select([patient.process.stderr], [], [], DEADLINE)
        data = os.read(patient.process.stderr.fileno(), 1) if ready else b""
        assert data, said
        said += data


@pytest.mark.parametrize("name", ["'USR1'", "'SIGUSR1'", "'usr1'", str(int(signal.SIGUSR1))])
def test_activate_on_any_spelling(name: str) -> None:
    with start("idle", f"activate_on={name}") as patient:
        assert not os.path.exists(patient.default_path)
        with connect_by(patient, signal.SIGUSR1) as client:
            client.read_until()
            assert client.ask("6 * 7") == "42\n"


@pytest.mark.parametrize("state", ["busy", "in_c_sleep", "stuck_in_c", "waiting_for_a_lock", "holding_the_import_lock"])
def test_activate_on_while_the_main_thread_is_stuck(state: str) -> None:
    with start(state, "activate_on='USR1'") as patient:
        assert not os.path.exists(patient.default_path)
        with connect_by(patient, signal.SIGUSR1) as client:
            assert f"in be_{state}\n" in client.read_until()
            assert client.ask("6 * 7") == "42\n"


def test_repeated_signals_harm_nothing() -> None:
    with start("ticking", "activate_on='USR1'") as patient:
        for _ in range(20):
            patient.process.send_signal(signal.SIGUSR1)
        with connect_by(patient, signal.SIGUSR1) as client:
            client.read_until()
            patient.process.send_signal(signal.SIGUSR1)
            assert client.ask("6 * 7") == "42\n"
        patient.forget_told()
        assert patient.told().endswith("tick") or patient.told() == "tick"


@pytest.mark.parametrize("state", ["idle", "ticking", "busy", "in_c_sleep"])
def test_oneshot_runs_without_any_thread_and_the_application_goes_on(state: str) -> None:
    with start(state, "oneshot_on='USR2'") as patient:
        threads = count_threads(patient.pid)
        for _ in range(2):
            assert not os.path.exists(patient.default_path)
            with connect_by(patient, signal.SIGUSR2) as client:
                assert f"in be_{state}\n" in client.read_until()
                assert not os.path.exists(patient.default_path)
                assert client.ask("1 / 0").endswith("ZeroDivisionError: division by zero\n")
                assert client.ask("import threading; threading.current_thread() is threading.main_thread()") in (
                    "True\n",
                    "False\n",  # in a greenlet, where `threading` is patched
                )
                assert client.ask("__import__('_thread').get_native_id() == os.getpid()") == "True\n"
                assert count_threads(patient.pid) == threads
                client.send("exit()\n")
                client.read_all()
        if state == "ticking":
            patient.forget_told()
            assert patient.told()
        assert patient.process.poll() is None


def test_a_second_signal_during_a_oneshot_is_harmless() -> None:
    with start("ticking", "oneshot_on='USR2'") as patient:
        with connect_by(patient, signal.SIGUSR2) as client:
            client.read_until()
            patient.process.send_signal(signal.SIGUSR2)
            assert client.ask("6 * 7") == "42\n"
            client.send("exit()\n")
            client.read_all()
        patient.forget_told()
        assert patient.told()
        assert not os.path.exists(patient.default_path)


@pytest.mark.parametrize("handler", ["'repl'", "'exec'"])
def test_a_oneshot_nobody_comes_to_lets_the_application_go_on(handler: str) -> None:
    options = ["oneshot_on='USR2'", "oneshot_timeout=0.2", f"connection_handler={handler}", "verbose=True"]
    with start("ticking", *options) as patient:
        patient.process.send_signal(signal.SIGUSR2)
        wait_for_message(patient, "waiting 0.2 seconds")
        wait_for_message(patient, "nobody has connected")
        wait_until_true(lambda: not os.path.exists(patient.default_path))
        patient.forget_told()
        assert patient.told()


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy runs no handler inside another")
def test_a_signal_while_a_oneshot_waits_gives_it_the_whole_time() -> None:
    """Whoever has sent it shall not find a socket that goes away under his hands."""
    with start("ticking", "oneshot_on='USR2'", "oneshot_timeout=1", "verbose=True") as patient:
        patient.process.send_signal(signal.SIGUSR2)
        wait_for_message(patient, "waiting 1 seconds")
        patient.process.send_signal(signal.SIGUSR2)
        wait_for_message(patient, "nobody has connected")
        wait_for_message(patient, "waiting 1 seconds")
        wait_for_message(patient, "nobody has connected")


def test_an_error_inside_a_oneshot_never_reaches_the_application(tmp_path: Path) -> None:
    """The socket's place is taken: the handler can only fail."""
    with start("ticking", "oneshot_on='USR2'") as patient:
        Path(patient.default_path).write_text("in the way")
        patient.process.send_signal(signal.SIGUSR2)
        for _ in range(3):
            patient.forget_told()
            assert patient.told()
        assert Path(patient.default_path).read_text() == "in the way"


def test_a_oneshot_client_that_is_killed_ends_it() -> None:
    with start("ticking", "oneshot_on='USR2'") as patient:
        with connect_by(patient, signal.SIGUSR2) as client:
            client.read_until()
        with connect_by(patient, signal.SIGUSR2) as client:
            client.read_until()
        patient.forget_told()
        assert patient.told()


def answers_in_a_child(child: int) -> bool:
    """Not whether there is a file: an earlier bearer of the pid may have left it."""
    try:
        with conversation(f"/tmp/manhole-{child}") as client:
            return client.ask("print('of the child')") == "of the child\n"
    except (FileNotFoundError, ConnectionRefusedError):
        return False


def end_child(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"/tmp/manhole-{child}")


def test_code_of_a_oneshot_that_forks() -> None:
    """The child lets go of the client and goes on with the application."""

    def sockets(pid: int) -> set[str]:
        return {target for target in open_descriptors(pid).values() if target.startswith("socket:")}

    with start("ticking", "oneshot_on='USR2'") as patient:
        before = sockets(patient.pid)
        with connect_by(patient, signal.SIGUSR2) as client:
            client.read_until()
            child = int(client.ask("import posix; pid = posix.fork(); pid"))
            try:
                wait_until_true(lambda: sockets(child) <= before)
                os.kill(child, signal.SIGUSR2)
                wait_until_true(lambda: answers_in_a_child(child))
                assert client.ask("6 * 7") == "42\n"
            finally:
                end_child(child)


# In the child the signal comes when the n-th line of what puts sys.stdout back is about to run, or at the last.
FORK_WITH_A_SIGNAL = """\
def fork_with_a_signal(n):
    seen = []
    def trace(frame, event, arg):
        if frame.f_code is not Router.detach.__code__:
            return None
        seen.append(frame.f_lineno)
        if len(seen) == n or event == "return":
            sys.settrace(None)
            signal.raise_signal(signal.SIGUSR2)
        return trace
    pid = posix.fork()
    if pid == 0:
        sys.settrace(trace)
    return pid
"""


def test_a_oneshot_while_another_one_is_given_up() -> None:
    """At each line of what a forked child has to undo of its parent's session."""
    with start("ticking", "oneshot_on='USR2'") as patient, connect_by(patient, signal.SIGUSR2) as client:
        client.read_until()
        client.ask("import dis, posix, signal; from manhole._stdio import Router")
        client.ask(FORK_WITH_A_SIGNAL)
        lines = int(client.ask("len(list(dis.findlinestarts(Router.detach.__code__)))"))
        for line in range(1, lines):
            child = int(client.ask(f"fork_with_a_signal({line})"))
            try:
                wait_until_true(lambda child=child: answers_in_a_child(child))
            finally:
                end_child(child)


@pytest.mark.parametrize("by", ["main thread", "session"])
def test_release_puts_handlers_back(by: str) -> None:
    with Patient("commands.py", RUNTIME) as patient:
        assert patient.told() == "ready"

        def do(line: str) -> object:
            patient.say(line)
            return patient.told()

        do("import signal; hits = []; signal.signal(signal.SIGUSR1, lambda *a: hits.append('old'))")
        descriptors = open_descriptors(patient.pid)
        do("m = manhole.install(verbose=False, activate_on='USR1', oneshot_on='USR2')")
        assert do("answer = signal.getsignal(signal.SIGUSR1).__qualname__") == "SignalHook._handle"
        do("m.reinstall()")
        if by == "session":
            with conversation(patient.default_path) as client:
                client.send("sys.modules['manhole'].release()\n")
                client.read_all()
            wait_until_true(lambda: count_threads(patient.pid) == 1)
        else:
            do("m.release()")
            assert open_descriptors(patient.pid) == descriptors
            assert do("answer = signal.set_wakeup_fd(-1)") == -1
            assert do("answer = signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL") is True
        patient.process.send_signal(signal.SIGUSR1)
        assert do("answer = hits") == ["old"]
        assert do("answer = signal.getsignal(signal.SIGUSR1).__name__") == "<lambda>"


def test_a_wakeup_descriptor_in_use_is_left_alone() -> None:
    with Patient("commands.py", RUNTIME) as patient:
        assert patient.told() == "ready"

        def do(line: str) -> object:
            patient.say(line)
            return patient.told()

        fd = do("import signal; r, w = os.pipe(); os.set_blocking(w, False); signal.set_wakeup_fd(w); answer = w")
        do("m = manhole.install(verbose=False, activate_on='USR1')")
        do("m.release()")
        assert do("answer = signal.set_wakeup_fd(-1)") == fd


def test_handlers_are_for_the_main_thread_alone() -> None:
    with Patient("commands.py", "threads") as patient:
        assert patient.told() == "ready"
        patient.say(
            "import threading; e = []; t = threading.Thread(target=lambda: [e.append(str(x)) for x in "
            "[__import__('contextlib').ExitStack()] for _ in [0]]); answer = 1"
        )
        patient.told()
        patient.say(
            'exec(\'def attempt():\\n try: manhole.install(oneshot_on="USR1")\\n except manhole.ManholeError as x: '
            "e.append(str(x))'); t = threading.Thread(target=attempt); t.start(); t.join(); answer = e"
        )
        (message,) = patient.told()
        assert "main thread" in message
        patient.say("answer = manhole.install(verbose=False).socket_path")
        assert patient.told() == patient.default_path


def blocked_signals(patient: Patient) -> dict[str, set[int]]:
    """The mask of each thread by its name in the dump."""
    masks = []
    for task in Path(f"/proc/{patient.pid}/task").iterdir():
        mask = int(re.search(r"^SigBlk:\s*(\w+)$", (task / "status").read_text(), re.M)[1], 16)
        masks.append({number for number in range(1, 65) if mask >> (number - 1) & 1})
    return masks


def count_that_block_all(patient: Patient) -> int:
    catchable = set(map(int, signal.valid_signals())) - {int(signal.SIGKILL), int(signal.SIGSTOP)}
    # the C library keeps two for itself
    return sum(catchable - mask <= {32, 33} for mask in blocked_signals(patient))


def test_idle_threads_block_every_signal_and_code_none() -> None:
    with start("idle") as patient, conversation(patient.default_path) as client:
        # the listener, the session's, and the one beside it
        assert count_that_block_all(patient) == 3
        assert client.ask("import signal; signal.pthread_sigmask(signal.SIG_BLOCK, ())") == "set()\n"
        client.send("input()\n")
        wait_until_true(lambda: count_that_block_all(patient) == 2)
        client.ask("a line for it")
        assert count_that_block_all(patient) == 3


def test_code_may_change_its_mask() -> None:
    with start("idle") as patient, conversation(patient.default_path) as client:
        client.ask("import signal")
        client.ask("_ = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])")
        assert (
            client.ask("list(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))") == f"[{int(signal.SIGUSR1)}]\n"
        )
        assert count_that_block_all(patient) == 3


def test_a_given_sigmask_is_for_code_too() -> None:
    with start("idle", "sigmask=['USR1', 'sigterm', 10]") as patient, conversation(patient.default_path) as client:
        client.ask("import signal")
        assert client.ask("sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))") == "[10, 15]\n"
        # A thread that has just started blocks all until it is given its own.
        wait_until_true(lambda: blocked_signals(patient).count({10, 15}) == 2)


def test_no_sigmask() -> None:
    with start("idle", "sigmask=None") as patient, conversation(patient.default_path):
        # the application's, the listener and the session's
        wait_until_true(lambda: blocked_signals(patient).count(set()) >= 3)


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("oneshot_on='USR2'", ["-2"]),
        ("oneshot_on='USR1'", ["-USR1"]),
        ("activate_on='USR1'", ["-s", "usr1"]),
        ("activate_on='WINCH'", ["--signal", "SIGWINCH"]),
    ],
)
def test_the_client_sends_the_signal_and_waits_for_the_socket(option: str, arguments: list[str]) -> None:
    command = [str(Path(sys.executable).with_name("manhole-cli")), *arguments]
    with start("ticking", option) as patient:
        for target in (str(patient.pid), patient.default_path):
            done = subprocess.run(
                [*command, target], input="6 * 7\n", capture_output=True, text=True, timeout=DEADLINE, check=False
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")


@pytest.mark.parametrize(
    ("arguments", "status"), [(["-s", "NOSUCH", "1"], 2), (["-2", "./somewhere"], 2), (["-2", "999999999"], 3)]
)
def test_a_signal_that_cannot_be_sent_is_one_line(arguments: list[str], status: int) -> None:
    command = [str(Path(sys.executable).with_name("manhole-cli")), *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, "", 1)
