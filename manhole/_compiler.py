"""Source that a client has sent to code objects: statement by statement as it is typed, or a program at once."""

from __future__ import annotations
import __future__

import _ast
import ast
import codeop
import inspect
import linecache
from collections import deque
from types import CodeType
from typing import Any

__all__ = ["PREFIX", "Compiler", "is_coroutine"]

# What the names of all files that a session has typed begin with.
PREFIX = "<manhole"
# Sources that are kept for tracebacks, of each session. Arbitrary.
MAX_SOURCES = 1000
_FUTURE_FLAGS = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
# codeop.compile_command() would do, but it silences warnings by swapping the process's filters meanwhile: those that
# the application set at the same moment are lost, and all that it has shown once are shown again.
_PARTIAL_FLAGS = codeop.PyCF_ALLOW_INCOMPLETE_INPUT | codeop.PyCF_DONT_IMPLY_DEDENT  # type: ignore[attr-defined]  # not in typeshed
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def _forgets_open_blocks() -> bool:
    try:
        compile("if 1: pass", PREFIX, "single", _PARTIAL_FLAGS, dont_inherit=True)
    except SyntaxError:
        return False
    return True


# PyPy takes a block that begins and ends in its first line for finished, so that no `else` could follow it.
_FORGETS_OPEN_BLOCKS = _forgets_open_blocks()


def is_coroutine(code: CodeType) -> bool:
    """Whether evaluating *code* gives a coroutine: it awaits something at its top level."""
    return bool(code.co_flags & inspect.CO_COROUTINE)


class Compiler:
    """One session's: it remembers the __future__ features that were asked for, and the sources, for tracebacks.

    :param session: the session's number, for the names of its sources.
    """

    def __init__(self, session: int) -> None:
        self._session = session
        self._flags = 0
        self._count = 0
        self._sources: deque[str] = deque()

    def statement(self, source: str, final: bool) -> CodeType | None:
        """The code of one interactive statement, which shows its value; None if more lines must follow.

        :param final: whether no further line will come.
        :raises SyntaxError: and whatever else compile() raises, for source that no further line can mend.
        """
        if all(not line.strip() or line.lstrip().startswith("#") for line in source.split("\n")):
            source = "pass"
        name = self._next_name()
        code = self._statement(source, name, final)
        if code is not None:
            self._remember(name, source)
        return code

    def program(self, source: str) -> tuple[CodeType | None, CodeType | None]:
        """The code of *source* but for a last expression, and that of the expression; None for what is not there.

        :raises SyntaxError: and whatever else compile() raises.
        """
        name = self._next_name()
        self._remember(name, source)  # for a SyntaxError too
        flags = self._flags | _AWAIT
        tree: Any = compile(source, name, "exec", flags | _ast.PyCF_ONLY_AST, dont_inherit=True)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = self._compile(ast.Expression(tree.body.pop().value), name, "eval", flags)
        first = self._compile(tree, name, "exec", flags) if tree.body else None
        if first is not None and last is not None and first.co_flags & _FUTURE_FLAGS:
            last = self.program(source)[1]  # which the features hold for, too
        return first, last

    def forget_sources(self) -> None:
        """Take the sources out of linecache, for the end of the session."""
        while self._sources:
            linecache.cache.pop(self._sources.popleft(), None)

    def _next_name(self) -> str:
        return f"{PREFIX} {self._session}:{self._count + 1}>"

    def _remember(self, name: str, source: str) -> None:
        self._count += 1
        lines = [line + "\n" for line in source.split("\n")]
        # No modification time: linecache does not look for a file of that name.
        linecache.cache[name] = (len(source), None, lines, name)
        self._sources.append(name)
        if len(self._sources) > MAX_SOURCES:
            linecache.cache.pop(self._sources.popleft(), None)

    def _statement(self, source: str, name: str, final: bool) -> CodeType | None:
        if final:
            return self._compile(source + "\n", name, "single", _AWAIT)
        try:
            code = self._compile(source, name, "single", _AWAIT | _PARTIAL_FLAGS)
            return None if _FORGETS_OPEN_BLOCKS and self._ends_in_block(source) else code
        except SyntaxError:
            pass
        try:
            self._compile(source + "\n", name, "single", _AWAIT | _PARTIAL_FLAGS)
        except SyntaxError as error:
            if "incomplete input" not in str(error):
                return self._compile(source, name, "single", _AWAIT)  # raises the error as Python words it
        return None

    def _ends_in_block(self, source: str) -> bool:
        flags = self._flags | _AWAIT | _ast.PyCF_ONLY_AST
        tree: Any = compile(source, PREFIX, "single", flags, dont_inherit=True)
        return not source.endswith("\n") and hasattr(tree.body[-1], "body")

    def _compile(self, source: Any, name: str, mode: str, flags: int) -> CodeType:
        code: CodeType = compile(source, name, mode, flags | self._flags, dont_inherit=True)
        self._flags |= code.co_flags & _FUTURE_FLAGS
        return code
