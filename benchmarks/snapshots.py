"""What a dump costs the process that is dumped: ours beside gevent's, python-manhole's, py-spy's and faulthandler's.

    python benchmarks/snapshots.py [--quick] [--sizes 1000,10000,100000] [--runs 3] [--rival PYTHON]

Run by a Python that has manhole and gevent; py-spy is looked for beside it and on the PATH. Every measurement is made
in a fresh process (`_patient.py`): the first look at a frame makes CPython 3.11 create an object for it, which stays.
Prints Markdown; what cannot be measured here is named with the reason. `make bench` prepares all and runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from _report import LIVE, Case, Results, format_report
from _ways import WAYS

PATIENT = Path(__file__).with_name("_patient.py")
# Arbitrary; ten times what the slowest took on a slow machine.
DEADLINE_SECONDS = 600
ON_A_FULL_HEAP = ("objects", "collect", "snapshot")
REPEATED = ("walk", "snapshot", "grouped", "full")
REPEATED_TIMES = 3


def find_py_spy() -> str | None:
    beside = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    return shutil.which("py-spy", path=beside)


class Bench:
    """Runs patients and keeps what they said."""

    def __init__(self, arguments: argparse.Namespace, folder: str) -> None:
        self.arguments = arguments
        self.output = os.path.join(folder, "dump")
        self.results: Results = {}

    def run(self, case: Case) -> None:
        """Measure *case* once more."""
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {case}\n")
        kept = self.results.setdefault(case, [])
        if not kept or "skipped" not in kept[0]:  # what could not be had once cannot be had
            kept.append(self.measure(case))

    def measure(self, case: Case) -> dict[str, Any]:
        python, environ = sys.executable, dict(os.environ)
        if case.kind == "live" and WAYS[case.way].rival:
            if self.arguments.rival is None:
                return {"skipped": "no --rival given, a Python that has it in place of ours"}
            python = self.arguments.rival
            environ.pop("PYTHONPATH", None)  # it may lead to ours, which has the same name
        request = {"depth": self.arguments.depth, "groups": self.arguments.groups, "output": self.output}
        command = [python, "-W", "ignore", str(PATIENT), json.dumps({**request, **case._asdict()})]
        refusal = None
        answer: dict[str, Any] = {}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as patient:
            assert patient.stdin is not None
            assert patient.stdout is not None
            deadline = threading.Timer(DEADLINE_SECONDS, patient.kill)
            deadline.start()
            try:
                for line in patient.stdout:
                    answer = json.loads(line)
                    if "ready" in answer:
                        refusal = self.dump_from_outside(patient.pid)
                        patient.stdin.write(b"\n")
                        patient.stdin.flush()
            except BaseException:
                patient.kill()
                raise
            finally:
                deadline.cancel()
        if patient.returncode != 0:
            raise SystemExit(f"the patient died with {patient.returncode} in {case}")
        return {"skipped": refusal} if refusal else answer

    def dump_from_outside(self, pid: int) -> str | None:
        """Let py-spy dump the patient; the reason if it cannot."""
        py_spy = find_py_spy()
        if py_spy is None:
            return "py-spy is not installed"
        with open(self.output, "wb") as output:
            command = [py_spy, "dump", "--pid", str(pid)]
            done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True)
        return (
            None if done.returncode == 0 else " ".join(done.stderr.split())[:200] or f"it ended with {done.returncode}"
        )

    def run_all(self) -> None:
        sizes, objects = self.arguments.sizes, self.arguments.objects
        self.run(Case("describe"))
        # Round by round, so that what else the machine does falls on all alike.
        for _ in range(self.arguments.runs):
            for size in sizes:
                self.run(Case("format", size=size))
                for way in LIVE:
                    self.run(Case("live", way, size))
            for way in ON_A_FULL_HEAP:
                if way not in LIVE:
                    self.run(Case("live", way, self.middle))
                self.run(Case("live", way, self.middle, objects=objects))
            self.run(Case("live", "snapshot", self.middle, objects=objects, track=True))
            for track in (False, True):
                self.run(Case("spawn", size=self.arguments.spawns, track=track))
        for way in REPEATED:
            self.run(Case("live", way, sizes[-1], times=REPEATED_TIMES))

    @property
    def middle(self) -> int:
        """The size of the table about other objects on the heap."""
        sizes: list[int] = self.arguments.sizes
        return sizes[len(sizes) // 2]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: sorted({int(one) for one in text.split(",")}), metavar="N,N,...")
    parser.add_argument("--runs", type=int, help="the table shows the median of so many, default 3")
    parser.add_argument("--quick", action="store_true", help="1,000 greenlets, one run, a small heap")
    parser.add_argument("--depth", type=int, default=15, help="Python frames per greenlet, default 15")
    parser.add_argument("--groups", type=int, default=8, help="different stacks among them, default 8")
    parser.add_argument("--objects", type=int, help="other objects on the heap, default 5,000,000")
    parser.add_argument("--spawns", type=int, help="greenlets spawned for the registry's cost, default 200,000")
    parser.add_argument("--rival", metavar="PYTHON", help="a Python that has python-manhole 1.8.1 and gevent")
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.sizes = arguments.sizes or ([1000] if quick else [1000, 10_000, 100_000])
    arguments.load = os.getloadavg()[0]
    arguments.runs = arguments.runs or (1 if quick else 3)
    arguments.objects = arguments.objects or (100_000 if quick else 5_000_000)
    arguments.spawns = arguments.spawns or (10_000 if quick else 200_000)
    return arguments


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="mh-bench-") as folder:
        bench = Bench(arguments, folder)
        bench.run_all()
    print("\n".join(format_report(bench.results, arguments)))


if __name__ == "__main__":
    main()
