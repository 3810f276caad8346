"""Who is at the other end of a unix socket, and whether the service talks to them.

Linux tells by SO_PEERCRED (unix(7)), FreeBSD by LOCAL_PEERCRED (unix(4)), macOS by LOCAL_PEERCRED and LOCAL_PEERPID
(<sys/un.h>). All three report the credentials of the moment of connect() or listen(), not those of now.
"""

from __future__ import annotations

import _io
import _socket
import struct
import sys
from typing import NamedTuple, Protocol

from manhole._errors import SuspiciousClient

__all__ = ["PeerCredentials", "check_client", "get_peercred", "overflow_uid"]

SOL_LOCAL = 0  # macOS and FreeBSD, <sys/un.h>
LOCAL_PEERCRED = 1  # both
LOCAL_PEERPID = 2  # macOS
XUCRED_VERSION = 0

# What an unmapped user reads as, where /proc does not say: the kernel's default for overflowuid (user_namespaces(7)).
DEFAULT_OVERFLOW_UID = 65534


class PeerCredentials(NamedTuple):
    """The other end of a connected unix socket; pid is 0 where it cannot be seen from here."""

    pid: int
    uid: int
    gid: int


class _Socket(Protocol):
    def getsockopt(self, level: int, option: int, buflen: int, /) -> bytes: ...


def get_peercred(sock: _Socket) -> PeerCredentials:
    """The credentials of the peer of the connected unix socket *sock*.

    :param sock: a socket object, patched or not.
    :returns: pid, uid and gid, of the moment of connect() (seen from the server) or listen() (seen from the client).
    :raises OSError: if the socket is not connected.
    :raises NotImplementedError: on a system whose call for it is not known here.

    May be called from any thread, a greenlet or a signal handler: it never blocks.
    """
    if sys.platform == "linux":
        return _linux(sock)
    if sys.platform == "darwin":
        return _darwin(sock)
    if sys.platform.startswith(("freebsd", "dragonfly")):
        return _freebsd(sock)
    raise NotImplementedError(f"peer credentials are not known on {sys.platform}")


def _linux(sock: _Socket) -> PeerCredentials:
    data = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED.size)
    return PeerCredentials(*_UCRED.unpack(data))


_UCRED = struct.Struct("iII")  # struct ucred: pid_t, uid_t, gid_t
# struct xucred: unsigned version, uid, short group count, 16 groups; FreeBSD 13 put the pid into the pointer behind.
_XUCRED = struct.Struct("@IIh16I")
_XUCRED_PID = struct.Struct("@IIh16I0Pi")


def _darwin(sock: _Socket) -> PeerCredentials:
    _version, uid, _count, *groups = _unpack_xucred(_XUCRED, sock.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, _XUCRED.size))
    (pid,) = struct.unpack("i", sock.getsockopt(SOL_LOCAL, LOCAL_PEERPID, 4))
    return PeerCredentials(pid, uid, groups[0])


def _freebsd(sock: _Socket) -> PeerCredentials:
    data = sock.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, _XUCRED_PID.size + 4)
    _version, uid, _count, *groups = _unpack_xucred(_XUCRED, data)
    pid = _XUCRED_PID.unpack_from(data)[-1] if len(data) >= _XUCRED_PID.size else 0
    return PeerCredentials(pid, uid, groups[0])


def _unpack_xucred(layout: struct.Struct, data: bytes) -> tuple[int, ...]:
    fields = layout.unpack_from(data)
    if fields[0] != XUCRED_VERSION:
        raise OSError(f"struct xucred has version {fields[0]}, only {XUCRED_VERSION} is known")
    return fields


def overflow_uid() -> int:
    """The user id that users without a mapping in this user namespace read as."""
    try:
        with _io.FileIO("/proc/sys/kernel/overflowuid") as file:  # eventlet can patch open()
            return int(file.read(32))
    except (OSError, ValueError):
        return DEFAULT_OVERFLOW_UID


def check_client(peer: PeerCredentials, euid: int, unmapped_uid: int) -> None:
    """Let through the process's own user and root, nobody else.

    The overflow uid is refused even where it equals ours: every user without a mapping in this namespace reads as it.
    The pid decides nothing: across pid namespaces it reads as 0.

    :param peer: who connected.
    :param euid: this process's effective user id.
    :param unmapped_uid: what :func:`overflow_uid` returned.
    :raises SuspiciousClient: for everybody else; the message says who would be let in.
    """
    if peer.uid == 0:
        return
    if peer.uid == unmapped_uid:
        raise SuspiciousClient(*peer, f"uid {peer.uid} stands for any unmapped user; connect as root")
    if peer.uid != euid:
        raise SuspiciousClient(*peer, f"this manhole is for uid {euid} and root only")
