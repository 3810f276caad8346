"""stdin that is no terminal goes in as it is, and nothing but the answer comes out."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from fake_server import DEADLINE

from manhole.client import ExitStatus

# PyPy opens a file before the first line of ours runs, and that gets the number that is free.
takes_descriptors = pytest.mark.skipif(
    sys.implementation.name == "pypy", reason="PyPy takes a closed descriptor itself"
)


def test_only_the_answer_comes_out(run, start_fake):
    result = run(start_fake("scripted").path, stdin=b"one\ntwo\n")
    assert (result.returncode, result.stdout, result.stderr) == (ExitStatus.OK, b"ran: one\nran: two\n", b"")


def test_by_process_id(run, start_fake):
    result = run(start_fake("scripted", "default").pid, stdin=b"one\n")
    assert (result.returncode, result.stdout) == (ExitStatus.OK, b"ran: one\n")


def test_the_end_of_input_ends_an_open_block(run, start_fake):
    assert run(start_fake("scripted").path, stdin=b"for:\n  x").stdout == b"ran: for:|  x\n"


def test_a_greeting_on_its_way_already_is_dropped(run, start_fake):
    result = run(start_fake("converse").path, stdin=b"one\n")
    assert (result.returncode, result.stdout) == (ExitStatus.OK, b"ran: one\n")


def test_bytes_are_not_touched(run, start_fake):
    data = bytes(range(256)) * 3 + b"\r\n\xff"
    assert run(start_fake("echo").path, stdin=data).stdout == data


def test_much_input_and_much_output_at_once(run, start_fake):
    """Far more than the sockets' and pipes' buffers hold: who writes all before reading hangs here."""
    data = b"0123456789abcde\n" * 500_000
    assert run(start_fake("echo").path, stdin=data).stdout == data


def test_an_answer_far_longer_than_its_question(run, start_fake):
    """The server reads no further before its answer is taken: who sends without reading hangs here."""
    result = run(start_fake("amplify").path, stdin=b"x" * 2_000_000)
    assert result.stdout == b"x" * 20_000_000


def test_slow_input_is_forwarded_as_it_comes(start_command, start_fake):
    child = start_command(start_fake("scripted").path)
    for word in (b"one", b"two"):
        child.stdin.write(word + b"\n")
        assert child.stdout.readline() == b"ran: " + word + b"\n"
    child.stdin.close()
    assert child.wait(DEADLINE) == ExitStatus.OK


def test_the_server_may_close_while_the_input_is_still_open(start_command, start_fake):
    child = start_command(start_fake("scripted").path)
    child.stdin.write(b"exit()\n")
    assert child.wait(DEADLINE) == ExitStatus.OK


def test_input_that_the_server_never_read_is_a_lost_connection(start_command, start_fake):
    fake = start_fake("scripted")
    child = start_command(fake.path)
    child.stdin.write(b"one\nhang\nnever read\n")
    assert (fake.expect("line"), fake.expect("line")) == ("one", "hang")
    fake.expect("unread")
    fake.kill()
    stdout, stderr = child.communicate(timeout=DEADLINE)
    assert (child.returncode, stdout) == (ExitStatus.LOST, b"ran: one\n")
    assert stderr.count(b"\n") == 1


def test_a_reader_that_has_had_enough_ends_it_quietly(start_command, start_fake):
    child = start_command(start_fake("flood").path)
    assert child.stdout.readline() == b"flood\n"
    child.stdout.close()
    assert child.wait(DEADLINE) == ExitStatus.OK
    assert child.stderr.read() == b""


def test_ctrl_c_interrupts_the_code_and_shows_how_it_ends(start_command, start_fake):
    fake = start_fake("scripted")
    child = start_command(fake.path)
    child.stdin.write(b"one\nspin\n")
    assert (fake.expect("line"), fake.expect("line")) == ("one", "spin")
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=DEADLINE)
    assert (child.returncode, stdout) == (ExitStatus.INTERRUPTED, b"ran: one\nKeyboardInterrupt\n")
    assert stderr.startswith(b"manhole-cli: interrupted; ")
    assert stderr.count(b"\n") == 1
    fake.expect("interrupt")
    fake.expect("end")


def test_after_ctrl_c_code_that_does_not_react_is_left(start_command, start_fake):
    fake = start_fake("scripted")
    child = start_command(fake.path)
    child.stdin.write(b"hang\n")
    assert fake.expect("line") == "hang"
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    fake.expect("unread")
    assert child.wait(DEADLINE) == ExitStatus.INTERRUPTED
    assert time.monotonic() - began > 0.5
    assert b"goes on" in child.stderr.read()


def test_a_second_ctrl_c_leaves_at_once(start_command, start_fake):
    fake = start_fake("scripted")
    child = start_command(fake.path)
    child.stdin.write(b"hang\n")
    assert fake.expect("line") == "hang"
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    fake.expect("unread")
    child.send_signal(signal.SIGINT)
    assert child.wait(DEADLINE) == ExitStatus.INTERRUPTED
    assert time.monotonic() - began < 0.9  # the second that it has


@takes_descriptors
def test_a_closed_stdout_does_not_become_the_connection(command, start_fake, environment):
    """The first descriptor that is opened gets the number that is free: without care the answer is sent back."""
    fake = start_fake("scripted")
    shell = ["/bin/sh", "-c", 'exec "$0" "$1" >&-', command, str(fake.path)]
    result = subprocess.run(shell, input=b"one\n", stderr=subprocess.PIPE, env=environment, timeout=DEADLINE)
    assert (result.returncode, result.stderr) == (ExitStatus.OK, b"")
    assert fake.expect("line") == "one"
    fake.expect("end")


@takes_descriptors
def test_a_closed_stdin_is_an_empty_one(command, start_fake, environment):
    fake = start_fake("scripted")
    shell = ["/bin/sh", "-c", 'exec "$0" "$1" <&-', command, str(fake.path)]
    result = subprocess.run(shell, capture_output=True, env=environment, timeout=DEADLINE)
    assert (result.returncode, result.stdout, result.stderr) == (ExitStatus.OK, b"", b"")
    fake.expect("end")
