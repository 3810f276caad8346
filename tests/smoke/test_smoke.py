"""The shortest way through everything, for interpreters on which the whole suite is not run each time."""

import importlib.util
import os

import pytest
from harness import Patient

RUNTIMES = ["threads", *(name for name in ("gevent", "eventlet") if importlib.util.find_spec(name))]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_install_dump_repl_fork_and_exit(runtime: str) -> None:
    """One process, from install() to a clean end."""
    with Patient("commands.py", runtime, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "ready"
        patient.say("answer = manhole.install(verbose=False, locals={'answer': 42}).socket_path")
        assert patient.told() == patient.default_path
        with patient.connect() as client:
            dump = client.read_until()
            assert f"Process {patient.pid}, " in dump
            assert ", MainThread #########" in dump
            assert "commands.py" in dump
            assert client.ask("print(answer)") == "42\n"
            assert client.ask("for i in 'ab':", "    i", "") == "... ... 'a'\n'b'\n"
            assert client.ask("1/0").endswith("ZeroDivisionError: division by zero\n")
            # The kernel's own waitpid: gevent's may wait for ever for a child that ends at once, with no manhole too.
            patient.say("import posix; pid = os.fork() or os._exit(7); answer = posix.waitpid(pid, 0)[1] >> 8")
            assert patient.told() == 7
            assert client.ask("1 + 1") == "2\n"
            client.send("exit()\n")
            assert client.read_all() == ""
        patient.say("sys.exit(3)")
        assert patient.finish() == (3, "", "")
        assert not os.path.exists(patient.default_path)
