"""The REPL: reads statements, runs them in a namespace of its own and reports what they raise."""

from __future__ import annotations
import __future__

import _ast
import builtins
import codeop
import importlib
import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType
from typing import Any

from manhole._channel import LineTooLong
from manhole._stdio import SessionOutput, Streams, run_with

__all__ = ["Console", "make_namespace"]

# Module that `traceback` imports in the middle of formatting some error, and the version that began with it. Imported
# only then, it would wait for the import lock, which the application may hold. inspect has imported ast already, and
# what 3.15 imports for a ModuleNotFoundError follows upon an import that the user has asked for.
_IMPORTED_LATE = {"unicodedata": (3, 11), "_suggestions": (3, 13), "difflib": (3, 14), "_colorize": (3, 15)}
for _name, _since in _IMPORTED_LATE.items():
    if sys.version_info >= _since:
        try:
            importlib.import_module(_name)
        except ImportError:
            pass  # not part of this build

PRIMARY, CONTINUATION = ">>> ", "... "
FILENAME = "<manhole>"
_FUTURE_FLAGS = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
# codeop.compile_command() would do, but it silences warnings by swapping the process's filters meanwhile: those that
# the application set at the same moment are lost, and all that it has shown once are shown again.
_PARTIAL_FLAGS = codeop.PyCF_ALLOW_INCOMPLETE_INPUT | codeop.PyCF_DONT_IMPLY_DEDENT  # type: ignore[attr-defined]  # not in typeshed


def _forgets_open_blocks() -> bool:
    try:
        compile("if 1: pass", FILENAME, "single", _PARTIAL_FLAGS, dont_inherit=True)
    except SyntaxError:
        return False
    return True


# PyPy takes a block that begins and ends in its first line for finished, so that no `else` could follow it.
_FORGETS_OPEN_BLOCKS = _forgets_open_blocks()


class _Exit:
    """`exit` and `quit` of a session: site's would be missing under -S, and closes what it finds as stdin."""

    def __call__(self, code: object = None) -> None:
        raise SystemExit(code)

    def __repr__(self) -> str:
        return "exit(), quit() or Ctrl-D ends this session; the process goes on"


def make_namespace(extra: Mapping[str, Any], commands: Mapping[str, Any]) -> dict[str, Any]:
    """A fresh namespace for a session.

    :param extra: the application's names (`locals=`), which win over ours.
    :param commands: the manhole's functions.
    """
    leave = _Exit()
    return {
        "__name__": "__console__",
        "__doc__": None,
        "__builtins__": builtins,
        "exit": leave,
        "quit": leave,
        "os": os,
        "socket": socket,
        "sys": sys,
        "traceback": traceback,
        **commands,
        **extra,
    }


class Console:
    """One session's read-eval-print loop.

    :param namespace: where its statements run.
    :param read_line: the next line of input as bytes, None at its end.
    :param stdout: takes prompts and values.
    :param stderr: takes tracebacks.
    :ivar prompts: whether to prompt; a script does not want it.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        read_line: Callable[[], bytes | None],
        stdout: SessionOutput,
        stderr: SessionOutput,
    ) -> None:
        self._namespace = namespace
        self._read_line = read_line
        self._stdout = stdout
        self._stderr = stderr
        self.prompts = True
        self._flags = 0  # the __future__ features that the session has asked for

    def run(self, streams: Streams) -> None:
        """Converse until the input ends or the code raises SystemExit.

        :param streams: what the code finds as its own while it runs. Between two statements they are the application's:
            what prints there is one of its signal handlers, in a oneshot.
        :raises OSError: if the client is gone.
        """
        lines: list[str] = []
        goes_on = True
        while goes_on:
            self.prompt(CONTINUATION if lines else PRIMARY)
            try:
                line = self._read_line()
            except LineTooLong:
                self._stderr.write("manhole: that line was too long and was thrown away\n")
                lines.clear()
                continue
            # At the end of input an open block is taken as finished.
            lines.append("" if line is None else line.decode("utf-8", "replace"))
            goes_on = run_with(streams, partial(self._execute, lines, final=line is None))

    def _execute(self, lines: list[str], final: bool) -> bool:
        """Run *lines*, and clear them, if they are a whole statement; whether more lines are wanted.

        :param final: whether no further line will come.
        """
        try:
            code = self._compile("\n".join(lines), final)
            if code is not None:
                lines.clear()
                exec(code, self._namespace)  # noqa: S102 - a REPL's purpose
        except SystemExit:
            return False
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends the statement, not the session
            lines.clear()
            self._report(error)
        self._stdout.flush()
        return not final

    def display(self, value: object) -> None:
        """What sys.displayhook does for this session's code; the application's `builtins._` is left alone."""
        if value is None:
            return
        self._namespace["_"] = None  # as Python's own does, so that a repr that fails leaves no stale value
        self._stdout.write(f"{value!r}\n")
        self._namespace["_"] = value

    def prompt(self, text: str = PRIMARY) -> None:
        """Show that a line is expected, if the client wants to be told."""
        if self.prompts:
            self._stdout.write(text)
            self._stdout.flush()

    def _compile(self, source: str, final: bool) -> CodeType | None:
        """The code of *source*; None if more lines must follow.

        :raises SyntaxError: and whatever else compile() raises, for source that no further line can mend.
        """
        if all(not line.strip() or line.lstrip().startswith("#") for line in source.split("\n")):
            source = "pass"
        if final:
            return self._compile_with(source + "\n", 0)
        try:
            code = self._compile_with(source, _PARTIAL_FLAGS)
            return None if _FORGETS_OPEN_BLOCKS and self._ends_in_block(source) else code
        except SyntaxError:
            pass
        try:
            self._compile_with(source + "\n", _PARTIAL_FLAGS)
        except SyntaxError as error:
            if "incomplete input" not in str(error):
                return self._compile_with(source, 0)  # raises the error as Python words it
        return None

    def _ends_in_block(self, source: str) -> bool:
        flags = self._flags | _ast.PyCF_ONLY_AST
        tree: Any = compile(source, FILENAME, "single", flags, dont_inherit=True)
        return not source.endswith("\n") and hasattr(tree.body[-1], "body")

    def _compile_with(self, source: str, flags: int) -> CodeType:
        code: CodeType = compile(source, FILENAME, "single", flags | self._flags, dont_inherit=True)
        self._flags |= code.co_flags & _FUTURE_FLAGS
        return code

    def _report(self, error: BaseException) -> None:
        """The error's traceback, less the frames that are ours."""
        self._stdout.flush()
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        try:
            text = "".join(traceback.format_exception(type(error), error, trace))
        except Exception as broken:  # noqa: BLE001 - an exception whose own formatting fails is the user's, not ours
            text = f"{type(error).__name__} (its traceback cannot be shown: {type(broken).__name__})\n"
        self._stderr.write(text)
