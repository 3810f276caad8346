"""Runs many sessions one after the other, kills some at random moments, and compares what there is afterwards."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from harness import Patient, count_threads, open_descriptors, wait_until_true
from speaking import messages, quiet

# What a killed client's session may be doing.
CODES = ["1 + 1", "while True: pass", "while True: print('x' * 1000)", "input()", "import time; time.sleep(0.001)"]
# Sessions before the comparison begins: what is made once, such as caches and the allocator's arenas, is there then.
WARM_UP = 200


def run_sessions(patient: Patient, count: int, chance: random.Random) -> int:
    """Run *count* sessions, by turns in text and in messages; how many of them were killed."""
    killed = 0
    for number in range(count):
        is_killed = chance.random() < 0.1
        killed += is_killed
        if number % 2:
            with messages(patient.default_path) as program:
                program.eval("import threading\nclass A: pass\na = A(); a.a = a\nthreading.current_thread().name")
                if is_killed:
                    program.send("eval", code=chance.choice(CODES))
                    program.client.socket.close()
                else:
                    program.ask("close")
        else:
            with quiet(patient.default_path) as client:
                client.ask("def f(): return f", "")
                client.send("time = __import__('time'); time.sleep(0.0001); 1/0\n")
                client.read_until()
                if is_killed:
                    client.send(chance.choice(CODES) + "\n\n"[: chance.randrange(3)])
                else:
                    client.send("exit()\n")
                    client.read_all()
    return killed


def settle(patient: Patient, threads: int) -> None:
    wait_until_true(lambda: count_threads(patient.pid) == threads)


def resident_kilobytes(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def count_objects(patient: Patient) -> dict[str, int]:
    patient.say("count")
    counted: dict[str, int] = patient.told()
    return counted


def grown(before: dict[str, int], after: dict[str, int]) -> Iterator[tuple[str, int]]:
    """The types of which there are more, the most first."""
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    return ((name, count) for name, count in sorted(more.items(), key=lambda item: -item[1]) if count > 0)


class Leaks:
    """What *count* sessions have left behind in *patient*, which runs programs/leaks.py.

    :ivar killed: how many of the sessions were killed.
    :ivar threads: how many there are more, and likewise the descriptors; and kilobytes of resident memory.
    :ivar objects: pairs of a type and how many more of it there are.
    """

    def __init__(self, patient: Patient, count: int, seed: int = 1) -> None:
        chance = random.Random(seed)
        threads = count_threads(patient.pid)
        run_sessions(patient, WARM_UP, chance)
        settle(patient, threads)
        descriptors = len(open_descriptors(patient.pid))
        before, kilobytes = count_objects(patient), resident_kilobytes(patient.pid)
        self.killed = run_sessions(patient, count, chance)
        settle(patient, threads)
        self.threads = count_threads(patient.pid) - threads
        self.descriptors = len(open_descriptors(patient.pid)) - descriptors
        self.kilobytes = resident_kilobytes(patient.pid) - kilobytes
        self.objects = list(grown(before, count_objects(patient)))
