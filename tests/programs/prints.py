"""prints.py RUNTIME: does what stdin says and tells when it has done it."""

import os
import sys

from _runtime import runtime_of
from _tell import tell

import manhole

runtime_of(sys.argv[1]).patch()
manhole.install(verbose=False, start_timeout=30)
kept = None
commands = os.fdopen(os.dup(0))  # sys.stdin itself is under test
tell("ready")
for command in commands:
    command = command.strip()
    if command == "keep":
        kept = sys.stdout, sys.stderr
        tell("kept")
    elif command == "names":
        tell([repr(getattr(sys, name)) for name in ("stdin", "stdout", "stderr", "__stdout__", "displayhook")])
    elif command == "end":
        break
    else:
        out, err = kept if "kept" in command else (sys.stdout, sys.stderr)
        print(command, file=out, flush=True)
        print(command, file=err, flush=True)
        tell("printed")
