"""Signals: a handler that can be taken back from anywhere, and a thread that sees a signal when no handler can run."""

from __future__ import annotations

import _socket
import posix
import signal
import struct
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

from manhole import compat
from manhole._errors import ManholeError

__all__ = ["KNOWS_SENDER", "SignalHook", "SignalWatcher"]

_STOP = 0  # no signal has this number
_CREDENTIALS = struct.Struct("iII")  # struct ucred, unix(7)
# Whether a unix socket tells which process each byte comes from: Linux's does.
KNOWS_SENDER = hasattr(_socket, "SO_PASSCRED") and hasattr(_socket.socket, "recvmsg")
# Arbitrary; long enough for a loaded machine. If it is not, nothing but uWSGI minds.
START_SECONDS = 1.0


class SignalHook:
    """Has a signal call a function, in place of what it did before.

    :param signum: the signal.
    :param function: called as any Python handler is: on the main thread, between two bytecodes of whatever runs there.
    :ivar before: what the signal did before, as `signal.getsignal()` has it.
    """

    def __init__(self, signum: int, function: Callable[[int, FrameType | None], None]) -> None:
        self._signum = signum
        self._function: Callable[[int, FrameType | None], None] | None = function
        self.before: Any = signal.getsignal(signum)

    def set(self) -> None:
        """Put the function there, also after the signal was set to something else for a moment.

        :raises ManholeError: if the calling thread is not the main one, where alone Python lets handlers be set.
        """
        try:
            signal.signal(self._signum, self._handle)
        except ValueError:
            raise ManholeError(
                f"a handler for signal {self._signum} can be set on the main thread alone; call install() there"
            ) from None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._function is not None:
            self._function(signum, frame)
        else:  # removed from another thread, which could not put back what was there
            self._put_back()
            signal.raise_signal(signum)

    def remove(self) -> None:
        """Put back what was there before, unless somebody has set another handler since.

        Only the main thread may set one: called from another, the hook puts it back when the signal comes.
        """
        self._function = None
        try:
            self._put_back()
        except ValueError:
            pass

    def _put_back(self) -> None:
        if self.is_set():
            # None: a handler that is not Python's and cannot be set again
            signal.signal(self._signum, signal.SIG_DFL if self.before is None else self.before)

    def is_set(self) -> bool:
        """Whether the signal still comes here; from any thread."""
        return bool(signal.getsignal(self._signum) == self._handle)


