"""A hatch into a live Python process: stacks of all threads and greenlets, and a REPL, on a unix socket."""

from manhole._dump import dump_stacktraces
from manhole._errors import (
    AlreadyInstalled,
    ConfigurationConflict,
    HubTimeout,
    InvalidOption,
    ManholeError,
    NoHub,
    NotInstalled,
    PathInUse,
    StartFailed,
    SuspiciousClient,
    SuspiciousServer,
)
from manhole._in_hub import in_hub
from manhole._manhole import Manhole
from manhole._peer import PeerCredentials, get_peercred
from manhole._service import handle_connection_exec, handle_connection_repl, install, release
from manhole._snapshot import Deadlock, Frame, Hub, Process, Snapshot, Unit, Wait
from manhole._snapshot import collect_snapshot as snapshot
from manhole._version import __version__

__all__ = [
    "AlreadyInstalled",
    "ConfigurationConflict",
    "Deadlock",
    "Frame",
    "Hub",
    "HubTimeout",
    "InvalidOption",
    "Manhole",
    "ManholeError",
    "NoHub",
    "NotInstalled",
    "PathInUse",
    "PeerCredentials",
    "Process",
    "Snapshot",
    "StartFailed",
    "SuspiciousClient",
    "SuspiciousServer",
    "Unit",
    "Wait",
    "__version__",
    "dump_stacktraces",
    "get_peercred",
    "handle_connection_exec",
    "handle_connection_repl",
    "in_hub",
    "install",
    "release",
    "snapshot",
]
