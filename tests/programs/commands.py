"""commands.py RUNTIME: runs each line of stdin as Python in its main greenlet and tells the value of `answer`."""

import functools
import os
import sys

from _runtime import runtime_of
from _tell import tell

import manhole

# On a loaded machine a thread may take longer than the default to begin.
manhole.install = functools.partial(manhole.install, start_timeout=30)
runtime = runtime_of(sys.argv[1])
runtime.patch()
names = {"manhole": manhole, "os": os, "sys": sys, "runtime": runtime, "answer": None}
tell("ready")
for line in os.fdopen(os.dup(0)):
    names["answer"] = None
    try:
        exec(line, names)
    except Exception as error:
        names["answer"] = [type(error).__name__, str(error)]
    tell(names["answer"])
