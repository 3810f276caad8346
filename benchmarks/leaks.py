"""leaks.py [--sessions N] [--runtime threads|gevent|eventlet]: what that many sessions leave behind, as Markdown.

A tenth of them are killed at random moments, in the middle of code as well.
"""

import argparse
import os
import platform
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--sessions", type=int, default=10_000)
parser.add_argument("--runtime", choices=["threads", "gevent", "eventlet"], default="gevent")
given = parser.parse_args()
os.environ["MANHOLE_TEST_RUNTIME"] = given.runtime
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from harness import Patient  # noqa: E402 - its folder is known only now
from many_sessions import Leaks  # noqa: E402
from speaking import quiet  # noqa: E402

with Patient("leaks.py", given.runtime, flags=["-W", "ignore"]) as patient:
    assert patient.told() == "ready"
    began = time.monotonic()
    left = Leaks(patient, given.sessions)
    seconds = time.monotonic() - began

python = f"{platform.python_implementation()} {platform.python_version()}"
more = ", ".join(f"{name} {count}" for name, count in left.objects[:8])
print(f"| After {given.sessions} sessions ({given.runtime}, {python}) | |")
print("| --- | ---: |")
print(f"| of them killed at a random moment | {left.killed} |")
print(f"| seconds in all | {seconds:.0f} |")
print(f"| threads more than before | {left.threads} |")
print(f"| descriptors more than before | {left.descriptors} |")
print(f"| resident memory, KiB more than before | {left.kilobytes} |")
print(f"| objects more than before, by type | {more or 'none'} |")

with Patient("leaks.py", given.runtime, flags=["-W", "ignore"]) as patient:
    assert patient.told() == "ready"
    patient.say("lateness")
    _, before = patient.told()
    with quiet(patient.default_path) as deaf, quiet(patient.default_path) as other:
        deaf.send("for i in range(200): print('x' * 1_000_000)\n\n")
        for _ in range(1000):
            other.ask("1")
        patient.say("lateness")
        worst, most = patient.told()

print()
print("| 200 MB printed to a client that does not read, while another asks 1,000 times | |")
print("| --- | ---: |")
print(f"| worst lateness of a ticker of 1 ms, ms | {1000 * worst:.1f} |")
print(f"| resident memory at its peak, KiB more than before | {most - before} |")
