"""Where the socket lives, what may be cleared from there, and how it gets there with mode 0600 from the start."""

from __future__ import annotations

import _socket
import errno
import os
import posix
import stat

from manhole._errors import InvalidOption, PathInUse

__all__ = ["MAX_PATH_BYTES", "BoundSocket", "bind_socket", "default_path"]

# sun_path less its terminating zero: 108 on Linux (unix(7)), 104 on macOS and the BSDs (unix(4)).
MAX_PATH_BYTES = 107 if os.uname().sysname == "Linux" else 103
MODE = 0o600
# How many clients the kernel lets wait while the accept thread has no GIL; Linux caps it at net.core.somaxconn.
BACKLOG = 128


def default_path(pid: int) -> str:
    """The socket of the process *pid*, as seen by that process: the same path as python-manhole's."""
    return f"/tmp/manhole-{pid}"


class BoundSocket:
    """A listening socket together with the file that it made, and nothing but that file.

    :ivar socket: the unpatched listening socket.
    :ivar path: its path, as given.
    """

    def __init__(self, sock: _socket.socket, path: str) -> None:
        self.socket = sock
        self.path = path
        self._owner = posix.getpid()
        made = posix.lstat(path)
        self._file = (made.st_dev, made.st_ino)

    def close(self) -> None:
        """Close the socket and remove its file. Twice is harmless."""
        self.socket.close()
        self.remove_file()

    def remove_file(self) -> None:
        """Remove the file, if it still is the one that this process made. Twice is harmless.

        A forked child leaves it to the parent.
        """
        if posix.getpid() != self._owner:
            return
        try:
            found = posix.lstat(self.path)
            if (found.st_dev, found.st_ino) == self._file:
                posix.unlink(self.path)
        except OSError:
            pass  # gone already, or no longer ours to remove


def bind_socket(path: str) -> BoundSocket:
    """Listen on *path*, replacing a stale socket of our own and nothing else.

    :raises InvalidOption: if the path is too long for a socket address or its folder is missing.
    :raises PathInUse: if something is there that is not our own stale socket, or the folder cannot be written.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise InvalidOption("socket_path", path, f"at most {MAX_PATH_BYTES} bytes long, a socket address holds no more")
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(None)  # socket.setdefaulttimeout() of the application reaches raw sockets too
        _bind(sock, path)
        bound = BoundSocket(sock, path)
        try:
            sock.listen(BACKLOG)
        except BaseException:
            bound.close()
            raise
    except BaseException:
        sock.close()
        raise
    return bound


def _bind(sock: _socket.socket, path: str) -> None:
    try:
        # On Linux the file takes its mode from the unbound socket. Elsewhere fchmod refuses; there nobody can connect
        # before listen(), which comes after the chmod below. The umask is the whole process's and is left alone.
        posix.fchmod(sock.fileno(), MODE)
    except OSError:
        pass
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_stale(path)
            sock.bind(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise InvalidOption("socket_path", path, "in a folder that exists") from None
        if error.errno == errno.EADDRINUSE:
            raise PathInUse(path, "another process took it at the same moment; try again") from None
        raise PathInUse(path, f"{error.strerror}; choose another socket_path") from None
    if stat.S_IMODE(posix.lstat(path).st_mode) != MODE:
        posix.chmod(path, MODE)


def _remove_stale(path: str) -> None:
    """Unlink *path* if it is a socket of this user on which nobody listens."""
    try:
        found = posix.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise PathInUse(path, "a file that is no socket is in the way; remove it or choose another socket_path")
    if found.st_uid != posix.geteuid():
        raise PathInUse(
            path,
            f"a socket of uid {found.st_uid} is in the way; remove it as that user or choose another socket_path",
        )
    if _somebody_listens(path):
        raise PathInUse(path, "a living process listens there; choose another socket_path")
    try:
        posix.unlink(path)
    except FileNotFoundError:
        pass


def _somebody_listens(path: str) -> bool:
    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        probe.setblocking(False)  # a full backlog answers EAGAIN at once: somebody listens
        probe.connect(path)
    except ConnectionRefusedError:
        return False
    except FileNotFoundError:
        return False
    except OSError:
        return True
    else:
        return True
    finally:
        probe.close()
