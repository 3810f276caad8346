"""gunicorn: workers forked from Python, with the application loaded before the fork or after it."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import PROGRAMS, Conversation, wait_until_true
from servers import SCRIPTS, Reached, Server, documented, manhole_of

pytest.importorskip("gunicorn", reason="gunicorn is not installed in this environment")

Start = Callable[..., Server]

# What a worker has to be told, apart from its class.
CLASSES = {"gthread": ["--threads", "2"], "gevent": []}
PRELOAD = {"preloaded": ["--preload"], "loaded_by_each_worker": []}
INSTALLED = {
    "by_the_application": ["wsgi_installs:application"],
    "by_post_fork": ["--config", "{programs}/gunicorn_post_fork.py", "wsgi_plain:application"],
}


@pytest.fixture(params=CLASSES)
def start(request: pytest.FixtureRequest, short_path: Path) -> Start:
    if request.param == "gevent":
        pytest.importorskip("gevent")

    def start(*options: str, **env: str) -> Server:
        command = [str(SCRIPTS / "gunicorn"), "--bind", "unix:{socket}", "--workers", "2", "--pythonpath", "{programs}"]
        command += ["--worker-class", request.param, *CLASSES[request.param], *options]
        return Server(*command, folder=short_path, env=env)

    return start


def is_it(client: Conversation, pid: int) -> bool:
    return client.ask("import os; os.getpid()") == f"{pid}\n"


@pytest.mark.parametrize("installed", INSTALLED)
@pytest.mark.parametrize("preload", PRELOAD)
def test_every_worker_is_reachable_and_stops_cleanly(start: Start, preload: str, installed: str) -> None:
    with start(*PRELOAD[preload], *INSTALLED[installed]) as server:
        workers = server.workers()
        for pid in workers:
            with Reached(pid) as client:
                assert is_it(client, pid)
                server.get_from(pid)
                client.end()
        arbiter_has_one = (preload, installed) == ("preloaded", "by_the_application")
        assert os.path.exists(manhole_of(server.pid)) == arbiter_has_one
        assert server.stop() == 0
        assert not any(map(os.path.exists, map(manhole_of, [server.pid, *workers])))


@pytest.mark.parametrize("installed", INSTALLED)
def test_a_worker_that_takes_the_place_of_a_dead_one_has_its_own(start: Start, installed: str) -> None:
    with start("--preload", *INSTALLED[installed]) as server:
        first, second = server.workers()
        with Reached(first), Reached(second) as other:
            os.kill(first, signal.SIGKILL)
            wait_until_true(lambda: first not in server.workers())
            (new,) = set(server.workers()) - {second}
            with Reached(new) as client:
                assert is_it(client, new)
            assert is_it(other, second)


def test_the_variable_reaches_every_process(start: Start) -> None:
    with start("wsgi_plain:application", PYTHONMANHOLE="") as server:
        with Reached(server.pid) as arbiter:
            assert is_it(arbiter, server.pid)
        for pid in server.workers():
            with Reached(pid) as client:
                assert is_it(client, pid)


def test_the_documented_lines_are_the_tested_ones() -> None:
    blocks = documented("gunicorn.md", "python")
    assert len(blocks) == 2
    for block, program in zip(blocks, ["wsgi_installs.py", "gunicorn_post_fork.py"], strict=True):
        assert block in (PROGRAMS / program).read_text()


@pytest.mark.parametrize("preload", PRELOAD)
@pytest.mark.parametrize("worker_class", ["sync", "gevent"])
def test_a_worker_leaves_a_dump_when_its_time_is_out(worker_class: str, preload: str, short_path: Path) -> None:
    """As docs/dumps.md shows it; gunicorn has taken the wakeup descriptor and sends SIGKILL a second later."""
    if worker_class == "gevent":
        pytest.importorskip("gevent")
    (configuration,) = [block for block in documented("dumps.md", "python") if "post_worker_init" in block]
    assert '"/var/tmp/' in configuration
    (short_path / "conf.py").write_text(configuration.replace('"/var/tmp/', f'"{short_path}/'))
    command = [str(SCRIPTS / "gunicorn"), "--bind", "unix:{socket}", "--pythonpath", "{programs}", "--timeout", "1"]
    command += ["--config", str(short_path / "conf.py"), "--worker-class", worker_class, *PRELOAD[preload]]
    with Server(*command, "wsgi_hangs:application", folder=short_path) as server:
        pid = server.get()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(server.socket_path)
            client.sendall(b"GET /hang HTTP/1.0\r\n\r\n")
            # It is written bit by bit.
            wait_until_true(lambda: any("in hang\n" in path.read_text() for path in short_path.glob(f"app-{pid}-*")))
        assert len(list(short_path.glob("app-*.txt"))) == 1
