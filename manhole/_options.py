"""The options of install(): validated once, then frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from manhole._errors import InvalidOption

__all__ = ["Options", "parse_options"]


@dataclass(frozen=True)
class Options:
    """What install() was asked for; its docstring tells what each does to the application."""

    verbose: bool = True
    verbose_destination: Any = 2
    socket_path: str | os.PathLike[str] | None = None
    start_timeout: float = 0.5
    locals: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = True


def parse_options(given: Mapping[str, Any]) -> Options:
    """*given* as Options.

    :raises InvalidOption: for a name that is no option or a value of a wrong type; it says what is allowed.
    """
    known = [option.name for option in fields(Options)]
    for name in given:
        if name not in known:
            raise InvalidOption(name, given[name], "left out, there is no such option; there are " + ", ".join(known))
    options = Options(**given)
    for name in ("verbose", "strict"):
        _require(isinstance(getattr(options, name), bool), options, name, "True or False")
    destination = options.verbose_destination
    _require(
        (type(destination) is int and destination >= 0) or callable(getattr(destination, "write", None)),
        options,
        "verbose_destination",
        "a file descriptor or an object with a write(str) method",
    )
    _require(
        options.socket_path is None or isinstance(options.socket_path, (str, os.PathLike)),
        options,
        "socket_path",
        "a path (str or os.PathLike) or None",
    )
    timeout = options.start_timeout
    _require(
        isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout > 0,
        options,
        "start_timeout",
        "a positive number of seconds",
    )
    _require(
        isinstance(options.locals, Mapping) and all(isinstance(name, str) for name in options.locals),
        options,
        "locals",
        "a mapping of names (str) to objects",
    )
    return options


def _require(condition: bool, options: Options, name: str, allowed: str) -> None:
    if not condition:
        raise InvalidOption(name, getattr(options, name), allowed)
