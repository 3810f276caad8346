"""Arbitrary bytes, cut messages, huge lines and clients in turns: nothing crashes, hangs or disturbs others."""

import contextlib
import json
from collections.abc import Iterator

import pytest
from harness import RUNTIME, Conversation, Patient, count_threads, wait_until_true
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speaking import hello, messages, quiet

# A fixed and modest number of examples, the same each time: what it finds must not depend on luck.
modest = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def patient() -> Iterator[Patient]:
    with Patient("patient.py", RUNTIME, "after", "idle") as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        with quiet(patient.default_path) as bystander:
            threads = count_threads(patient.pid)
            yield patient
            assert bystander.ask("1 + 1") == "2\n"
            wait_until_true(lambda: count_threads(patient.pid) == threads)


REQUESTS = [
    {"op": "describe", "id": 1},
    {"op": "eval", "code": "1/0", "id": "x"},
    {"op": "eval", "code": "print('x' * 100000)\nx = [1]\nx"},
    {"op": "eval", "code": "input()"},
    {"op": "eval", "code": "for _ in range(10**5): pass", "timeout": 0.1},
    {"op": "complete", "text": "os.pa"},
    {"op": "interrupt"},
    {"op": "input", "text": "x"},
    {"op": "snapshot", "match": "x"},
    {"op": "sessions"},
    {"op": "mirror", "on": True},
    {"op": "close"},
]
STATEMENTS = [
    "1 + 1\n",
    "def f():\n",
    "  return input()\n",
    "\n",
    "'''\n",
    "f()\n",
    "%help\n",
    "%sessions\n",
    "%\n",
    "print('x' * 100000)\n",
    "while True: pass\n\n\x03",
    "\x04",
    "exit()\n",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
altered = st.builds(
    lambda request, field, value: (json.dumps({**request, field: value}) + "\n").encode(),
    st.sampled_from(REQUESTS),
    st.sampled_from(
        ["op", "id", "code", "text", "on", "hub", "timeout", "match", "samples", "within", "kind", "thread"]
    ),
    json_values,
)
whole = st.sampled_from([(json.dumps(one) + "\n").encode() for one in REQUESTS])
typed = st.sampled_from([one.encode() for one in STATEMENTS])
hellos = st.sampled_from([hello().encode(), hello(mode="messages").encode(), b'{"manhole":2}\n', b'{"manhole":\n'])
huge = st.sampled_from(
    [b"x" * 1_100_000, b"[" * 200_000 + b"\n", b'{"op":"eval","code":"' + b"1" * 1_048_550, b"\x00" * 9000]
)
cut = st.builds(lambda data, end: data[: end % len(data)], whole | altered | hellos | typed, st.integers(0, 500))
pieces = st.lists(st.binary(max_size=40) | whole | altered | hellos | typed | cut | huge, max_size=8)


def send(client: Conversation, data: bytes) -> bool:
    """Whether it could be sent, which is not so where one of both sides has closed, or the other one reads no more."""
    try:
        client.socket.settimeout(0.05)
        client.socket.sendall(data)
    except OSError:
        return False
    return True


def answers(patient: Patient) -> None:
    """The others are served, whatever the fuzz has done."""
    with quiet(patient.default_path) as client:
        assert client.ask("1 + 1") == "2\n"
    with messages(patient.default_path) as program:
        assert program.eval("2 + 2")["value"] == "4"


@modest
@given(
    first=st.sampled_from([b"", hello().encode(), hello(mode="messages").encode()]), sent=pieces, reads=st.booleans()
)
def test_whatever_one_client_sends(patient: Patient, first: bytes, sent: list[bytes], reads: bool) -> None:
    with patient.connect() as client:
        for piece in (first, *sent):
            if not send(client, piece):
                break
        if reads:
            with contextlib.suppress(OSError):
                client.socket.recv(65536)
    answers(patient)


@modest
@given(
    kinds=st.lists(
        st.sampled_from([b"", hello(greeting=False).encode(), hello(mode="messages").encode()]), min_size=2, max_size=5
    ),
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.binary(max_size=20) | whole | altered | typed | cut, st.booleans()), max_size=20
    ),
)
def test_several_clients_in_turns(patient: Patient, kinds: list[bytes], steps: list[tuple[int, bytes, bool]]) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(patient.connect()) for _ in kinds]
        for client, first in zip(clients, kinds, strict=True):
            send(client, first)
        for which, data, leaves in steps:
            client = clients[which % len(clients)]
            send(client, data)
            if leaves:
                client.socket.close()
        answers(patient)
    answers(patient)


@modest
@given(code=st.text(max_size=200) | st.sampled_from(STATEMENTS), hub=json_values)
def test_whatever_is_to_be_evaluated_is_answered(patient: Patient, code: str, hub: object) -> None:
    with messages(patient.default_path) as program:
        # At once: the code may end the session.
        requests = ({"op": "eval", "id": 1, "code": code, "timeout": 0.5}, {"op": "input", "id": 2, "text": None})
        program.client.send("".join(json.dumps(request) + "\n" for request in requests))
        with contextlib.suppress(OSError):
            program.client.socket.shutdown(1)
        assert program.answers(1)[-1]["type"] in ("done", "error")
    with messages(patient.default_path) as program:
        assert program.eval("1", hub=hub, timeout=0.5)["type"] in ("done", "error")
