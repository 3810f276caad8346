"""Peer credentials on each system, by fakes that answer as its manual says, and the rule of who may come in."""

import os
import socket
import struct
import sys

import pytest

import manhole
from manhole import _peer


class FakeSocket:
    def __init__(self, answers: dict[tuple[int, int], bytes]) -> None:
        self.answers = answers

    def getsockopt(self, level: int, option: int, buflen: int, /) -> bytes:
        return self.answers[level, option][:buflen]


def xucred(version: int = 0, tail: bytes = b"") -> bytes:
    """struct xucred of <sys/ucred.h>: version, uid, ngroups, two bytes of padding, 16 groups, and FreeBSD's union."""
    return struct.pack("IIh2x16I", version, 501, 3, 20, 12, *[0] * 14) + tail


@pytest.mark.skipif(sys.platform != "linux", reason="SO_PEERCRED is Linux's")
def test_linux() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert manhole.get_peercred(one) == (os.getpid(), os.geteuid(), os.getegid())


def test_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    sock = FakeSocket({(0, 1): xucred(), (0, 2): struct.pack("i", 4711)})
    assert manhole.get_peercred(sock) == (4711, 501, 20)


def test_freebsd_since_13(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd13")
    assert manhole.get_peercred(FakeSocket({(0, 1): xucred(tail=struct.pack("4xi4x", 4711))})) == (4711, 501, 20)


def test_freebsd_before_13_names_no_pid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd12")
    assert manhole.get_peercred(FakeSocket({(0, 1): xucred()})) == (0, 501, 20)


def test_an_unknown_layout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd13")
    with pytest.raises(OSError, match="version 7"):
        manhole.get_peercred(FakeSocket({(0, 1): xucred(version=7)}))


def test_an_unknown_system_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(NotImplementedError, match="plan9"):
        manhole.get_peercred(FakeSocket({}))


@pytest.mark.parametrize(("uid", "euid"), [(0, 1000), (1000, 1000), (0, 0)])
def test_let_in(uid: int, euid: int) -> None:
    _peer.check_client(_peer.PeerCredentials(1, uid, 1), euid, 65534)


@pytest.mark.parametrize(("uid", "euid"), [(1000, 0), (1001, 1000), (65534, 65534), (65534, 1000)])
def test_kept_out(uid: int, euid: int) -> None:
    with pytest.raises(manhole.SuspiciousClient) as refused:
        _peer.check_client(_peer.PeerCredentials(7, uid, 8), euid, 65534)
    assert (refused.value.pid, refused.value.uid, refused.value.gid) == (7, uid, 8)
