"""The door between the start-up files and manhole._startup; with PYTHONMANHOLE unset nothing behind it is imported.

It is a module of its own because an entry point in a `.start` file has to be imported before it can decide anything:
`manhole._startup` there would import the whole package at every start of every program. So nothing but a look at the
environment belongs here, and no import that `site` has not made already.
"""

import os
import sys


def start() -> None:
    """Install a manhole if PYTHONMANHOLE asks for it and this Python listens to its environment; never raises."""
    if "PYTHONMANHOLE" not in os.environ or sys.flags.ignore_environment:  # the flag: python -E and -I
        return
    try:
        from manhole._startup import start_once
    except Exception as error:  # noqa: BLE001 - whatever it is, the program runs on
        # An editable install whose checkout has gone, or warnings turned into errors. Nothing is patched yet, so that
        # os.write is the real one.
        try:
            os.write(2, f"manhole: PYTHONMANHOLE is set: cannot import manhole: {error!r}\n".encode(errors="replace"))
        except OSError:
            pass  # nowhere to say it
    else:
        start_once(os.environ["PYTHONMANHOLE"])
