"""What units wait for and how old they are, as far as the runtimes tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

from manhole import compat
from manhole._snapshot._model import Wait
from manhole._snapshot._stacks import Position
from manhole.compat import Explainer

__all__ = ["Explaining"]


class Explaining:
    """Asks the runtimes, by what is loaded when it is made.

    :param found: all primitives of the process that the runtimes want to know.
    :param ages: seconds since a unit was made, by its id, where that is recorded.
    """

    def __init__(self, found: Sequence[Any], ages: Mapping[int, float]) -> None:
        self._ages = ages
        made = (_make(runtime.make_explainer, found) for runtime in compat.RUNTIMES)
        self._greenlets: list[Explainer] = [explainer for explainer in made if explainer is not None]
        self._task = _make(compat.asyncio_waits.make_explainer, found)
        self._thread = _make(compat.thread_waits.make_explainer, found)

    def greenlet(
        self, greenlet: Any, positions: Sequence[Position], top_frame: Callable[[Any], FrameType | None]
    ) -> Wait | None:
        """What a suspended greenlet waits for; None if that cannot be told.

        :param positions: its stack, outermost first.
        """
        codes = [code for code, _offset in positions]
        for explain in self._greenlets:
            wait = _ask(explain, greenlet, codes, top_frame(greenlet))
            if wait is not None:
                return wait
        return None

    def task(self, task: Any, facts: compat.asyncio_tasks.TaskFacts) -> Wait | None:
        """What a suspended task waits for; None if that cannot be told."""
        return _ask(self._task, task, [code for code, _offset in facts.positions], facts.innermost)

    def thread(self, ident: int, positions: Sequence[Position], frame: FrameType | None) -> Wait | None:
        """What a thread waits for; None if it does not, or that cannot be told.

        :param positions: its stack, outermost first.
        """
        return _ask(self._thread, ident, [code for code, _offset in positions], frame)

    def age(self, unit: Any) -> float | None:
        """Seconds since a greenlet or task was made, where that is recorded."""
        return self._ages.get(id(unit))


def _make(make: Callable[[Sequence[Any]], Explainer | None], found: Sequence[Any]) -> Explainer | None:
    try:
        return make(found)
    except Exception:  # noqa: BLE001 - as below
        return None


def _ask(explain: Explainer | None, unit: Any, codes: Sequence[Any], frame: FrameType | None) -> Wait | None:
    try:
        return explain(unit, codes, frame) if explain is not None else None
    except Exception:  # noqa: BLE001 - it looks into libraries of any version while they run; unknown stays unknown
        return None
