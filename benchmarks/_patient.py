"""The process that is dumped: suspended gevent greenlets, a ticker on the hub, and one measurement.

    python benchmarks/_patient.py '{"kind": "live", "way": "full", "size": 1000, ...}'

Prints one line of JSON: what was measured, or {"skipped": why}. `snapshots.py` starts it, anew for each measurement.
"""

# ruff: noqa: E402 - all that follows sees the patched modules, as an application does

from gevent import monkey

monkey.patch_all()

import gc
import json
import os
import platform
import re
import sys
import threading
from collections.abc import Callable
from time import perf_counter as clock  # monotonic; gevent does not patch it
from typing import IO, Any

import gevent
from _ways import FORMATS, WAYS, Dump, Skip
from gevent.event import Event

# What runs in these is no greenlet, and what they wait for is not waited for by the hub.
start_thread: Callable[..., int] = monkey.get_original("_thread", "start_new_thread")
TICK_SECONDS = 0.001
IDLE_SECONDS = 0.3
# Finished before the next are spawned, so that what is measured is the spawn and not the memory of thousands at once.
SPAWN_BATCH = 1000

never = Event()


def go_left(path: int, depth: int) -> None:
    if depth == 1:
        never.wait()
    else:
        (go_right if path & 1 else go_left)(path >> 1, depth - 1)


def go_right(path: int, depth: int) -> None:
    if depth == 1:
        never.wait()
    else:
        (go_right if path & 1 else go_left)(path >> 1, depth - 1)


def spawn_greenlets(size: int, depth: int, groups: int) -> list[Any]:
    """*size* greenlets with *depth* Python frames each, in *groups* different stacks, all of them suspended."""
    greenlets = [gevent.spawn(go_left, index % groups, depth) for index in range(size)]
    gevent.spawn(int).join()  # greenlets start in the order of their spawning: the others wait by now
    assert not any(greenlet.ready() for greenlet in greenlets)
    return greenlets


def read_kib(field: str) -> int:
    """A field of /proc/self/status, such as VmRSS."""
    with open("/proc/self/status") as status:
        found = re.search(rf"^{field}:\s+(\d+) kB", status.read(), re.M)
    assert found is not None
    return int(found[1])


def tick(ended: list[Any]) -> float:
    """The worst lateness in seconds of a greenlet that wants to run every TICK_SECONDS, until *ended* has an item."""
    worst = 0.0
    while not ended:
        due = clock() + TICK_SECONDS
        gevent.sleep(TICK_SECONDS)
        worst = max(worst, clock() - due)
    return worst


def wait_outside(file: IO[str]) -> None:
    """The dump is made by another process: say that all is ready, and wait for its end."""
    os.write(1, b'{"ready": true}\n')
    os.read(0, 1)


def measure_dump(dump: Dump, where: str, output: str) -> dict[str, float]:
    """One dump, while the hub ticks."""
    ended: list[BaseException | None] = []
    taken: list[float] = []

    def run() -> None:
        error: BaseException | None = None
        try:
            with open(output, "w", encoding="utf-8") as file:
                begun = clock()
                dump(file)
                file.flush()
                taken.append(clock() - begun)
        except BaseException as caught:
            error = caught
        ended.append(error)

    gc.collect()
    ticker = gevent.spawn(tick, ended)
    gevent.sleep(20 * TICK_SECONDS)  # it ticks by now
    before = read_kib("VmRSS")
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")  # VmHWM starts again from VmRSS; proc(5)
    if where == "hub":
        gevent.spawn(run)
    else:
        start_thread(run, ())
    worst = ticker.get()
    peak = read_kib("VmHWM")
    if ended[0] is not None:
        raise ended[0]
    gc.collect()
    return {
        "seconds": taken[0],
        "lateness": worst,
        "peak_kib": peak - before,
        "stays_kib": read_kib("VmRSS") - before,
        "bytes": os.path.getsize(output),
    }


def measure_live(request: dict[str, Any]) -> dict[str, Any]:
    way = WAYS[request["way"]]
    track(request)
    greenlets = spawn_greenlets(request["size"], request["depth"], request["groups"])
    gc.disable()
    others: list[list[Any]] = [[] for _ in range(request["objects"])]
    gc.enable()
    dump = wait_outside if way.where == "outside" else way.prepare()
    gc.collect()
    ended: list[Any] = []
    gevent.spawn_later(IDLE_SECONDS, ended.append, None)
    idle = tick(ended)
    dumps = [measure_dump(dump, way.where, request["output"]) for _ in range(request["times"])]
    assert len(greenlets) + len(others) == request["size"] + request["objects"]  # they live until here
    return {"idle": idle, "dumps": dumps}


def track(request: dict[str, Any]) -> None:
    """Install the manhole with its registry of greenlets, if the request says so."""
    if not request["track"]:
        return
    import manhole

    try:
        options: dict[str, Any] = {"track_greenlets": True}
        manhole.install(verbose=False, socket_path=request["output"] + ".sock", **options)
    except manhole.InvalidOption:
        raise Skip("this manhole has no install(track_greenlets=...)") from None


def measure_format(request: dict[str, Any]) -> dict[str, Any]:
    """Getting the data and formatting it, in a process that does nothing else meanwhile."""
    greenlets = spawn_greenlets(request["size"], request["depth"], request["groups"])
    # Whoever looks first makes the interpreter create the frame objects; that is in the live dumps.
    WAYS["walk"].prepare()(sys.stdout)
    results: dict[str, Any] = {}
    for name, one in FORMATS.items():
        try:
            write = one.prepare()
        except Skip as skip:
            results[name] = {"skipped": str(skip)}
            continue
        gc.collect()
        begun = clock()
        data = one.collect()
        collected = clock()
        text = write(data)
        written = clock()
        results[name] = {"collect": collected - begun, "format": written - collected, "bytes": len(text.encode())}
        del data, text
    assert len(greenlets) == request["size"]
    return results


def measure_spawn(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds from a greenlet's spawn to its end, for one that does nothing."""
    track(request)
    batches = max(1, request["size"] // SPAWN_BATCH)
    begun = clock()
    for _ in range(batches):
        gevent.joinall([gevent.spawn(int) for _ in range(SPAWN_BATCH)])
    return {"seconds": (clock() - begun) / (batches * SPAWN_BATCH)}


def describe(request: dict[str, Any]) -> dict[str, Any]:
    """What is measured in."""
    import greenlet

    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gevent": gevent.__version__,
        "greenlet": greenlet.__version__,
        "switch_interval": sys.getswitchinterval(),
        "threads": threading.active_count(),
    }


KINDS = {"live": measure_live, "format": measure_format, "spawn": measure_spawn, "describe": describe}


def main() -> None:
    request = json.loads(sys.argv[1])
    try:
        result = KINDS[request["kind"]](request)
    except Skip as skip:
        result = {"skipped": str(skip)}
    os.write(1, json.dumps(result).encode() + b"\n")
    os._exit(0)  # a hundred thousand greenlets are not to be killed one by one


if __name__ == "__main__":
    main()
