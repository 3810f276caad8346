"""The client side: find a process's manhole, make sure that it is its own, and converse."""

from manhole.client._connection import check_listener, connect
from manhole.client._locate import Target, locate, locate_path, locate_pid
from manhole.client._status import ExitStatus, Failure

__all__ = [
    "ExitStatus",
    "Failure",
    "Target",
    "check_listener",
    "connect",
    "locate",
    "locate_path",
    "locate_pid",
]
