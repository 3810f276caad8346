"""Snapshots made by hand: of a big server that hangs, and of an application whose names are meant to do harm."""

from __future__ import annotations

import dataclasses

from manhole._snapshot._model import Deadlock, Frame, Hub, Process, Snapshot, Unit, Wait

THREAD = 0x7F12_3456_7000
HUB = 0x7F12_0000_0000
FIRST_UNIT = 0x7F13_0000_0000

PROCESS = Process(
    pid=4242,
    argv=("/srv/app/venv/bin/python", "-m", "app.serve", "--port=8080"),
    uptime=93784.2,
    implementation="CPython",
    python="3.11.7",
    libraries=(("gevent", "26.9.0"), ("greenlet", "3.5.6")),
    patched=(("gevent", ("socket", "ssl", "threading", "time")),),
)

VERDICT = (
    "gevent hub of MainThread: running Greenlet worker-7 for at least 0.15 s through 3 samples, at app/stock.py:88",
    "  10,002 greenlets: 10,000 suspended, 1 running, 1 not started",
    "  deadlock: worker-1 waits for worker-2 waits for worker-1",
)

_PACKAGES = "/srv/app/venv/lib/python3.11/site-packages"
_START = (
    Frame(f"{_PACKAGES}/gevent/_greenlet.py", 906, "Greenlet.run"),
    Frame(f"{_PACKAGES}/gevent/pywsgi.py", 1117, "WSGIServer.handle"),
    Frame(f"{_PACKAGES}/gevent/pywsgi.py", 456, "WSGIHandler.handle"),
    Frame("/srv/app/app/middleware.py", 31, "Tracing.__call__"),
)
_ENDS = (
    (
        Frame("/usr/lib/python3.11/socket.py", 706, "SocketIO.readinto"),
        Frame(f"{_PACKAGES}/gevent/_socket3.py", 430, "socket.recv_into"),
        Frame(f"{_PACKAGES}/gevent/_socketcommon.py", 598, "_primitive_wait"),
    ),
    (
        Frame("/usr/lib/python3.11/threading.py", 327, "Condition.wait"),
        Frame(f"{_PACKAGES}/gevent/lock.py", 144, "RLock.acquire"),
    ),
    (Frame(f"{_PACKAGES}/gevent/hub.py", 159, "sleep"),),
    (Frame(f"{_PACKAGES}/gevent/queue.py", 335, "Queue.get"),),
)


def _stack(number: int) -> tuple[Frame, ...]:
    """One of the 300: handlers that call views that call models, and in the end a library that waits."""
    handler, view = number % 6, number % 25
    middle = (
        Frame("/srv/app/app/handlers.py", 20 + 14 * handler, f"Handler{handler}.dispatch"),
        Frame(f"/srv/app/app/views/page_{view}.py", 40 + view, f"Page{view}View.get"),
        Frame("/srv/app/app/models/stock.py", 12 + 3 * number, f"Stock.load_{number}"),
        Frame("/srv/app/app/database.py", 88, "Pool.query"),
    )
    return (*_START, *middle, *_ENDS[number % len(_ENDS)])


def _wait(number: int) -> Wait:
    return (
        Wait(
            "descriptor",
            descriptor=8 + number % 50,
            direction="read",
            local=f"10.0.0.7:{40000 + number % 20000}",
            remote="10.0.0.9:5432",
        ),
        Wait("lock", "RLock", ident=0x7F14_0000_1230, owners=(FIRST_UNIT + 0x100,)),
        Wait("timer", seconds=number % 90 / 3 - 2),
        Wait("queue", "JoinableQueue", ident=0x7F14_0000_4560, direction="get"),
    )[number % 4]


