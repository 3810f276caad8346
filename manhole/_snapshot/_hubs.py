"""What each hub does, by a few samples: whether it gets round its loop, or one unit keeps the thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from manhole import compat
from manhole._snapshot._greenlets import running_now
from manhole._snapshot._interning import Frames
from manhole._snapshot._model import Hub
from manhole._snapshot._process import is_runnable, thread_busy_seconds
from manhole._snapshot._stacks import Position, read_moment, without_own

__all__ = ["WatchedHub", "finish_hubs", "take_sample", "watch_until"]

# A thread that was busy for a smaller share of the time is taken to wait: what woke it was our own looking. Arbitrary.
IDLE_SHARE = 0.1
# Between two glances. One costs microseconds, and a wait for the GIL where the application computes.
GLANCE_SECONDS = 0.01


@dataclass(slots=True)
class WatchedHub:
    """A hub during collection, with what the samples have shown so far.

    :ivar ident, kind, name, thread: as of :class:`Hub`.
    :ivar is_loop_code: tells by the thread's stack, outermost first, whether the hub is in its loop.
    :ivar own: the hub's own greenlet; None for asyncio, whose loop is no unit.
    :ivar unit: the greenlet or the coroutine that was running at the first sample, None if none is known.
    :ivar unit_ident: ident of that unit; the hub's own for a callback.
    :ivar looped: how many samples found it in its loop.
    :ivar interrupted: whether the manhole itself holds its thread: in a signal handler, or because it was called there.
    :ivar same: whether all samples so far found that unit running.
    :ivar still: whether they found it at one and the same instruction.
    :ivar runnable: whether one of them found its thread running or waiting for a processor.
    :ivar busy: for how many seconds the thread has been either, at each sample; None where that is not told.
    """

    ident: int
    kind: str
    name: str
    thread: int | None
    is_loop_code: Callable[[Sequence[CodeType]], bool]
    own: Any = None
    unit: Any = None
    unit_ident: int | None = None
    looped: int = 0
    interrupted: bool = False
    samples: int = 0
    same: bool = True
    still: bool = True
    stack: list[Position] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    runnable: bool = False
    busy: list[float | None] = field(default_factory=list)

    def note(self, stack: list[Position], in_own: bool, running: bool, native: int | None) -> None:
        """Take note of one sample.

        :param stack: its thread's, innermost first, as it was read.
        :param in_own: whether the hub's own greenlet is running; of asyncio always.
        :param running: whether *unit* is.
        :param native: the thread's number, where it is known.
        """
        whole, stack = stack, without_own(stack)
        self.interrupted = self.interrupted or len(stack) < len(whole)
        codes = [code for code, _offset in reversed(stack)]
        in_another = running and self.unit is not None and self.unit is not self.own
        in_loop = in_own and not in_another and self.is_loop_code(codes)
        self.looped += in_loop
        is_known = self.unit is not None or self.own is None  # asyncio's callbacks are no units
        self.same = self.same and is_known and running and not in_loop
        self.still = self.still and (not self.stack or self.stack[:1] == stack[:1])
        self.samples += 1
        self.stack = [] if in_loop else stack
        self.times.append(compat.monotonic())
        if native is not None:
            self.runnable = self.runnable or is_runnable(native)
        self.busy.append(None if native is None else thread_busy_seconds(native))

    def finish(self, frames: Frames) -> Hub:
        """The result."""
        elapsed = self.times[-1] - self.times[0] if self.times else 0.0
        state = self._state(elapsed)
        innermost = frames.stack(self.stack[:1])
        stuck = state.startswith("stuck")
        has_unit = stuck or state == "interrupted"
        return Hub(
            ident=self.ident,
            kind=self.kind,
            name=self.name,
            thread=self.thread,
            state=state,
            unit=self.unit_ident if has_unit else None,
            frame=innermost[0] if innermost and state != "in its loop" else None,
            seconds=elapsed if stuck else 0.0,
            samples=self.samples,
        )

    def _state(self, elapsed: float) -> str:
        if not self.samples:
            return "unknown" if self.thread is None else "not running"
        if self.looped:
            return "in its loop"
        if self.interrupted:
            return "interrupted"
        if not self.same:
            return "running"
        before, after = self.busy[0], self.busy[-1]
        idle = before is not None and after is not None and after - before < IDLE_SHARE * elapsed
        return "stuck in C" if self.still and idle and not self.runnable else "stuck"


def take_sample(hubs: Iterable[WatchedHub]) -> None:
    """Look once more at all hubs whose first sample has been noted."""
    hubs = [hub for hub in hubs if hub.samples]
    slots = compat.greenlet_slots()
    greenlets = [hub.own for hub in hubs if hub.own is not None]
    units = [hub.unit for hub in hubs if hub.own is not None and hub.unit is not None]
    coroutines = [hub.unit for hub in hubs if hub.own is None and hub.unit is not None]
    questions: list[Iterable[Any]] = [map(compat.asyncio_tasks.coroutine_runs, coroutines)]
    if slots is not None:
        questions += [running_now(slots, greenlets), running_now(slots, units)]
    moment = read_moment(*questions)
    tasks, owns, running = map(iter, (*moment.answers, [], [])[:3])
    natives = compat.native_idents()
    for hub in hubs:
        in_own = next(owns) if hub.own is not None else True
        unit_runs = None if hub.unit is None else next(running if hub.own is not None else tasks)
        stack = moment.stacks.get(hub.thread) if hub.thread is not None else None
        if stack is not None:
            hub.note(stack, in_own, in_own if unit_runs is None else unit_runs, natives.get(hub.thread or 0))


def watch_until(moment: float, hubs: Iterable[WatchedHub]) -> None:
    """Wait until *moment*, of compat.monotonic(), and glance now and then whether each hub still runs the same unit.

    Without that, units that take turns look like one that never yields, if it is the same one's turn at every sample.
    """
    slots = compat.greenlet_slots()
    while (left := moment - compat.monotonic()) > 0:
        compat.sleep(min(left, GLANCE_SECONDS))
        for hub in hubs:
            if hub.same and hub.unit is not None:
                if hub.own is None:
                    hub.same = compat.asyncio_tasks.coroutine_runs(hub.unit)
                elif slots is not None:
                    hub.same = all(list(running_now(slots, [hub.unit])))


def finish_hubs(hubs: Iterable[WatchedHub], frames: Frames, order: Sequence[int]) -> tuple[Hub, ...]:
    """The results, in the order of the hubs' threads."""
    rank = {ident: position for position, ident in enumerate(order)}
    results = [hub.finish(frames) for hub in hubs]
    return tuple(sorted(results, key=lambda hub: rank.get(hub.thread or 0, len(rank))))
