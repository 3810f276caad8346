"""uWSGI: workers forked from C, whose own code runs no hook of Python's unless it is told to."""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest
from harness import DEADLINE, PROGRAMS, Conversation, wait_until_true
from servers import SCRIPTS, Reached, Server, documented, manhole_of

UWSGI = SCRIPTS / "uwsgi"
pytestmark = pytest.mark.skipif(not UWSGI.exists(), reason="uwsgi is not installed in this environment")

MODES = {"plain": [], "gevent": ["--gevent", "10", "--gevent-monkey-patch"]}
HOOKS = "--py-call-uwsgi-fork-hooks"


class Start(Protocol):
    def __call__(self, program: str, *options: str, **env: str) -> AbstractContextManager[Server]: ...


@pytest.fixture
def trigger(short_path: Path) -> Path:
    return short_path / "trigger"


@pytest.fixture
def start(short_path: Path, trigger: Path) -> Start:
    def start(program: str, *options: str, **env: str) -> Server:
        command = [str(UWSGI), "--http-socket", "{socket}", "--master", "--processes", "2", "--die-on-term"]
        command += ["--pythonpath", "{programs}", "--wsgi-file", f"{{programs}}/{program}", *options]
        return Server(*command, folder=short_path, env={"MANHOLE_TRIGGER": str(trigger), **env})

    return start


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    if request.param == "gevent":
        pytest.importorskip("gevent")
    return MODES[request.param]


def is_it(client: Conversation, pid: int) -> bool:
    return client.ask("import os; os.getpid()") == f"{pid}\n"


def wait_until_idle(client: Conversation, worker: int) -> None:
    """A worker has more to do for a request after the answer; one that is told to end meanwhile ends otherwise."""
    client.ask("import uwsgi")
    status = f"[worker['status'] for worker in uwsgi.workers() if worker['pid'] == {worker}]"
    wait_until_true(lambda: "idle" in client.ask(status))


def watches(pid: int) -> bool:
    """Whether the process watches a file with inotify, which uWSGI's master begins only after it has forked."""
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if "inotify wd:" in path.read_text():
                return True
    return False


def test_a_pid_in_the_watched_file_opens_that_worker_once(start: Start, mode: list[str], trigger: Path) -> None:
    with start("uwsgi_recipe.py", *mode) as server:
        wait_until_true(lambda: watches(server.pid))
        first, second = server.workers()
        for pid, other in [(second, first), (second, first), (first, second)]:
            trigger.write_text(f"{pid}\n")
            with Reached(pid) as client:
                assert is_it(client, pid)
                assert "open_manhole" in client.greeting
                assert server.get() == other  # which serves meanwhile
                assert not os.path.exists(manhole_of(other))
                client.end()
        assert server.workers() == [first, second]
        assert server.stop() == 0
        assert not any(map(os.path.exists, map(manhole_of, [first, second])))


def test_the_recipe_of_1_8_1_works_as_it_is(start: Start, mode: list[str], trigger: Path) -> None:
    with start("uwsgi_recipe_1_8_1.py", *mode) as server:
        wait_until_true(lambda: watches(server.pid))
        pid = server.get()
        for _ in range(2):
            trigger.write_text(f"{pid}\n")
            with Reached(pid) as client:
                assert is_it(client, pid)
                trigger.write_text("")  # this recipe opens again when uWSGI reports one write twice
                client.end()
        server.get_from(pid)


def test_every_worker_has_a_manhole_after_postfork(start: Start, mode: list[str]) -> None:
    with start("uwsgi_postfork.py", "--enable-threads", *mode) as server:
        for pid in server.workers():
            with Reached(pid) as client:
                assert is_it(client, pid)
                server.get_from(pid)
        assert not os.path.exists(manhole_of(server.pid))


def test_a_worker_that_takes_the_place_of_a_dead_one_has_its_own(start: Start, mode: list[str]) -> None:
    with start("uwsgi_postfork.py", "--enable-threads", *mode) as server:
        first, second = server.workers()
        with Reached(first), Reached(second) as other:
            os.kill(first, signal.SIGKILL)
            wait_until_true(lambda: first not in server.workers())
            (new,) = set(server.workers()) - {second}
            with Reached(new) as client:
                assert is_it(client, new)
            assert is_it(other, second)


