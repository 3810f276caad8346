"""The members of a message, each with the type that it must have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeGuard, TypeVar

from manhole.client._errors import ProtocolError

__all__ = ["Fields"]

T = TypeVar("T")


class Fields:
    """A JSON object of the server's. Members that are not asked for do not matter.

    :param members: the object.
    :param where: what it is, for messages.
    """

    def __init__(self, members: Mapping[str, object], where: str) -> None:
        self._members = members
        self._where = where

    def take(self, name: str, kind: type[T]) -> T:
        """The member *name*.

        :raises ProtocolError: if it is missing or of another type, as all methods here.
        """
        value = self._members.get(name)
        if not _is(value, kind):
            raise self._wrong(name)
        return value

    def maybe(self, name: str, kind: type[T]) -> T | None:
        """The same for a member that may be null."""
        return None if self._members.get(name) is None else self.take(name, kind)

    def seconds(self, name: str) -> float:
        """A number, whole or not."""
        value = self._members.get(name)
        try:
            return float(self.take(name, int if isinstance(value, int) else float))
        except OverflowError:
            raise self._wrong(name) from None

    def maybe_seconds(self, name: str) -> float | None:
        """The same for a member that may be null."""
        return None if self._members.get(name) is None else self.seconds(name)

    def fields(self, name: str) -> Fields:
        """An object."""
        return Fields(self.take(name, dict), f"{self._where}.{name}")

    def list_of(self, name: str, kind: type[T]) -> tuple[T, ...]:
        """A list of values of one type."""
        values = self.take(name, list)
        if not all(_is(value, kind) for value in values):
            raise self._wrong(name)
        return tuple(values)

    def each(self, name: str, make: Callable[[Fields], T]) -> tuple[T, ...]:
        """What *make* makes of each object in a list of objects."""
        return tuple(make(Fields(item, f"{self._where}.{name}")) for item in self.list_of(name, dict))

    def names(self) -> Iterator[str]:
        """The names of all members."""
        return iter(self._members)

    def _wrong(self, name: str) -> ProtocolError:
        return ProtocolError("bad-message", f"the process has sent {self._where} with a wrong or without {name!r}")


def _is(value: object, kind: type[T]) -> TypeGuard[T]:
    # A bool is an int to Python, but not to us.
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))
