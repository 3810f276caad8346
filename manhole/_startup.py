"""What `manhole.pth` and `manhole.start` come to when PYTHONMANHOLE is set: install(), before the program's first line.

The problem: a hatch into a program that nobody wants to touch, in every process of an environment, and at no cost for
those that do not ask for it.

What does not work:
- A start-up file that imports the package and lets it look: milliseconds at each start of each program.
- `manhole._startup:start` as the entry point of the `.start` file: Python imports the package on the way to it.
- `eval` or `exec` of the value: whoever can set a variable could run code, and a typing error could do anything.
- `f(<value>)` parsed on one line: `verbose=False)#` is accepted, because the comment hides the closing bracket.
- Taking each call for the first one: in a virtual environment Pythons before 3.15 read each `.pth` file twice, and
  `site.addsitedir()` reads it again.

What does: a line in `manhole.pth` for Python up to 3.14, which looks into `os.environ` and imports nothing unless the
variable is there; `manhole.start` for 3.15 and later (PEP 829; there it stands in for that line, which 3.18 ignores),
whose entry point needs a module, so that it gets `_manhole_startup`, which is outside the package and imports nothing.
Both end here.

What still costs: a `.start` file makes Python 3.15 itself import `pkgutil` and `re`, whatever the file says.
"""

from __future__ import annotations

import ast
import posix

from manhole._service import install

__all__ = ["parse_value", "start_once"]

EXAMPLE = 'oneshot_on="USR2", verbose=False'
ALLOWED = f"allowed are options of manhole.install() with literal values, as in {EXAMPLE}"
# Of the value, and of the part of it that is wrong: the message is there to be read. Arbitrary.
SHOWN_CHARACTERS = 200

_called = False


def start_once(value: str) -> None:
    """Install a manhole as *value* says; a mistake is one line on standard error, and the program runs on.

    :param value: what PYTHONMANHOLE holds: keyword arguments for :func:`manhole.install`, or nothing.

    The first call in a process counts and all later ones do nothing; so does a call in a subinterpreter, which shares
    its process's socket path and cannot have signals. Never raises an Exception. It is called by `site` on the main
    thread and may be interrupted there like any other start-up code.
    """
    global _called
    if _called or not _in_main_interpreter():
        return
    _called = True
    try:
        install(**parse_value(value))
    except Exception as error:  # noqa: BLE001 - any mistake is reported, and none is the program's
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        _report(value, reason)


def parse_value(value: str) -> dict[str, object]:
    """The keyword arguments that *value* spells out as Python literals; nothing in it is evaluated.

    :raises ValueError: if it is anything else; it says what is wrong and what is allowed.
    """
    source = f"f(\n{value}\n)"  # on a line of its own, so that a comment in it cannot swallow the bracket
    try:
        call = ast.parse(source, "<PYTHONMANHOLE>", "eval").body
    except SyntaxError as error:
        raise ValueError(f"{error.msg}; {ALLOWED}") from None
    except (ValueError, MemoryError, RecursionError) as error:  # bytes that are no text; nested too deeply
        raise ValueError(f"{str(error) or type(error).__name__}; {ALLOWED}") from None
    # `)(x=1` and `x=1) or f(` parse too, but not to one call of f.
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ValueError(f"unmatched ')'; {ALLOWED}")
    if call.args:
        raise ValueError(f"{_source_of(call.args[0], source)} has no name; {ALLOWED}")
    options: dict[str, object] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ValueError(f"**{_source_of(keyword.value, source)} cannot be given; {ALLOWED}")
        if keyword.arg in options:
            raise ValueError(f"{keyword.arg} is given twice; {ALLOWED}")
        try:
            options[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, MemoryError, RecursionError):
            shown = _source_of(keyword.value, source)
            raise ValueError(f"{keyword.arg}={shown} is no literal; {ALLOWED}") from None
    return options


def _in_main_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # since 3.13, and before
        try:
            interpreters = __import__(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True  # PyPy has one interpreter a process


def _source_of(node: ast.AST, source: str) -> str:
    # ast.unparse() would need a stack as deep as the node is nested.
    return _shorten(ast.get_source_segment(source, node) or "")


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _report(value: str, reason: str) -> None:
    line = f"manhole: PYTHONMANHOLE={_shorten(repr(value))}: {' '.join(reason.split())}\n"
    try:
        # The kernel's own write: sys.stderr may not be there yet, or its lock be held.
        posix.write(2, line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # standard error is closed: nowhere to say it
