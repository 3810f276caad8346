"""What only gevent has."""

from harness import Patient, conversation
from hubs import check_hubs_on_several_threads


def test_hubs_on_several_threads() -> None:
    check_hubs_on_several_threads("gevent", "Greenlet")


def test_looking_gives_no_greenlet_an_ident() -> None:
    """gevent makes up a name when it is asked for one and files it in the hub, which a dump must not do."""
    with Patient("patient.py", "gevent", "after", "idle") as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        with conversation(patient.default_path) as client:
            client.ask("dump_stacktraces()")
            client.ask(
                "from gevent.hub import Hub; import gc; hub = [o for o in gc.get_objects() if type(o) is Hub][0]"
            )
            assert client.ask("len(hub.ident_registry)") == "0\n"


def test_greenlets_that_wait_in_c_code_alone_are_not_waited_for() -> None:
    """They have no frame at all, as one has that runs at the moment when it is looked at; of 10,000 that would tell."""
    with Patient("commands.py", "gevent", flags=["-W", "ignore"]) as patient:
        assert patient.told() == "ready"
        patient.say(
            "import gevent.event; manhole.install(verbose=False); event = gevent.event.Event(); "
            "waiting = [gevent.spawn(event.wait) for _ in range(3)]; gevent.sleep(0); answer = [*map(id, waiting)]"
        )
        idents = patient.told()
        with conversation(patient.default_path) as client:
            client.ask("import manhole; sys.modules['manhole._snapshot._greenlets'].LOOK_SECONDS = 3600")
            client.ask("units = {u.ident: u for u in manhole.snapshot(samples=1).greenlets}")
            found = client.ask(f"[(units[ident].state, units[ident].wait.kind) for ident in {idents}]")
            assert found == f"{[('suspended', 'event')] * 3}\n"