def test_a_worker_that_ends_removes_its_socket(start: Start) -> None:
    """Without --gevent, and idle: uWSGI does not finalise Python in an asynchronous worker, nor in a busy one."""
    with start("uwsgi_postfork.py", "--enable-threads") as server:
        workers = server.workers()
        for pid in workers:
            with Reached(pid) as client:
                server.get_from(pid)
                wait_until_idle(client, pid)
        assert server.stop() == 0
        assert not any(map(os.path.exists, map(manhole_of, workers)))


def test_a_worker_that_is_told_to_end_waits_for_its_client(start: Start) -> None:
    """It waits for the client, as any process does, and then ends in order."""
    with start("uwsgi_postfork.py", "--enable-threads") as server:
        workers = server.workers()
        for pid in workers:
            server.get_from(pid)
        with Reached(workers[0]) as first, Reached(workers[1]) as second:
            for client, pid in zip((first, second), workers, strict=True):
                wait_until_idle(client, pid)
            server.process.terminate()
            wait_until_true(lambda: not any(map(os.path.exists, map(manhole_of, workers))))
            assert is_it(first, workers[0])
        assert server.process.wait(DEADLINE) == 0


def test_the_variable_reaches_every_process_with_the_fork_hooks(start: Start, mode: list[str]) -> None:
    with start("wsgi_plain.py", HOOKS, *mode, PYTHONMANHOLE="") as server:
        with Reached(server.pid) as master:
            assert is_it(master, server.pid)
        for pid in server.workers():
            with Reached(pid) as client:
                assert is_it(client, pid)
                server.get_from(pid)


def test_the_variable_reaches_the_master_alone_without_the_fork_hooks(start: Start) -> None:
    """And the workers, which know nothing of the fork, do the master's manhole no harm by living or ending."""
    with start("wsgi_plain.py", PYTHONMANHOLE="") as server:
        first, second = server.workers()
        with Reached(server.pid) as client:
            server.get_from(first)
            wait_until_idle(client, first)
            os.kill(first, signal.SIGINT)  # as the master does when it stops: the worker finalises Python
            wait_until_true(lambda: first not in server.workers())
            assert is_it(client, server.pid)
        with Reached(server.pid) as client:
            assert is_it(client, server.pid)
        assert second in server.workers()
        assert not os.path.exists(manhole_of(second))


def test_a_worker_that_does_not_know_of_its_fork_ends_without_waiting_for_the_masters_client(start: Start) -> None:
    with start("wsgi_plain.py", PYTHONMANHOLE="") as server:
        first, second = server.workers()
        with Reached(server.pid) as client:
            server.get_from(second)
            wait_until_idle(client, second)
            os.kill(second, signal.SIGINT)
            wait_until_true(lambda: second not in server.workers())
            (new,) = set(server.workers()) - {first}  # forked while the session is open
            server.get_from(new)
            wait_until_idle(client, new)
            os.kill(new, signal.SIGINT)
            wait_until_true(lambda: new not in server.workers())
            assert is_it(client, server.pid)


def test_the_recipe_in_a_worker_leaves_the_masters_manhole_alone(start: Start, trigger: Path) -> None:
    """The worker has inherited an installed manhole, which `strict=False` replaces in the worker only."""
    with start("uwsgi_recipe.py", PYTHONMANHOLE="") as server:
        wait_until_true(lambda: watches(server.pid))
        pid = server.get()
        with Reached(server.pid) as outer:
            trigger.write_text(f"{pid}\n")
            with Reached(pid) as client:
                assert is_it(client, pid)
                client.end()
            assert is_it(outer, server.pid)
        with Reached(server.pid) as again:
            assert is_it(again, server.pid)


def test_the_documented_lines_are_the_tested_ones() -> None:
    blocks = documented("uwsgi.md", "python")
    assert len(blocks) == 2
    for block, program in zip(blocks, ["uwsgi_recipe.py", "uwsgi_postfork.py"], strict=True):
        assert block in (PROGRAMS / program).read_text()
