"""Reads stacks of threads and greenlets that go on running meanwhile, each in a single C call.

The application's threads run whenever the interpreter lets go of the GIL between two of our bytecodes; a greenlet may
then switch in the middle of a walk along `f_back`, and the rest of the chain belongs to somebody else. So the walk is
put together from C iterators that are consumed by one call: nothing runs in between. On PyPy some of them are written
in Python, and a stack that changes meanwhile may be shown torn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import accumulate, chain, dropwhile, repeat, takewhile, tee
from operator import attrgetter, is_, methodcaller
from types import CodeType, FrameType
from typing import Any, NamedTuple

from manhole.compat import in_stack, iterate_frames

__all__ = [
    "Level",
    "Moment",
    "Position",
    "are_none",
    "frame_of_thread",
    "iterate_levels",
    "read_moment",
    "read_stack",
    "without_own",
]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

# Where a frame is: its code and f_lasti. Which line that is takes a look into a table, once for all frames there.
Position = tuple[CodeType, int]
# A frame, and where it was when it was read.
Level = tuple[FrameType, Position]

_read_position = attrgetter("f_code", "f_lasti")
_is_none = partial(is_, None)


class Moment(NamedTuple):
    """Which stack is on which thread, and the answers to some questions, at one and the same instant."""

    stacks: dict[int, list[Position]]  # by thread ident, innermost first
    answers: list[list[Any]]  # to each question


def _callers(frames: Iterable[FrameType]) -> Iterator[Iterator[FrameType]]:
    """For each frame an iterator over it and its callers; nothing is read before it is consumed."""
    chains = map(accumulate, map(chain, zip(frames), repeat(repeat("f_back"))), repeat(getattr))
    return map(takewhile, repeat(in_stack), chains)


def _walks(frames: Iterable[FrameType]) -> Iterator[Iterator[Position]]:
    """The same as positions."""
    return map(map, repeat(_read_position), _callers(frames))


def read_stack(get_frame: Callable[[Any], FrameType | None], unit: Any) -> list[Position]:
    """The stack of *unit*, innermost first; empty if `get_frame(unit)` is None."""
    stacks = list(map(list, _walks(filter(None, map(get_frame, (unit,))))))
    return stacks[0] if stacks else []


def frame_of_thread(ident: int) -> Iterator[FrameType | None]:
    """An iterator, in C, over the one innermost frame of a thread, None if there is no such thread."""
    return map(methodcaller("get", ident), iterate_frames())


def iterate_levels(frames: Iterable[FrameType | None]) -> Iterator[Level]:
    """An iterator, in C, over one stack, innermost first. Let go of the levels soon: they keep all variables alive.

    :param frames: an iterator, in C, over its innermost frame, or over None.
    """
    some, same = tee(chain.from_iterable(_callers(filter(None, frames))))
    return zip(some, map(_read_position, same))  # noqa: B905 - without a keyword, to be C on PyPy too


def are_none(values: Iterable[Any]) -> Iterator[bool]:
    """For each value whether it is None, without a step of bytecode."""
    return map(_is_none, values)


def read_moment(*questions: Iterable[Any]) -> Moment:
    """All threads' stacks and the answers to *questions*, in one C call.

    :param questions: each an iterator made of C parts only; it is consumed in that call.
    """
    frames: dict[int, FrameType] = {}
    # The update runs when the chain is first asked for a frame, and yields None, which the filter drops.
    fill = map(frames.update, iterate_frames())
    parts: list[Iterator[Any]] = [map(list, _walks(filter(None, chain(fill, frames.values()))))]
    parts += map(iter, questions)
    stacks, *answers = list(map(list, parts))
    idents = list(frames)
    # This function's own frame is among those read, and its variables lead back to them: undone by hand, the ring does
    # not keep every thread's frame until the garbage collector comes by.
    frames.clear()
    parts.clear()
    return Moment(dict(zip(idents, stacks, strict=True)), answers)


def without_own(stack: list[Position]) -> list[Position]:
    """*stack*, innermost first, without the manhole's frames on top of it: what the application did when we came in.

    They are there on a thread whose signal handler writes a dump or waits for one, and on one that takes a snapshot.
    """
    return list(dropwhile(lambda position: position[0].co_filename.startswith(_PACKAGE), stack))
