"""What a session costs whoever opens it: ours beside python-manhole's and gevent.backdoor's, in one run.

    python benchmarks/sessions.py [--quick] [--rival PYTHON]

Run by a Python that has manhole and gevent; PYTHON has python-manhole 1.8.1 and gevent. Prints Markdown; what cannot be
measured here is named with the reason. `make bench-sessions` prepares all and runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("_server.py")
PROMPT = b">>> "
# Whoever has not answered by then does not. Arbitrary.
DEADLINE_SECONDS = 10.0
SESSIONS = 50
MIB = 1024 * 1024
Row = tuple[str, list[float] | str]

OURS = (("manhole, threads", "ours-threads"), ("manhole, gevent", "ours-gevent"))
RIVALS = (("python-manhole 1.8.1, threads", "rival"), ("gevent.backdoor", "backdoor"))


class Server:
    """A running `_server.py`."""

    def __init__(self, kind: str, state: str, arguments: argparse.Namespace) -> None:
        python = arguments.rival if kind == "rival" else sys.executable
        environ = dict(os.environ)
        if kind == "rival":
            environ.pop("PYTHONPATH", None)  # it may lead to ours, which has the same name
        command = [python, "-W", "ignore", str(SERVER), kind, state]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ)
        assert self.process.stdout is not None
        self.where = self.process.stdout.readline().decode().strip()
        self._deadline = time.monotonic() + DEADLINE_SECONDS

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        with contextlib.suppress(OSError):
            os.unlink(f"/tmp/manhole-{self.process.pid}")

    def connect(self) -> socket.socket:
        if self.where.isdigit():
            return socket.create_connection(("127.0.0.1", int(self.where)), DEADLINE_SECONDS)
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(DEADLINE_SECONDS)
            try:
                client.connect(self.where)
                return client
            except (FileNotFoundError, ConnectionRefusedError):
                client.close()
                # python-manhole listens a moment after its install() has returned.
                if time.monotonic() > self._deadline:
                    raise

    def rss(self) -> float:
        """MiB of resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def read_until(client: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        received = client.recv(256 * 1024)
        if not received:
            raise ConnectionError("closed")
        data += received
    return data


def hello(**fields: object) -> bytes:
    return json.dumps({"manhole": 1, **fields}).encode() + b"\n"


def open_plain(server: Server) -> socket.socket:
    client = server.connect()
    read_until(client, PROMPT)
    return client


def open_without_dump(server: Server) -> socket.socket:
    client = server.connect()
    client.sendall(hello(greeting=False))
    read_until(client, PROMPT)
    return client


def open_messages(server: Server) -> socket.socket:
    client = server.connect()
    client.sendall(hello(mode="messages"))
    read_until(client, b"\n")
    return client


def ask_plain(client: socket.socket) -> None:
    client.sendall(b"6 * 7\n")
    assert b"42" in read_until(client, PROMPT)


def ask_message(client: socket.socket) -> None:
    client.sendall(b'{"op":"eval","id":1,"code":"6 * 7"}\n')
    assert b'"42"' in read_until(client, b"\n")


Opener = Callable[[Server], socket.socket]
Asker = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Way:
    """One row of a table.

    :ivar kind: of server.
    :ivar ask: what is timed in a session that is open; None: the opening is.
    :ivar every: of so many rounds it takes part in one.
    """

    name: str
    kind: str
    open_session: Opener
    ask: Asker | None = None
    every: int = 1

    def prepare(self, server: Server, stack: contextlib.ExitStack) -> Callable[[], socket.socket | None]:
        """What is to be timed; it returns what is to be closed afterwards."""
        if self.ask is None:
            return partial(self.open_session, server)
        client = stack.enter_context(self.open_session(server))
        ask = partial(self.ask, client)
        ask()
        return ask


def time_interrupt(server: Server, rounds: int) -> list[float]:
    """From the interrupt to the end of a loop that does not wait, as the client sees it."""
    taken = []
    for _ in range(rounds):
        with open_messages(server) as client:
            client.sendall(b'{"op":"eval","id":1,"code":"print(1)\\nwhile True: pass"}\n')
            read_until(client, b"\n")
            begun = time.perf_counter()
            client.sendall(b'{"op":"interrupt","id":2}\n')
            data = b""
            while b'"KeyboardInterrupt"' not in data:
                data += client.recv(65536)
            taken.append(time.perf_counter() - begun)
    return taken


def time_many(server: Server, open_session: Opener, ask: Asker) -> tuple[list[float], float]:
    """Seconds to open 50 and ask each once, and MiB that a session adds."""
    before = server.rss()
    begun = time.perf_counter()
    clients = [open_session(server) for _ in range(SESSIONS)]
    for client in clients:
        ask(client)
    taken = time.perf_counter() - begun
    grown = server.rss() - before
    for client in clients:
        client.close()
    return [taken], grown / SESSIONS


PRINTS = "for i in range({}): print('x' * 99)\n\n"


def rate_of_output(server: Server, open_session: Opener, mib: int) -> list[float]:
    """MiB a second of lines of 100 bytes that are printed, to a client that only reads."""
    with open_session(server) as client:
        begun = time.perf_counter()
        client.sendall(PRINTS.format(mib * MIB // 100).encode())
        got = 0
        tail = b""
        while got < mib * MIB // 100 * 100 or not tail.endswith(PROMPT):
            received = client.recv(256 * 1024)
            got += len(received)
            tail = (tail + received)[-8:]
        return [mib / (time.perf_counter() - begun)]


def rate_by_socat(server: Server, mib: int) -> list[float]:
    source = PRINTS.format(mib * MIB // 100).encode() + b"exit()\n"
    command = ["socat", "-t60", "-", f"unix-connect:{server.where}"]
    begun = time.perf_counter()
    subprocess.run(command, input=hello(greeting=False) + source, stdout=subprocess.DEVNULL, check=True)
    return [mib / (time.perf_counter() - begun)]


class Bench:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.rounds = 20 if arguments.quick else 200
        self.mib = 10 if arguments.quick else 50

    def measure(self, kind: str, state: str, function: Callable[[Server], Any]) -> Any:
        """What *function* says of a fresh server; the reason, if it cannot be had."""
        if kind == "rival" and self.arguments.rival is None:
            return "no --rival given"
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {kind} {state}\n")
        with Server(kind, state, self.arguments) as server:
            try:
                return function(server)
            except OSError as error:
                return f"no answer ({type(error).__name__})"

    def time_in_turns(self, state: str, ways: list[Way]) -> list[Row]:
        """Each in a process of its own, all in the same moments: a processor does not keep its speed for minutes."""
        taken: dict[Way, list[float]] = {way: [] for way in ways}
        failed: dict[Way, str] = {}
        with contextlib.ExitStack() as stack:
            functions = {}
            for way in ways:
                if way.kind == "rival" and self.arguments.rival is None:
                    failed[way] = "no --rival given"
                    continue
                sys.stderr.write(f"{time.strftime('%H:%M:%S')} {way.kind} {state}\n")
                try:
                    functions[way] = way.prepare(stack.enter_context(Server(way.kind, state, self.arguments)), stack)
                except OSError as error:
                    failed[way] = f"no answer ({type(error).__name__})"
            for number in range(self.rounds):
                for way, function in functions.items():
                    if way in failed or number % way.every:
                        continue
                    begun = time.perf_counter()
                    try:
                        opened = function()
                    except OSError as error:
                        failed[way] = f"no answer ({type(error).__name__})"
                        continue
                    taken[way].append(time.perf_counter() - begun)
                    if opened is not None:
                        opened.close()
        return [(way.name, failed.get(way) or taken[way]) for way in ways]

    def rows(self, state: str, ways: list[Way]) -> list[Row]:
        """In turns, but for busy servers: these would share the processors."""
        if state == "idle":
            return self.time_in_turns(state, ways)
        return [row for way in ways for row in self.time_in_turns(state, [way])]

    def openings(self, state: str) -> list[Row]:
        ways = []
        for name, kind in OURS:
            ways.append(Way(f"{name}: messages", kind, open_messages))
            ways.append(Way(f"{name}: text", kind, open_without_dump))
            ways.append(Way(f"{name}: text, dump", kind, open_plain, every=10))
        ways += [Way(name, kind, open_plain) for name, kind in RIVALS]
        return self.rows(state, ways)

    def askings(self, state: str) -> list[Row]:
        ways = []
        for name, kind in OURS:
            ways.append(Way(f"{name}: messages", kind, open_messages, ask_message))
            ways.append(Way(f"{name}: text", kind, open_without_dump, ask_plain))
        ways += [Way(name, kind, open_plain, ask_plain) for name, kind in RIVALS]
        return self.rows(state, ways)

    def report(self) -> Iterator[str]:
        yield f"- {platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs, "
        yield f"  Linux {platform.release()}, load average {os.getloadavg()[0]:.1f} at the start"
        yield f"- {self.rounds} rounds; the switch interval of the GIL is 5 ms, one wait for it"
        for state in ("idle", "busy"):
            yield from table(f"Connect to prompt, {state}", self.openings(state))
            yield from table(f"One evaluation, there and back, {state}", self.askings(state))
        interrupts = [
            (f"{name}, {state}", self.measure(kind, state, lambda s: time_interrupt(s, self.rounds // 10)))
            for name, kind in OURS
            for state in ("idle", "busy")
        ]
        yield from table("From an interrupt to its effect on a loop of Python code", interrupts)
        yield from self.many()
        yield from self.output()

    def many(self) -> Iterator[str]:
        yield from (
            f"\n### {SESSIONS} sessions opened, each asked once\n",
            "|  | ms | MiB a session |",
            "| --- | ---: | ---: |",
        )
        for name, kind in (*OURS, *RIVALS):
            opener, ask = (open_messages, ask_message) if kind.startswith("ours") else (open_plain, ask_plain)
            got = self.measure(kind, "idle", lambda s, o=opener, a=ask: time_many(s, o, a))
            yield (
                f"| {name} | {got} |  |"
                if isinstance(got, str)
                else f"| {name} | {1000 * got[0][0]:.1f} | {got[1]:.2f} |"
            )

    def output(self) -> Iterator[str]:
        yield from (f"\n### Output, {self.mib} MiB in lines of 100 bytes\n", "|  | MiB/s |", "| --- | ---: |")
        rows: list[Row] = [
            (name, self.measure(kind, "idle", lambda s, k=kind: rate_of_output(s, opener_of(k), self.mib)))
            for name, kind in (*OURS, *RIVALS)
        ]
        if shutil.which("socat"):
            rows.append(
                (
                    "manhole, threads, read by socat",
                    self.measure("ours-threads", "idle", lambda s: rate_by_socat(s, self.mib)),
                )
            )
        for name, got in rows:
            yield f"| {name} | {got if isinstance(got, str) else f'{got[0]:.1f}'} |"


def opener_of(kind: str) -> Opener:
    return open_without_dump if kind.startswith("ours") else open_plain


def table(title: str, rows: list[Row]) -> Iterator[str]:
    yield from (f"\n### {title}\n", "|  | median ms | 90 % below | worst |", "| --- | ---: | ---: | ---: |")
    for name, got in rows:
        if isinstance(got, str):
            yield f"| {name} | {got} |  |  |"
        else:
            ordered = sorted(1000 * one for one in got)
            ninety = ordered[int(len(ordered) * 0.9)]
            yield f"| {name} | {statistics.median(ordered):.2f} | {ninety:.2f} | {ordered[-1]:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    parser.add_argument("--rival", metavar="PYTHON", help="a Python that has python-manhole 1.8.1 and gevent")
    for line in Bench(parser.parse_args()).report():
        print(line, flush=True)


if __name__ == "__main__":
    main()
