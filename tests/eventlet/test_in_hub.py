"""eventlet's hubs, each of which waits in its own way."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from harness import Patient, conversation

EVENTLET = find_spec("eventlet")
assert EVENTLET is not None
assert EVENTLET.origin is not None
ON_ASYNCIO = pytest.param(
    "asyncio",
    marks=pytest.mark.skipif(
        not Path(EVENTLET.origin).with_name("hubs").joinpath("asyncio.py").exists(),
        reason="this eventlet has no hub on asyncio",
    ),
)


@pytest.mark.parametrize("state", ["busy", "ticking"])
@pytest.mark.parametrize("hub", ["epolls", "poll", "selects", ON_ASYNCIO])
def test_every_hub_runs_code(hub: str, state: str) -> None:
    with Patient("in_hub.py", "eventlet", state, flags=["-W", "ignore"], env={"EVENTLET_HUB": hub}) as patient:
        patient.told()
        with conversation(patient.default_path) as client:
            client.ask("import manhole, __main__ as app")
            for _ in range(3):
                assert client.ask("manhole.in_hub(app.where)") == "(True, 'GreenThread')\n"
            assert client.ask("app.interrupted(app.suspend)") == "'KeyboardInterrupt'\n"


@pytest.mark.parametrize("hub", ["epolls", ON_ASYNCIO])
def test_idle_hub_is_woken(hub: str) -> None:
    with Patient("in_hub.py", "eventlet", "idle", flags=["-W", "ignore"], env={"EVENTLET_HUB": hub}) as patient:
        patient.told()
        with conversation(patient.default_path) as client:
            client.ask("import manhole, __main__ as app")
            assert client.ask("manhole.in_hub(app.where)") == "(True, 'GreenThread')\n"


@pytest.mark.parametrize(("hub", "state"), [("epolls", "asleep"), ("poll", "idle"), ("selects", "idle")])
def test_hub_that_cannot_be_woken_is_said(hub: str, state: str) -> None:
    with Patient("in_hub.py", "eventlet", state, flags=["-W", "ignore"], env={"EVENTLET_HUB": hub}) as patient:
        patient.told()
        with conversation(patient.default_path) as client:
            client.ask("import manhole, __main__ as app")
            # It tells a moment before it is there; a hub that comes round once more can be woken from then on.
            client.dump_until(lambda dump: re.search(r"^hub eventlet .*: in its loop$", dump, re.M) is not None)
            answer = eval(client.ask("app.outcome(app.where, timeout=0.1)"))
            assert answer[0] is False
            assert "cannot be woken" in answer[2]
