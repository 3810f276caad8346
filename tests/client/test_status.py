"""Every failure is one line on stderr and an exit status of its own; never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from fake_server import DEADLINE

from manhole import __version__
from manhole.client import ExitStatus
from manhole.client._cli import main
from manhole.client._signal import send_signal


def assert_fails(result: subprocess.CompletedProcess[bytes], status: ExitStatus) -> str:
    assert result.returncode == status, result
    assert result.stdout == b""
    assert result.stderr.startswith(b"manhole-cli: ")
    assert result.stderr.count(b"\n") == 1
    assert result.stderr.endswith(b"\n")
    return result.stderr.decode()


@pytest.mark.parametrize(
    "arguments", [(), ("1", "2"), ("no-such-name",), ("-t", "0", "1"), ("-t", "nan", "1"), ("-t", "x", "1"), ("-x",)]
)
def test_wrong_arguments(run, arguments):
    assert_fails(run(*arguments), ExitStatus.USAGE)


def test_help_lists_every_exit_status(run):
    result = run("--help")
    assert result.returncode == 0
    lines = [line.split(maxsplit=1) for line in result.stdout.decode().splitlines()]
    for status in ExitStatus:
        assert [str(int(status)), status.meaning] in lines


def test_version(run):
    assert run("--version").stdout.decode() == f"manhole-cli {__version__}\n"


def test_no_such_process(run):
    assert "4194305" in assert_fails(run(2**22 + 1), ExitStatus.NO_PROCESS)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only procfs tells which signals have a handler")
@pytest.mark.parametrize("arguments", [("-1",), ("-2",), ("-s", "TERM"), ("-s", "KILL")])
def test_a_signal_without_a_handler_is_not_sent(run, arguments):
    """It would end the process that was to be looked at."""
    victim = subprocess.Popen(["sleep", "60"])
    try:
        assert "oneshot_on" in assert_fails(run(*arguments, victim.pid), ExitStatus.NO_HANDLER)
        with pytest.raises(subprocess.TimeoutExpired):
            victim.wait(0.1)
    finally:
        victim.kill()
        victim.wait()


def test_without_procfs_a_signal_is_sent(tmp_path):
    victim = subprocess.Popen(["sleep", "60"])
    send_signal(str(victim.pid), signal.SIGUSR1, tmp_path)
    assert victim.wait(DEADLINE) == -signal.SIGUSR1


def test_no_manhole(run, folder):
    assert str(folder) in assert_fails(run(folder), ExitStatus.NO_MANHOLE)


def test_nobody_listens(run, start_fake):
    fake = start_fake()
    fake.kill()
    assert str(fake.path) in assert_fails(run(fake.path), ExitStatus.NOBODY_LISTENS)


def test_a_refusal_is_shown_with_its_reason(run, spawn, start_fake, folder):
    message = assert_fails(run(start_fake("refuse").path), ExitStatus.NOT_PERMITTED)
    assert "this one is for somebody else" in message
    child = spawn(start_fake("refuse", folder / "again").path)
    child.expect_exact("this one is for somebody else")
    child.expect_exact(pexpect.EOF)
    child.close()
    assert child.exitstatus == ExitStatus.NOT_PERMITTED


def test_the_listener_on_a_process_default_path_must_be_that_process(run, start_fake):
    """Anybody can put a socket into /tmp under the name that another process would use."""
    victim = subprocess.Popen(["sleep", "60"])
    try:
        fake = start_fake("scripted", f"/tmp/manhole-{victim.pid}")
        assert f"pid {fake.pid}" in assert_fails(run(victim.pid, stdin=b"secret\n"), ExitStatus.SUSPICIOUS)
    finally:
        victim.kill()
        victim.wait()


# The command as another user; it is imported before, from where that user may not read.
AS_USER = """
import locale, os, sys
from manhole.client._cli import main
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
sys.exit(main(sys.argv[2:]))
"""


def run_as(uid: int, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", AS_USER, str(uid), *map(str, arguments)]
    return subprocess.run(command, input=b"", capture_output=True, timeout=DEADLINE)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@needs_root
def test_another_users_listener_is_not_talked_to(start_fake, folder):
    fake = start_fake("scripted", folder / "t", uid=54321)
    assert "uid 54321" in assert_fails(run_as(54322, fake.path), ExitStatus.SUSPICIOUS)


@needs_root
def test_what_the_file_system_forbids_is_not_permitted(start_fake):
    fake = start_fake("scripted")
    fake.path.chmod(0o600)
    assert str(fake.path) in assert_fails(run_as(54322, fake.path), ExitStatus.NOT_PERMITTED)


def test_a_silent_server_is_given_up_after_the_timeout(run, start_fake):
    assert_fails(run("-t", "0.2", start_fake("silent").path), ExitStatus.NO_ANSWER)


def test_a_full_backlog_is_given_up_after_the_timeout(run, start_fake):
    assert_fails(run("-t", "0.2", start_fake("backlog_full").path), ExitStatus.NO_ANSWER)


def test_a_full_backlog_is_tried_again_until_there_is_room(start_command, start_fake):
    fake = start_fake("backlog_full")
    child = start_command("-t", DEADLINE, fake.path)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)
    fake.say("make room")
    assert child.communicate(b"x\n", DEADLINE)[0] == b"ran: x\n"
    assert child.returncode == ExitStatus.OK


def test_a_server_that_hangs_up_without_a_word(run, spawn, start_fake, folder):
    assert_fails(run(start_fake("hang_up").path), ExitStatus.LOST)
    child = spawn(start_fake("hang_up", folder / "again").path)
    child.expect_exact("manhole-cli: ")
    child.expect_exact(pexpect.EOF)
    child.close()
    assert child.exitstatus == ExitStatus.LOST


def test_a_server_that_does_not_know_our_hello(run, start_fake):
    assert "is not spoken here" in assert_fails(run(start_fake("unknown_version").path), ExitStatus.LOST)


def test_a_path_with_control_characters_is_still_one_line(run):
    assert_fails(run("./no\nsuch\x1b[31m"), ExitStatus.NO_MANHOLE)


def test_ctrl_c_while_waiting_for_an_answer(start_command, start_fake):
    fake = start_fake("scripted")
    child = start_command(fake.path)
    child.stdin.write(b"hang\n")
    fake.expect("line")
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=DEADLINE)
    result = subprocess.CompletedProcess([], child.returncode, stdout, stderr)
    assert "goes on" in assert_fails(result, ExitStatus.INTERRUPTED)


def test_main_returns_the_status(capsys):
    assert main([str(2**22 + 1)]) == ExitStatus.NO_PROCESS
    assert capsys.readouterr().err.startswith("manhole-cli: ")
