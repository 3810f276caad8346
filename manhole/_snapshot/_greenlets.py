"""The greenlets of a snapshot: their states, what they are called, their stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from operator import and_
from types import CodeType
from typing import Any

from manhole import compat
from manhole._snapshot._explaining import Explaining
from manhole._snapshot._interning import Frames
from manhole._snapshot._model import Unit
from manhole._snapshot._pace import Pace
from manhole._snapshot._roots import Roots
from manhole._snapshot._stacks import Moment, Position, are_none, read_stack, without_own
from manhole.compat import Label, Runtime, Slots

__all__ = ["Greenlets", "running_now"]

# How often a greenlet that runs at the very moment of its turn is looked at again. Arbitrary; 0.1 seconds are enough
# for its thread to get a processor on a loaded machine. One that goes on running costs it, so at most one of a thread.
LOOKS = 100
# Between two looks. sleep(0) would often take the GIL back before anybody has run.
LOOK_SECONDS = 0.001
# How many greenlets are asked for their state in one C call: well below a millisecond.
CHUNK = 2000


def running_now(slots: Slots, greenlets: Sequence[Any]) -> Iterator[bool]:
    """For each greenlet whether it runs: it is active, and its stack is its thread's. Without a step of bytecode."""
    return map(and_, are_none(map(slots.top_frame, greenlets)), map(slots.active, greenlets))


