"""The asyncio tasks of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from manhole import compat
from manhole._snapshot._explaining import Explaining
from manhole._snapshot._interning import Frames
from manhole._snapshot._model import Unit
from manhole._snapshot._pace import Pace

__all__ = ["Tasks"]


class Tasks:
    """All tasks during collection.

    :param tasks: all that there are.
    :ivar finished: how many of them have finished; counted by units().
    """

    def __init__(self, tasks: Sequence[Any], pace: Pace) -> None:
        self._tasks = tasks
        self._pace = pace
        self._read = compat.asyncio_tasks.make_task_reader()
        self.finished = 0

    def find(self, ident: int) -> Any:
        """The task with that ident, None if there is none."""
        return next((task for task in self._tasks if id(task) == ident), None)

    def running_coroutine(self, loop: Any) -> tuple[Any, int] | None:
        """The coroutine of the task that *loop* runs, and the task's ident; None if there is none that tells."""
        for task in self._tasks:
            facts = self._read(task)
            if facts.state == "running" and facts.loop is loop and compat.asyncio_tasks.is_coroutine(facts.coroutine):
                return facts.coroutine, id(task)
        return None

    def units(
        self, threads: dict[int, int | None], with_finished: bool, frames: Frames, explaining: Explaining
    ) -> Iterator[Unit]:
        """The tasks; those that have finished only if they are wanted.

        :param threads: the thread of each loop, by the loop's id.
        """
        for task in self._tasks:
            facts = self._read(task)
            if facts.state == "finished":
                self.finished += 1
                if not with_finished:
                    continue
            loop = id(facts.loop)
            yield Unit(
                ident=id(task),
                kind="Task",
                type=compat.type_name(type(task)),
                name=_name(facts),
                state=facts.state,
                thread=threads.get(loop),
                hub=loop if loop in threads else None,
                parent=None,
                spawner=None,
                spawning_stack=(),
                age=explaining.age(task),
                frames=frames.stack(facts.positions),
                wait=explaining.task(task, facts) if facts.state == "suspended" else None,
            )
            self._pace.step()


def _name(facts: compat.asyncio_tasks.TaskFacts) -> str:
    """Its function and, where somebody has given it one, its name: the one that asyncio makes up tells nothing."""
    function = compat.asyncio_tasks.coroutine_name(facts.coroutine)
    if not facts.name or (facts.name.startswith("Task-") and facts.name[5:].isdecimal()):
        return function or facts.name
    return f"{facts.name} ({function})" if function else facts.name
