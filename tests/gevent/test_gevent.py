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
