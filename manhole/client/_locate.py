"""From a process id or a path to the socket, and to who must be listening on it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from manhole._paths import MAX_PATH_BYTES, default_path
from manhole.client._status import ExitStatus, Failure

__all__ = ["Target", "locate", "locate_path", "locate_pid"]

PROC = Path("/proc")


@dataclass(frozen=True)
class Target:
    """A socket and who has to be behind it.

    :ivar name: what messages call it, "process 123" or the path.
    :ivar path: the socket.
    :ivar pid: the process that must be listening, None if any may.
    :ivar uids: the effective users that it may have, None if any may.
    """

    name: str
    path: Path
    pid: int | None
    uids: frozenset[int] | None


def locate(argument: str) -> Target:
    """What the user's *argument* means: digits are a process id, a file or anything with a slash is a path.

    :raises Failure: if there is no such process, no socket there, or the argument is neither.
    """
    if argument.isascii() and argument.isdigit():
        return locate_pid(int(argument))
    if "/" in argument or os.path.lexists(argument):
        return locate_path(Path(argument))
    raise Failure(ExitStatus.USAGE, f"{argument!r} is neither a process id nor the path of a socket")


def locate_path(path: Path) -> Target:
    """The socket at *path*. Its listener must be of our own user or root; root trusts every user's.

    :raises Failure: if there is no socket, it cannot be seen, or its path is too long to connect to.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise Failure(
            ExitStatus.USAGE,
            f"{path} is too long, a socket address holds {MAX_PATH_BYTES} bytes; "
            "go to its folder and use a relative path",
        )
    try:
        mode = path.stat().st_mode
    except PermissionError:
        raise Failure(ExitStatus.NOT_PERMITTED, f"{path} cannot be looked up; try as its owner or as root") from None
    except OSError as error:
        raise Failure(ExitStatus.NO_MANHOLE, f"{path}: {error.strerror}; check the path") from None
    if not stat.S_ISSOCK(mode):
        raise Failure(ExitStatus.NO_MANHOLE, f"{path} is not a socket; give the one that install() reported")
    euid = os.geteuid()
    return Target(str(path), path, None, None if euid == 0 else frozenset({euid, 0}))


def locate_pid(pid: int, proc: Path = PROC) -> Target:
    """The default socket of the process *pid*. Its listener must be that process, with the user that it has now.

    :param proc: where procfs is mounted; all that comes from there is optional, macOS has none.
    :raises Failure: if there is no such process or no socket of its.
    """
    if not _exists(pid):
        raise Failure(ExitStatus.NO_PROCESS, f"there is no process {pid}; check the process id")
    name = f"process {pid}"
    hidden = False
    candidates = candidate_paths(pid, proc)
    for path in candidates:
        try:
            found = stat.S_ISSOCK(path.stat().st_mode)
        except PermissionError:
            hidden = True
        except OSError:
            pass  # not this one
        else:
            if found:
                return Target(name, path, pid, _allowed_uids(pid, proc))
    where = " or ".join(map(str, candidates))
    if hidden:
        raise Failure(ExitStatus.NOT_PERMITTED, f"{where} of {name} cannot be looked up; try as root")
    raise Failure(
        ExitStatus.NO_MANHOLE,
        f"{name} has no manhole at {where}; if it uses another socket_path or activates on a signal, "
        "give that path or send that signal",
    )


def candidate_paths(pid: int, proc: Path = PROC) -> list[Path]:
    """Where the default socket of *pid* may be, the likeliest first.

    A process in a container calls itself by another pid and may see another /tmp, as does one under systemd's
    PrivateTmp or in a chroot: /proc/PID/root shows the file system as that process sees it (proc(5)).
    """
    here = Path(default_path(pid))
    own_pid = _innermost_pid(pid, proc)
    if own_pid == pid and not _sees_other_files(pid, proc):
        return [here]
    there = default_path(own_pid).lstrip("/")
    return [proc / str(pid) / "root" / there, here]


def _exists(pid: int) -> bool:
    if pid == 0:
        return False  # to kill(2) it is our own process group
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _innermost_pid(pid: int, proc: Path) -> int:
    """The pid by which the process knows itself, the last of NSpid in /proc/PID/status."""
    try:
        for line in (proc / str(pid) / "status").read_bytes().splitlines():
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    except OSError:
        pass
    return pid


def _sees_other_files(pid: int, proc: Path) -> bool:
    """Whether the process has another mount namespace or another root than we; False where we may not look."""
    theirs, ours = proc / str(pid), proc / "self"
    try:
        if (theirs / "ns/mnt").readlink() != (ours / "ns/mnt").readlink():
            return True
        return not (theirs / "root").samefile(ours / "root")
    except OSError:
        return False


def _allowed_uids(pid: int, proc: Path) -> frozenset[int]:
    try:
        # The folder itself belongs to the effective user even where dumpable has made all inside it root's (proc(5)).
        # Root is always allowed: a process that listened as root may have become another user since.
        return frozenset({(proc / str(pid)).stat().st_uid, 0})
    except OSError:
        return frozenset({os.geteuid(), 0})