class Greenlets:
    """All greenlets during collection.

    :param slots: greenlet's getters.
    :param greenlets: all that there are.
    :ivar unfinished: those that have not finished.
    :ivar finished: the others.
    :ivar candidates: those that did not show a stack of their own; one for each thread still runs at the moment of the
        snapshot, as a rule.
    """

    def __init__(self, slots: Slots, greenlets: Sequence[Any], pace: Pace) -> None:
        self._slots = slots
        self._pace = pace
        self.unfinished: list[Any] = []
        self.finished: list[Any] = []
        self.candidates: list[Any] = []
        for start in range(0, len(greenlets), CHUNK):
            chunk = greenlets[start : start + CHUNK]
            dead = list(map(slots.dead, chunk))
            self.finished += compress(chunk, dead)
            alive = [greenlet for greenlet, is_dead in zip(chunk, dead, strict=True) if not is_dead]
            self.unfinished += alive
            self.candidates += compress(alive, list(running_now(slots, alive)))
            pace.step()
        self._running: set[int] = set()
        self._frameless: set[int] = set()
        self._moment: Moment | None = None
        self._labellers = [
            (runtime, labeller) for runtime in compat.RUNTIMES if (labeller := runtime.make_labeller()) is not None
        ]
        self._biographers = [tell for runtime in compat.RUNTIMES if (tell := runtime.make_biographer()) is not None]

    def settle(self, moment: Moment, running: Sequence[bool], roots: Roots) -> None:
        """Take *moment* for the instant of the snapshot; *running* says which candidates seemed to run then.

        A greenlet that waits in nothing but C code, such as `gevent.spawn(event.wait)`, has no frame to show either. At
        most one of a thread runs.
        """
        self._moment = moment
        self._frameless = set(map(id, compress(self.candidates, running)))
        by_root: dict[int, list[Any]] = {}
        for greenlet in compress(self.candidates, running):
            by_root.setdefault(roots.root_of(greenlet), []).append(greenlet)
        for greenlets in by_root.values():
            chosen = greenlets[0] if len(greenlets) == 1 else self._find_running(greenlets, roots)
            if chosen is not None:
                self._running.add(id(chosen))

    def _find_running(self, greenlets: Sequence[Any], roots: Roots) -> Any:
        """The one of *greenlets* that runs, as far as can be told: where their thread's stack begins, it began."""
        assert self._moment is not None
        root = roots.root_of(greenlets[0])
        # Both run Python code, and would show it if they were suspended.
        for greenlet in greenlets:
            if id(greenlet) == root or self.label(greenlet, ())[0].kind == "hub":
                return greenlet
        thread = roots.thread_of(greenlets[0])
        stack = self._moment.stacks.get(thread, []) if thread is not None else []
        names = {compat.code_name(code) for code, _offset in stack[-1:]}
        alike = [greenlet for greenlet in greenlets if self.label(greenlet, ())[0].name in names]
        return alike[0] if len(alike) == 1 else None

    def find(self, ident: int) -> Any:
        """The greenlet with that ident, None if there is none."""
        return next((one for one in (*self.unfinished, *self.finished) if id(one) == ident), None)

    def is_running(self, greenlet: Any) -> bool:
        """Whether *greenlet* ran at the instant of the snapshot."""
        return id(greenlet) in self._running

    def label(self, greenlet: Any, positions: Sequence[Position]) -> tuple[Label, Runtime | None]:
        """What *greenlet* is, and which runtime says so.

        :param positions: its stack, outermost first.
        """
        codes: list[CodeType] = [code for code, _offset in positions]
        for runtime, labeller in self._labellers:
            label = labeller(greenlet, codes)
            if label is not None:
                return label, runtime
        return Label("greenlet", ""), None

    def positions(self, greenlet: Any, thread: int | None) -> list[Position]:
        """The stack of an unfinished greenlet, outermost first; its thread's if it runs."""
        if self.is_running(greenlet):
            assert self._moment is not None
            found = without_own(self._moment.stacks.get(thread, [])) if thread is not None else []
        else:
            found = self._read_suspended(greenlet)
        return found[::-1]

    def _read_suspended(self, greenlet: Any) -> list[Position]:
        for _ in range(LOOKS):
            stack = read_stack(self._slots.top_frame, greenlet)
            if stack or id(greenlet) in self._frameless or not self._slots.active(greenlet):
                return stack
            compat.sleep(LOOK_SECONDS)  # it had a stack at that instant, so it runs just now and will have one again
        return []

    def units(
        self, roots: Roots, hub_of: Callable[[Any], int | None], frames: Frames, explaining: Explaining
    ) -> Iterator[Unit]:
        """The unfinished greenlets; a main greenlet that runs is its thread and none of these.

        :param hub_of: tells the hub that a greenlet belongs to.
        """
        for greenlet in self.unfinished:
            running = self.is_running(greenlet)
            if running and roots.root_of(greenlet) == id(greenlet):
                continue
            thread = roots.thread_of(greenlet)
            positions = self.positions(greenlet, thread)
            state = (
                "running" if running else "suspended" if positions or self._slots.active(greenlet) else "not started"
            )
            wait = None if running else explaining.greenlet(greenlet, positions, self._slots.top_frame)
            yield self._make_unit(
                greenlet, state, thread, hub_of(greenlet), positions, frames, explaining.age(greenlet), wait
            )
            self._pace.step()

    def finished_units(self, frames: Frames) -> Iterator[Unit]:
        """The finished ones."""
        for greenlet in self.finished:
            yield self._make_unit(greenlet, "finished", None, None, (), frames, None, None)
            self._pace.step()

    def _make_unit(
        self,
        greenlet: Any,
        state: str,
        thread: int | None,
        hub: int | None,
        positions: Sequence[Position],
        frames: Frames,
        age: float | None,
        wait: Any,
    ) -> Unit:
        label, _runtime = self.label(greenlet, positions)
        parent = self._slots.parent(greenlet)
        origin = next((origin for tell in self._biographers if (origin := tell(greenlet)) is not None), None)
        return Unit(
            ident=id(greenlet),
            kind=label.kind,
            type=compat.type_name(type(greenlet)),
            name=label.name,
            state=state,
            thread=thread,
            hub=hub,
            parent=None if parent is None else id(parent),
            spawner=None if origin is None else origin.spawner,
            spawning_stack=() if origin is None else frames.at_lines(origin.stack[::-1]),
            age=age,
            frames=frames.stack(positions),
            wait=wait,
        )
