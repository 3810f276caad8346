"""gevent and eventlet may be installed: unless the application uses them, nothing of them is loaded or heard of."""

import importlib.util

import pytest
from harness import Patient, conversation

BOTH = all(importlib.util.find_spec(name) for name in ("gevent", "eventlet"))


def test_installed_libraries_stay_unloaded() -> None:
    with Patient("patient.py", "threads", "after", "idle", flags=["-W", "error"]) as patient:
        patient.told()
        assert patient.told() == []
        assert patient.told() == "in state"
        with conversation(patient.default_path) as client:
            client.ask("dump_stacktraces()")
            loaded = client.ask(
                "sorted(n for n in sys.modules if n.split('.')[0] in ('gevent', 'eventlet', 'greenlet'))"
            )
            assert loaded == "[]\n"
        patient.process.terminate()
        _, out, err = patient.finish()
        assert (out, err) == ("", "")


@pytest.mark.skipif(not BOTH, reason="needs gevent and eventlet")
@pytest.mark.parametrize("order", ["gevent eventlet", "eventlet gevent"])
@pytest.mark.parametrize("when", ["first", "last"])
def test_both_libraries_patched_one_over_the_other(order: str, when: str) -> None:
    with Patient("both.py", when, *order.split(), flags=["-W", "ignore"]) as patient:
        assert patient.told() == ["builtin_function_or_method"] * 6
        assert patient.told() == "busy"
        with conversation(patient.default_path) as client:
            assert client.ask("6 * 7") == "42\n"
            client.dump_until(lambda dump: "in busy\n" in dump)


@pytest.mark.skipif(not BOTH, reason="needs gevent and eventlet")
@pytest.mark.parametrize("use", ["gevent", "eventlet"])
def test_a_library_used_and_not_patched(use: str) -> None:
    with Patient("unpatched.py", use, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "idle"
        with conversation(patient.default_path) as client:
            kind = {"gevent": "Greenlet", "eventlet": "GreenThread"}[use]
            client.dump_until(lambda dump: f"--- {kind} works, suspended" in dump and f"--- hub {use}, running" in dump)
            other = {"gevent": "eventlet", "eventlet": "gevent"}[use]
            assert client.ask(f"{other!r} in sys.modules") == "False\n"
