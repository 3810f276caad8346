"""Connecting within a deadline to nobody but the right listener, and its first bytes."""

from __future__ import annotations

import errno
import math
import select
import socket
import time

from manhole._errors import SuspiciousServer
from manhole._peer import PeerCredentials, get_peercred, overflow_uid
from manhole.client._locate import Target
from manhole.client._status import ExitStatus, Failure

__all__ = [
    "RECEIVE_SIZE",
    "RETRY_INTERVAL",
    "check_listener",
    "connection_lost",
    "is_readable",
    "open_connection",
    "receive",
    "receive_first",
    "wait_for",
]

RECEIVE_SIZE = 65536  # arbitrary; a dump of many stacks in a few calls
REFUSAL = b"manhole: refused: "
# Seconds between attempts while the backlog is full. Nothing tells when there is room; arbitrary, unseen by a human.
RETRY_INTERVAL = 0.05


def open_connection(target: Target, deadline: float) -> socket.socket:
    """A socket connected to *target*, whose listener has been checked; nothing has been sent or read.

    :param deadline: when to give up, on the clock of time.monotonic(). A full backlog is tried again until then.
    :raises Failure: if nobody listens, it is not permitted, or there was no room within the deadline.
    :raises SuspiciousServer: if somebody else listens.
    """
    sock = _connect(target, deadline)
    try:
        try:
            peer = get_peercred(sock)
        except NotImplementedError as error:
            raise SuspiciousServer(str(target.path), 0, -1, f"nothing tells who listens, {error}") from None
        check_listener(peer, target)
    except BaseException:
        sock.close()
        raise
    return sock


def _connect(target: Target, deadline: float) -> socket.socket:
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Non-blocking: a blocking connect() waits for room in the backlog without any limit (unix(7)).
            sock.setblocking(False)
            sock.connect(str(target.path))
            sock.setblocking(True)
            return sock
        except OSError as error:
            sock.close()
            if error.errno not in (errno.EAGAIN, errno.EINPROGRESS, errno.EINTR):
                raise _connect_failure(target, error) from None
        except BaseException:
            sock.close()
            raise
        left = deadline - time.monotonic()
        if left <= 0:
            raise Failure(
                ExitStatus.NO_ANSWER,
                f"{target.name} accepts no connection, its backlog is full; wait with a longer timeout, "
                "or look at the process from outside with py-spy or gdb",
            )
        time.sleep(min(RETRY_INTERVAL, left))


def _connect_failure(target: Target, error: OSError) -> Failure:
    path = target.path
    if error.errno in (errno.ECONNREFUSED, errno.EPROTOTYPE):
        return Failure(
            ExitStatus.NOBODY_LISTENS,
            f"nobody listens on {path}, it was left behind or is no manhole's; install() anew in the process",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Failure(
            ExitStatus.NOT_PERMITTED, f"not permitted to connect to {path}; try as the process's user or as root"
        )
    if error.errno == errno.ENOENT:
        return Failure(ExitStatus.NO_MANHOLE, f"{path} has just gone; its process has ended or released the manhole")
    return Failure(ExitStatus.LOST, f"cannot connect to {path}: {error.strerror}")


def check_listener(peer: PeerCredentials, target: Target) -> None:
    """Make sure that *peer* is who *target* says; anybody can put a socket into /tmp.

    :param peer: who called listen(), as the kernel tells.
    :raises SuspiciousServer: if it is another process or another user.
    """

    def suspicious(reason: str) -> SuspiciousServer:
        return SuspiciousServer(str(target.path), *peer[:2], reason)

    if target.pid is not None and peer.pid not in (target.pid, 0):
        raise suspicious(f"it is not process {target.pid} that listens there; find out who put it there")
    if target.uids is None:
        return
    if peer.uid not in target.uids:
        allowed = " or ".join(str(uid) for uid in sorted(target.uids))
        raise suspicious(f"the listener should be of uid {allowed}; find out who put it there")
    if peer.uid == overflow_uid() and peer.pid != target.pid:
        raise suspicious(f"uid {peer.uid} stands for any unmapped user; connect as root, outside the container")


def is_readable(sock: socket.socket, timeout: float = 0.0) -> bool:
    """Whether *sock* has something to read, or has ended, within *timeout* seconds."""
    return wait_for(sock, select.POLLIN, timeout)


def wait_for(sock: socket.socket, event: int, timeout: float) -> bool:
    """Whether *sock* is ready, or has ended, within *timeout* seconds.

    :param event: select.POLLIN or select.POLLOUT. Not select.select(), which ends at descriptor 1023.
    """
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(math.ceil(max(0.0, timeout) * 1000)))


def receive(sock: socket.socket, target: Target) -> bytes:
    """What has arrived, waiting for it if need be; b"" once the server has closed.

    :raises Failure: if the connection broke.
    """
    try:
        return sock.recv(RECEIVE_SIZE)
    except ConnectionError:
        raise connection_lost(target) from None


def connection_lost(target: Target) -> Failure:
    """The failure to raise where the connection broke.

    The kernel says "connection reset" when the other side closes and leaves unread what we had sent.
    """
    return Failure(
        ExitStatus.LOST,
        f"{target.name} closed the connection before it had read all that was sent; see whether it still runs",
    )


def receive_first(sock: socket.socket, target: Target, deadline: float) -> bytes:
    """The server's first bytes.

    :param deadline: when to give up, on the clock of time.monotonic().
    :raises Failure: if they do not come in time, if the server closed without any, or if they are a refusal.
    """
    data = b""
    # As long as it may still become a refusal; everything else is returned at once.
    while not data or REFUSAL.startswith(data) or (data.startswith(REFUSAL) and b"\n" not in data):
        if not is_readable(sock, deadline - time.monotonic()):
            raise _no_answer(target)
        try:
            received = sock.recv(RECEIVE_SIZE)
        except ConnectionError:
            received = b""  # who refuses us may leave our first bytes unread
        if not received:
            break
        data += received
    if data.startswith(REFUSAL):
        reason = data.removeprefix(REFUSAL).partition(b"\n")[0].decode("utf-8", "replace")
        raise Failure(ExitStatus.NOT_PERMITTED, f"{target.name} refused the connection: {reason}")
    if not data:
        raise Failure(ExitStatus.LOST, f"{target.name} closed the connection without a word; see whether it still runs")
    return data


def _no_answer(target: Target) -> Failure:
    return Failure(
        ExitStatus.NO_ANSWER,
        f"{target.name} does not answer: it is stopped, or something in it never lets go of the interpreter lock; "
        "wait with a longer timeout, or look at it from outside with py-spy or gdb",
    )
