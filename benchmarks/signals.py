"""From kill to prompt: how long a signal takes to open a manhole, with the hub idle, busy and stuck.

    python benchmarks/signals.py [ROUNDS]

Prints the median of ROUNDS (default 20) and the worst, in milliseconds, the greeting included. A figure says
little by itself: idle and busy, and the runtimes, are measured in one run to be compared.
"""

import signal
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from harness import Patient

OPTIONS = {"activate_on": signal.SIGUSR1, "oneshot_on": signal.SIGUSR1}


def measure(runtime: str, state: str, option: str) -> float:
    """Seconds from kill() to the first prompt, with a client that tries to connect all the time."""
    flags = ["-W", "ignore"]
    with Patient("patient.py", runtime, "after", state, f"{option}='USR1'", flags=flags) as patient:
        while patient.told() != "in state":
            pass
        begun = time.perf_counter()
        patient.process.send_signal(OPTIONS[option])
        while True:
            try:
                client = patient.connect()
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0)
        with client:
            client.read_until()
            return time.perf_counter() - begun


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{'runtime':10} {'option':12} {'state':12} {'median ms':>10} {'worst ms':>10}")
    for runtime in ("threads", "gevent", "eventlet"):
        for option in OPTIONS:
            for state in ("idle", "busy", "in_c_sleep"):
                taken = [1000 * measure(runtime, state, option) for _ in range(rounds)]
                print(f"{runtime:10} {option:12} {state:12} {statistics.median(taken):10.1f} {max(taken):10.1f}")


if __name__ == "__main__":
    main()
