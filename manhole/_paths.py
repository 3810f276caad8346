"""Where the socket lives, what may be cleared from there, and how it gets there with mode 0600 from the start.

To look whether a socket is stale and then to remove it are two steps, and so are bind() and listen(), between which a
living process's socket looks stale. Renaming a stale one before it is removed, to see what it was, does not help: a
third process can take the path before a living one is put back. So all this is done under a lock that the kernel gives
back when its holder dies, and that leaves no file: flock() on the folder. Any user may hold that of /tmp, so it is not
waited for longer than LOCK_SECONDS; then, or on a file system that has none, two that want one path at the same moment
may both believe to have it.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import posix
import stat

from manhole import compat
from manhole._errors import InvalidOption, PathInUse

__all__ = ["MAX_PATH_BYTES", "BoundSocket", "bind_socket", "default_path"]

# sun_path less its terminating zero: 108 on Linux (unix(7)), 104 on macOS and the BSDs (unix(4)).
MAX_PATH_BYTES = 107 if os.uname().sysname == "Linux" else 103
MODE = 0o600
# How many clients the kernel lets wait while the accept thread has no GIL; Linux caps it at net.core.somaxconn.
BACKLOG = 128
# Whoever of ours holds the folder's lock has it for less than a millisecond. Arbitrary; enough for a loaded machine.
LOCK_SECONDS = 1.0
RETRY_SECONDS = 0.001


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
        self._place = os.path.join(os.getcwd(), path)  # the application may change its directory
        made = posix.lstat(path)
        self._file = (made.st_dev, made.st_ino)

    def close(self) -> None:
        """Remove the file and close its socket. Twice is harmless."""
        # In this order: while the socket listens, nobody of ours puts another in the place of its file.
        self.remove_file()
        self.socket.close()

    def remove_file(self) -> None:
        """Remove the file, if it still is the one that this process made. Twice is harmless.

        A forked child leaves it to the parent.
        """
        if posix.getpid() != self._owner:
            return
        try:
            found = posix.lstat(self._place)
            if (found.st_dev, found.st_ino) == self._file:
                posix.unlink(self._place)
        except OSError:
            pass  # gone already, or no longer ours to remove


def bind_socket(path: str) -> BoundSocket:
    """Listen on *path*, replacing a stale socket of our own and nothing else.

    :raises InvalidOption: if the path is too long for a socket address or its folder is missing.
    :raises PathInUse: if something is there that is not our own stale socket, or the folder cannot be written.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise InvalidOption("socket_path", path, f"at most {MAX_PATH_BYTES} bytes long, a socket address holds no more")
    bound = None
    try:
        folder = _lock_folder(os.path.dirname(path) or ".")
        try:
            bound = _bind_locked(path)
        finally:
            if folder is not None:
                # Said aloud: a process that another thread has forked meanwhile holds the lock too.
                fcntl.flock(folder, fcntl.LOCK_UN)
                posix.close(folder)
    except BaseException:
        if bound is not None:
            bound.close()
        raise
    return bound


def _bind_locked(path: str) -> BoundSocket:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(None)  # socket.setdefaulttimeout() of the application reaches raw sockets too
        _bind(sock, path)
        sock.listen(BACKLOG)
        return BoundSocket(sock, path)
    except BaseException:
        if sock.getsockname():  # it is bound: the file is ours
            try:
                posix.unlink(path)
            except OSError:
                pass  # gone already
        sock.close()
        raise


def _lock_folder(path: str) -> int | None:
    """A descriptor of the folder, locked against others of ours if that is possible."""
    try:
        folder = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return None  # bind() will say what is the matter; or the folder can be written and not read
    try:
        deadline = compat.monotonic() + LOCK_SECONDS
        while compat.monotonic() < deadline:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                compat.sleep(RETRY_SECONDS)
            except OSError:
                break  # none on this file system
    except BaseException:
        posix.close(folder)
        raise
    return folder


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