class SignalWatcher:
    """Calls functions on a thread of its own when signals come, also while the main thread never returns to Python.

    A Python handler runs when the main thread gets to its next bytecode, and one that is stuck in a library's C code
    never does. The interpreter's own C handler does run, and writes the signal's number to the descriptor that
    `signal.set_wakeup_fd` names; a thread that reads there learns of it. There is one such descriptor in a process: it
    is given back, and whoever takes it later (asyncio does) wins. Where somebody has it already (a gunicorn worker has
    one), this one is taken in its place and hands everything on.

    It is a socket and not a pipe, because that tells who has written: a process forked by C code that runs no fork
    hooks (uWSGI) writes to its parent's.

    Works for signals that have a Python handler. For the main thread; from another it is told of no signal, and calls
    what tell() asks for.

    :param functions: what to call, by signal number, or by a number from TOLD on for tell(); they must raise nothing.
    :param sigmask: the signals to block on the thread.
    :raises OSError: if the process has no descriptor left.
    """

    # Signals have lower numbers, so both fit into one stream of bytes.
    TOLD = 128

    def __init__(self, functions: Mapping[int, Callable[[], None]], sigmask: Iterable[int]) -> None:
        self._functions = functions
        self._read, self._write = _socket.socketpair()
        self._read.settimeout(None)  # socket.setdefaulttimeout() of the application reaches raw sockets too
        self._write.setblocking(False)
        if KNOWS_SENDER:
            self._read.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        self._ended = compat.allocate_lock()
        self._other: tuple[int, tuple[int, int]] | None = None  # whose place is taken: descriptor, device and inode
        self._is_wakeup = False
        self._sigmask = sigmask
        self._is_paused = False
        self._running = compat.allocate_lock()
        self._running.acquire()

    def start(self) -> None:
        """Start the thread; stop() is due afterwards, whatever this raises.

        :raises RuntimeError: if the system has no thread left.
        """
        self._is_wakeup = self._take_wakeup()
        self._start_thread()
        # A thread that waits for the GIL while uWSGI forks leaves the child waiting for it for ever (uwsgi#2387).
        self._running.acquire(timeout=START_SECONDS)

    def _start_thread(self) -> None:
        self._ended.acquire(False)
        try:
            self._thread = compat.start_thread(self._watch, "manhole signal watcher", self._sigmask)
        except RuntimeError:
            self._ended.release()
            raise

    def _take_wakeup(self) -> bool:
        """Make the socket the wakeup descriptor."""
        try:
            other = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        except ValueError:
            return False  # not the main thread
        self._other = None
        if other != -1:
            try:
                self._other = other, _identity(other)
            except OSError:
                pass  # closed, and never given back
        return True

    def _give_wakeup_back(self) -> bool:
        """Whether the socket is no longer the wakeup descriptor."""
        try:
            now = signal.set_wakeup_fd(-1)
            if now not in (-1, self._write.fileno()):
                signal.set_wakeup_fd(now)
            elif now != -1 and self._other is not None and _identity(self._other[0]) == self._other[1]:
                signal.set_wakeup_fd(self._other[0])
        except ValueError:
            return not self._is_wakeup  # not the main thread
        except OSError:
            pass  # the other one is closed
        return True

    def tell(self, number: int) -> bool:
        """Have the thread call the function of *number*; False if there is no thread that could.

        From any thread and from a signal handler.
        """
        if self._is_paused:
            return False
        try:
            return self._write.send(bytes([number])) == 1
        except OSError:
            return False

    def _watch(self) -> None:
        if self._running.locked():  # the first time
            self._running.release()
        try:
            while True:
                seen, is_ours = self._receive()
                self._hand_on(seen)
                for number in dict.fromkeys(seen if is_ours else b""):  # each once, in the order they came
                    function = self._functions.get(number)
                    if function is not None:
                        function()
                if _STOP in seen or not seen:
                    break
        finally:
            self._ended.release()

    def _receive(self) -> tuple[bytes, bool]:
        """Bytes of one sender, and whether this process is it, as far as the system tells."""
        if not KNOWS_SENDER:
            return self._read.recv(256), True
        data, ancillary, _, _ = self._read.recvmsg(256, _socket.CMSG_SPACE(_CREDENTIALS.size))
        pids = [
            _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0]
            for level, kind, content in ancillary
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS
        ]
        return data, pids == [posix.getpid()]

    def _hand_on(self, seen: bytes) -> None:
        signals = bytes(number for number in seen if number != _STOP and number < self.TOLD)
        if self._other is None or not signals:
            return
        descriptor, identity = self._other
        try:
            if _identity(descriptor) == identity:  # else closed, and its number is somebody else's
                posix.write(descriptor, signals)
        except OSError:
            pass  # full, as it could be without us

    def pause(self, timeout: float) -> None:
        """End the thread for a while; resume() is due then. For the time before a fork.

        :param timeout: seconds to wait for its end.
        """
        # Signals to the child would wake the parent, before the child gets to let go of the socket.
        self._give_wakeup_back()
        self._is_paused = True
        self._send_stop()
        if self._ended.acquire(timeout=timeout):
            self._thread.wait_gone(timeout)
        else:
            self._is_paused = False

    def resume(self, timeout: float) -> None:
        """Start the thread again.

        :param timeout: seconds to wait for the end of the one before, if pause() has not seen it.
        """
        if not self._is_paused and not self._ended.acquire(timeout=timeout):
            return  # busy beyond measure; the Python handler still works
        self._is_wakeup = self._take_wakeup()
        try:
            self._start_thread()
            self._is_paused = False
        except RuntimeError:
            pass  # as above

    def stop(self, timeout: float) -> None:
        """End the thread and give the wakeup descriptor back, waiting at most *timeout* seconds."""
        given_back = self._give_wakeup_back()
        self._send_stop()
        # Closed while a signal may still be written to it, the number could become somebody else's file.
        if self._ended.acquire(timeout=timeout) and given_back:
            self._close()
        elif self._is_wakeup:
            _left_open.extend((self._read, self._write))  # an object that is collected closes its descriptor

    def close_after_fork(self) -> None:
        """In a forked child: let go of the parent's socket, through which its signals would wake the parent."""
        self._give_wakeup_back()
        self._close()

    def _send_stop(self) -> None:
        try:
            self._write.send(bytes([_STOP]))
        except OSError:
            pass  # full: the thread is busy beyond measure

    def _close(self) -> None:
        self._read.close()
        self._write.close()


# The sockets that could not be taken back as the wakeup descriptor.
_left_open: list[_socket.socket] = []


def _identity(descriptor: int) -> tuple[int, int]:
    found = posix.fstat(descriptor)
    return found.st_dev, found.st_ino
