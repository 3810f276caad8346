"""The client side: find a process's manhole, make sure that it is its own, and converse."""

from manhole.client._client import Client, connect
from manhole.client._connection import check_listener
from manhole.client._errors import (
    AnswerTimeout,
    ConnectionLost,
    ProtocolError,
    RemoteException,
    RemoteExit,
    RemoteFrame,
)
from manhole.client._locate import Target, locate, locate_path, locate_pid
from manhole.client._results import (
    Completion,
    Description,
    HubInfo,
    Limits,
    ProcessInfo,
    Result,
    SessionInfo,
)
from manhole.client._status import ExitStatus, Failure

__all__ = [
    "AnswerTimeout",
    "Client",
    "Completion",
    "ConnectionLost",
    "Description",
    "ExitStatus",
    "Failure",
    "HubInfo",
    "Limits",
    "ProcessInfo",
    "ProtocolError",
    "RemoteException",
    "RemoteExit",
    "RemoteFrame",
    "Result",
    "SessionInfo",
    "Target",
    "check_listener",
    "connect",
    "locate",
    "locate_path",
    "locate_pid",
]
