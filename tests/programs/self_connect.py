"""self_connect.py RUNTIME: connects to its own manhole in the statement after install()."""

import _socket
import os
import sys

from _runtime import runtime_of
from _tell import tell

import manhole

runtime_of(sys.argv[1]).patch()
client = _socket.socket(_socket.AF_UNIX)
manhole.install(verbose=False, start_timeout=30)
client.connect(f"/tmp/manhole-{os.getpid()}")
tell("connected")