def big_snapshot(count: int = 10_000, stacks: int = 300) -> Snapshot:
    """A process with *count* greenlets in *stacks* different stacks, a hub, and two threads, one of them ours.

    The first stacks have the most greenlets, as in life: number n has about 1/n of the largest.
    """
    made = [_stack(number) for number in range(stacks)]
    shares = [1 / (number + 1) for number in range(stacks)]
    counts = [max(1, int(count * share / sum(shares))) for share in shares]
    counts[0] += count - sum(counts)
    greenlets = []
    spawning = (Frame("/srv/app/app/serve.py", 17, "main"), *_START[:1])
    for stack, many in enumerate(counts):
        for _ in range(many):
            number = len(greenlets)
            greenlets.append(
                Unit(
                    ident=FIRST_UNIT + 0x100 * number,
                    kind="Greenlet",
                    type="Greenlet",
                    name=f"worker-{number}",
                    state="suspended",
                    thread=THREAD,
                    hub=HUB,
                    parent=HUB,
                    spawner=FIRST_UNIT if number % 2 else None,
                    spawning_stack=spawning if number % 2 else (),
                    age=number * 0.37,
                    frames=made[stack],
                    wait=_wait(stack),
                )
            )
    return Snapshot(
        process=PROCESS,
        time=1_800_000_000.25,
        hubs=(Hub(HUB, "gevent", "Hub", THREAD, "stuck", FIRST_UNIT, made[0][-1], 0.15, 3),),
        threads=(
            dataclasses.replace(_thread(THREAD, "MainThread"), frames=(*_START, *_stack(3)[4:7])),
            dataclasses.replace(_thread(THREAD + 4096, "manhole"), own=True),
        ),
        greenlets=(*greenlets, _unstarted()),
        tasks=(),
        deadlocks=(Deadlock((FIRST_UNIT + 0x100, FIRST_UNIT + 0x200)),),
        finished=12,
        unseen=("112 objects that gc.freeze() has put away",),
    )


def _thread(ident: int, name: str) -> Unit:
    frames = (Frame("/usr/lib/python3.11/threading.py", 1002, "Thread._bootstrap"),)
    return Unit(ident, "thread", "", name, "running", ident, None, None, None, (), None, frames, None)


def _unstarted() -> Unit:
    return Unit(
        0x7F15_0000_0000, "Greenlet", "Job", "later", "not started", THREAD, HUB, HUB, None, (), 0.001, (), None
    )


# --- names that are meant to do harm

HOSTILE = {
    "script": "</script><script>document.title='HARMED'; window.harmed = 1; alert(1)</script>",
    "comment": "<!--<script>",
    "image": '<img src=http://192.0.2.1/harm.png onerror="window.harmed = 1">',
    "link": "<link rel=stylesheet href=http://192.0.2.1/harm.css>"
    "<iframe srcdoc='<script>parent.harmed=1</script>'></iframe>",
    "separators": "line\u2028paragraph\u2029end",
    "surrogates": "lone \ud83d and \udc00\udcff",
    "direction": "user\u202egnp.exe\u202c \u2066x\u2069",
    "controls": "nul\0 esc\x1b[31m bell\x07\r\nnext\tline",
    "quotes": "\"'`${window.harmed=1}\\\\\\u003c&lt;&amp;",
    "braces": "{{data}} {{nonce}} }}{{",
    "prototype": "__proto__",
    "long": "long" + "x" * 100_000,
    "wide": "漢字 naïve 🦔",
}


def hostile_snapshot() -> Snapshot:
    """Each of the names everywhere where a name can be."""
    units = []
    for number, name in enumerate(HOSTILE.values()):
        frames = (Frame(name, 1, name), Frame(f"/srv/{name}", 2**40, f"{name}.inner"))
        wait = Wait("lock", name, 0x1000 + number, (0x2000,), None, "", name, name, float("inf"))
        units.append(
            Unit(
                0x2000 + number,
                "Greenlet",
                name,
                name,
                "suspended",
                1,
                2,
                3,
                0x2000,
                frames,
                float("nan"),
                frames,
                wait,
            )
        )
    every = tuple(HOSTILE.values())
    return Snapshot(
        process=Process(1, every, None, every[0], every[1], (every[:2],), ((every[2], every),)),
        time=float("nan"),
        hubs=tuple(Hub(2, name, name, 1, name, None, None, 0.0, 3) for name in every),
        threads=tuple(_thread(index + 1, name) for index, name in enumerate(every)),
        greenlets=tuple(units),
        tasks=tuple(dataclasses.replace(unit, kind=unit.name, state=unit.name, frames=()) for unit in units),
        deadlocks=(Deadlock((0x2000, 0x2001)),),
        finished=0,
        unseen=every,
    )
