"""What suspended units wait for, for each runtime and each kind of wait."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from harness import RUNTIME, Patient, wait_until_true

GREEN = RUNTIME != "threads"
GEVENT = RUNTIME == "gevent"


class Asked:
    """The program, and its answers."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        told = patient.told()
        self.things: dict[str, int] = told["things"]
        self.idents: dict[str, int] = told["idents"]
        self.listener: list[Any] = told["listener"]
        self.process: int = told["process"]

    def wait_of(self, name: str, **expected: Any) -> dict[str, Any]:
        """The wait of the unit *name*, once it has come to wait as *expected*."""
        wait: dict[str, Any] = {}

        def comes() -> bool:
            self.patient.say("")
            wait.clear()
            wait.update(self.patient.told()[name] or {})
            return all(wait.get(key) == value for key, value in expected.items())

        try:
            wait_until_true(comes)
        except AssertionError:
            raise AssertionError(f"{name}: {wait}, not {expected}") from None
        return wait


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    with Patient("waits.py", RUNTIME, flags=["-W", "ignore"]) as patient:
        asked = Asked(patient)
        yield asked
        os.kill(asked.process, signal.SIGKILL)


@pytest.mark.parametrize(
    ("unit", "kind"), [("event", "event"), ("semaphore", "semaphore"), ("condition", "event"), ("get", "queue")]
)
def test_a_primitive_is_named_with_its_identity(asked: Asked, unit: str, kind: str) -> None:
    wait = asked.wait_of(f"waits_{unit}", kind=kind, ident=asked.things[unit])
    assert wait["type"] == {"get": "Queue"}.get(unit, unit.capitalize())
    assert wait["seconds"] is None


def test_queues_have_a_direction(asked: Asked) -> None:
    asked.wait_of("waits_get", kind="queue", ident=asked.things["get"], direction="get")
    asked.wait_of("waits_put", kind="queue", ident=asked.things["put"], direction="put")


def test_time_left_is_told(asked: Asked) -> None:
    units = ["waits_get_for_a_while"]
    if GREEN:
        units += ["waits_event_for_a_while", "waits_sleep", "waits_timeout"]
    if GEVENT:
        units += ["waits_all", "waits_result", "waits_select"]
    for unit in units:
        seconds = asked.wait_of(unit)["seconds"]
        if seconds is None and os.environ.get("GEVENT_LOOP", "").startswith("libuv"):
            continue  # libuv's timers do not tell
        assert 500 < seconds < 1000


def test_a_listener_is_a_descriptor_with_its_address(asked: Asked) -> None:
    descriptor, address = asked.listener
    asked.wait_of("waits_accept", kind="descriptor", descriptor=descriptor, direction="read", local=address, remote="")


def test_a_process_and_a_thread_and_dns(asked: Asked) -> None:
    asked.wait_of("waits_process", kind="process", type="Popen")
    asked.wait_of("waits_thread", kind="unit", owners=[asked.things["joined"]])
    asked.wait_of("waits_dns", kind="DNS")


@pytest.mark.skipif(not GREEN, reason="a thread that waits for a lock does so in C")
class TestGreenUnits:
    def test_a_sleep_is_a_timer(self, asked: Asked) -> None:
        asked.wait_of("waits_sleep", kind="timer")

    def test_a_lock(self, asked: Asked) -> None:
        asked.wait_of("waits_locked", kind="lock", ident=asked.things["lock"])

    def test_reentrant_locks_have_owners(self, asked: Asked) -> None:
        idents = asked.idents
        asked.wait_of("waits_other", kind="lock", ident=asked.things["other"], owners=[idents["waits_one"]])
        asked.wait_of("waits_one", kind="lock", ident=asked.things["one"], owners=[idents["waits_other"]])

    def test_descriptors(self, asked: Asked) -> None:
        asked.wait_of("waits_recv", kind="descriptor", direction="read")
        asked.wait_of("waits_select", kind="descriptor", descriptor=asked.things["near"], direction="read")

    def test_the_thread_pool(self, asked: Asked) -> None:
        asked.wait_of("waits_pool", kind="thread pool")

    def test_another_ones_end(self, asked: Asked) -> None:
        if not GEVENT or os.environ.get("PURE_PYTHON"):
            asked.wait_of("waits_joined", kind="unit", owners=[asked.things["first"]])


@pytest.mark.skipif(not GEVENT, reason="what gevent alone has")
class TestGevent:
    def test_several_greenlets(self, asked: Asked) -> None:
        wait = asked.wait_of("waits_all", kind="unit")
        assert sorted(wait["owners"]) == sorted([asked.things["first"], asked.things["second"]])

    def test_own_primitives(self, asked: Asked) -> None:
        owner = asked.idents["holds_own_lock"]
        asked.wait_of("waits_own_lock", kind="lock", ident=asked.things["own_lock"], owners=[owner])
        asked.wait_of("waits_result", kind="event", ident=asked.things["result"], type="AsyncResult")
        asked.wait_of("waits_channel", kind="queue", ident=asked.things["channel"], direction="put")


@pytest.mark.skipif(RUNTIME != "threads", reason="once is enough")
@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy's futures do not all tell what a task waits for")
def test_asyncio() -> None:
    with Patient("waits_asyncio.py", flags=["-W", "error"]) as patient:
        things = patient.told()["things"]

        def answer() -> dict[str, Any]:
            patient.say("")
            told: dict[str, Any] = patient.told()
            return told

        wait_until_true(lambda: len(answer()) == len(things["names"]) and all(answer().values()))
        waits = answer()
    kinds = {
        "sleeps": "timer",
        "locks": "lock",
        "gets": "queue",
        "puts": "queue",
        "waits_event": "event",
        "waits_semaphore": "semaphore",
        "waits_condition": "event",
        "awaits_task": "unit",
        "gathers": "unit",
        "waits_for_one": "timer" if sys.version_info >= (3, 12) else "unit",  # awaited within the same task since then
        "waits_several": "unit",
        "receives": "descriptor",
        "reads_stream": "descriptor",
        "in_executor": "thread pool",
        "to_thread": "thread pool",
        "waits_process": "process",
    }
    if sys.version_info >= (3, 11):
        kinds["in_group"] = "unit"
    assert {name: wait["kind"] for name, wait in waits.items()} == kinds
    assert 500 < waits["sleeps"]["seconds"] < 1000
    for name in ("locks", "gets", "puts", "waits_event", "waits_semaphore", "waits_condition"):
        assert waits[name]["ident"] == things[name], name
    assert (waits["gets"]["direction"], waits["puts"]["direction"]) == ("get", "put")
    for name in ("awaits_task", "gathers", "waits_several"):
        assert waits[name]["owners"] == [things["sleeps"]], name
    assert (waits["receives"]["descriptor"], waits["receives"]["direction"]) == (things["receives"], "read")
    assert waits["reads_stream"]["remote"] == things["reads_stream"]
