"""Reads names off the application's objects without running any of its code.

An attribute look-up may run a property, a descriptor or `__getattr__`; the slots of the builtin types, taken here from
the types themselves, run none of that. Only values of the exact builtin types are believed.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

__all__ = ["MAX_NAME", "attributes_getter", "attributes_of", "clean_name", "code_name", "function_name", "type_name"]

# Arbitrary; long enough for any honest name, short enough for a line of output.
MAX_NAME = 120
# Arbitrary; a partial can be made to wrap itself.
MAX_WRAPPERS = 20

_type_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_qualname: Callable[[types.FunctionType], str] = types.FunctionType.__dict__["__qualname__"].__get__
_code_name = "co_qualname" if hasattr(types.CodeType, "co_qualname") else "co_name"  # 3.11+


def clean_name(value: object) -> str | None:
    """*value* cut to MAX_NAME characters with everything unprintable escaped, or None if it is no plain `str`."""
    if type(value) is not str:
        return None
    if len(value) > MAX_NAME:
        value = value[: MAX_NAME - 3] + "..."
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in value)


def type_name(cls: type) -> str:
    """The name of *cls* as `type` has stored it."""
    return clean_name(_type_name(cls)) or "?"


def code_name(code: types.CodeType) -> str:
    """The qualified name of a code object; its plain name before Python 3.11."""
    return clean_name(getattr(code, _code_name)) or "?"


def attributes_getter(cls: type) -> Callable[[Any], dict[str, Any]]:
    """What gets at the own dict of an instance of *cls*: the getter of the class that gave it one."""
    for base in reversed(type.mro(cls)):
        getter = type.__dict__["__dict__"].__get__(base).get("__dict__")
        if type(getter) is types.GetSetDescriptorType:
            get: Callable[[Any], dict[str, Any]] = getter.__get__
            return get
    return lambda instance: {}


def attributes_of(instance: Any) -> dict[str, Any]:
    """The instance's own dict; empty if it has none."""
    return attributes_getter(type(instance))(instance)


def function_name(function: Any) -> str:
    """What to call a callable: its qualified name if it is a function, what it wraps if it is a method or partial."""
    for _ in range(MAX_WRAPPERS):
        kind = type(function)
        if kind is types.FunctionType:
            return clean_name(_qualname(function)) or "?"
        if kind is types.MethodType:
            function = function.__func__
        elif kind is functools.partial:
            function = function.func
        elif kind is types.BuiltinFunctionType:
            return clean_name(function.__qualname__) or "?"
        elif issubclass(kind, type):  # isinstance() would ask the object for its __class__
            return type_name(function)
        else:
            break
    # A function that Cython has compiled, for one.
    slot = kind.__dict__.get("__name__")
    name = slot.__get__(function) if type(slot) is types.GetSetDescriptorType else None
    return clean_name(name) or type_name(kind)
