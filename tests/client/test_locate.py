"""From what the user typed to a socket and to who must be behind it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from manhole._errors import SuspiciousServer
from manhole._peer import PeerCredentials, overflow_uid
from manhole.client import ExitStatus, Failure, Target, check_listener, locate, locate_path, locate_pid
from manhole.client._locate import candidate_paths


def make_proc(folder: Path, pid: int, namespace: str, own_pids: str, root: Path) -> Path:
    """A /proc with `self` and one process in it."""
    for name, its_namespace, its_root in (("self", "mnt:[1]", Path("/")), (str(pid), namespace, root)):
        (folder / name / "ns").mkdir(parents=True)
        (folder / name / "ns/mnt").symlink_to(its_namespace)
        (folder / name / "root").symlink_to(its_root)
    (folder / str(pid) / "status").write_text(f"Name:\tx\nNSpid:\t{own_pids}\nThreads:\t1\n")
    return folder


def test_a_process_among_us_is_sought_at_its_default_path_only(tmp_path):
    proc = make_proc(tmp_path, 7001, "mnt:[1]", "7001", Path("/"))
    assert candidate_paths(7001, proc) == [Path("/tmp/manhole-7001")]


@pytest.mark.parametrize(
    ("namespace", "own_pids", "chrooted", "own_pid"),
    [
        pytest.param("mnt:[2]", "7001", False, 7001, id="private /tmp"),
        pytest.param("mnt:[1]", "7001\t12", False, 12, id="pid namespace"),
        pytest.param("mnt:[2]", "7001\t40\t1", True, 1, id="nested container"),
        pytest.param("mnt:[1]", "7001", True, 7001, id="chroot"),
    ],
)
def test_a_process_elsewhere_is_sought_first_where_it_sees_its_own_files(
    tmp_path, namespace, own_pids, chrooted, own_pid
):
    root = tmp_path if chrooted else Path("/")
    proc = make_proc(tmp_path / "proc", 7001, namespace, own_pids, root)
    there = proc / f"7001/root/tmp/manhole-{own_pid}"
    assert candidate_paths(7001, proc) == [there, Path("/tmp/manhole-7001")]


def test_without_procfs_the_default_path_remains(tmp_path):
    assert candidate_paths(7001, tmp_path) == [Path("/tmp/manhole-7001")]


def test_a_process_listener_must_be_that_process_with_its_present_user(start_fake):
    fake = start_fake(path="default")
    target = locate(str(fake.pid))
    assert (target.path, target.pid) == (fake.path, fake.pid)
    if Path("/proc/self").exists():
        assert target.uids == {os.geteuid()}


def test_without_procfs_a_process_listener_may_be_of_our_user_or_root(start_fake, tmp_path):
    fake = start_fake(path="default")
    assert locate_pid(fake.pid, tmp_path).uids == {os.geteuid(), 0}


def test_a_path_listener_may_be_any_process_of_our_user_or_root_and_root_trusts_all(start_fake):
    fake = start_fake()
    target = locate_path(fake.path)
    assert target.pid is None
    assert target.uids == (None if os.geteuid() == 0 else {os.geteuid(), 0})


def test_a_bare_name_of_a_file_is_a_path_and_digits_never_are(start_fake, monkeypatch):
    fake = start_fake()
    monkeypatch.chdir(fake.path.parent)
    assert locate(fake.path.name).path == Path(fake.path.name)
    Path("0").touch()
    with pytest.raises(Failure) as caught:
        locate("0")
    assert caught.value.status == ExitStatus.NO_PROCESS


def status_of(argument: object) -> ExitStatus:
    with pytest.raises(Failure) as caught:
        locate(str(argument))
    return caught.value.status


def test_an_argument_that_is_neither_is_wrong_usage():
    assert status_of("no-such-name") == ExitStatus.USAGE


def test_a_path_too_long_for_an_address_is_wrong_usage(folder):
    assert status_of(folder / ("x" * 120)) == ExitStatus.USAGE


@pytest.mark.parametrize("pid", [0, 2**22 + 1, 10**30])
def test_a_pid_of_nobody_is_no_process(pid):
    assert status_of(pid) == ExitStatus.NO_PROCESS


def test_a_process_without_a_manhole_and_a_path_without_a_socket_have_none(folder):
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert status_of(child.pid) == ExitStatus.NO_MANHOLE
    finally:
        child.kill()
        child.wait()
    assert status_of(folder / "missing") == ExitStatus.NO_MANHOLE
    assert status_of(folder) == ExitStatus.NO_MANHOLE


OF_PROCESS = Target("process 7", Path("/tmp/s"), 7, frozenset({1000}))
OF_PATH = Target("/tmp/s", Path("/tmp/s"), None, frozenset({1000, 0}))
OF_PATH_FOR_ROOT = Target("/tmp/s", Path("/tmp/s"), None, None)
UNMAPPED = Target("process 7", Path("/tmp/s"), 7, frozenset({overflow_uid()}))


@pytest.mark.parametrize(
    ("target", "pid", "uid"),
    [
        pytest.param(OF_PROCESS, 7, 1000, id="itself"),
        pytest.param(OF_PROCESS, 0, 1000, id="itself, in a namespace that hides its pid"),
        pytest.param(OF_PATH, 8, 1000, id="ours"),
        pytest.param(OF_PATH, 8, 0, id="root"),
        pytest.param(OF_PATH_FOR_ROOT, 8, 1001, id="anybody, to root"),
        pytest.param(UNMAPPED, 7, overflow_uid(), id="unmapped user, but that very process"),
    ],
)
def test_the_right_listener_is_talked_to(target, pid, uid):
    check_listener(PeerCredentials(pid, uid, uid), target)


@pytest.mark.parametrize(
    ("target", "pid", "uid"),
    [
        pytest.param(OF_PROCESS, 8, 1000, id="another process of that user"),
        pytest.param(OF_PROCESS, 0, 1001, id="another user's, in a namespace that hides its pid"),
        pytest.param(OF_PROCESS, 7, 0, id="root's, where the process is not"),
        pytest.param(OF_PATH, 8, 1001, id="another user's"),
        pytest.param(UNMAPPED, 0, overflow_uid(), id="any unmapped user's"),
    ],
)
def test_the_wrong_listener_is_not_talked_to(target, pid, uid):
    with pytest.raises(SuspiciousServer) as caught:
        check_listener(PeerCredentials(pid, uid, uid), target)
    assert (caught.value.path, caught.value.pid, caught.value.uid) == ("/tmp/s", pid, uid)
