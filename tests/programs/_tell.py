"""How a program of the tests tells its test that something has happened."""

import json
import os

_fd = int(os.environ["READY_FD"])
# The kernel's own write: a patched one would need a hub that runs.
_write = __import__("posix").write


def tell(value: object) -> None:
    _write(_fd, json.dumps(value).encode() + b"\n")
