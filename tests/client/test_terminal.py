"""A conversation at a pseudo-terminal: prompts, output in between, Ctrl-C, Ctrl-D, and the history."""

from __future__ import annotations

import os
import readline
import stat
import sys
from pathlib import Path
from types import BuiltinFunctionType

import pexpect
import pytest

from manhole.client import ExitStatus

# input() without readline, as on a Python that was built without it.
WITHOUT_READLINE = """
import sys
sys.modules["readline"] = None
from manhole.client._cli import main
sys.exit(main())
"""


NO_READLINE = pytest.mark.skipif(
    not isinstance(readline.set_startup_hook, BuiltinFunctionType), reason="this Python's readline is not used"
)


@pytest.fixture(params=[pytest.param("readline", marks=NO_READLINE), "without"])
def start(request, spawn, start_fake):
    """Start a fake and the command in conversation with it, with readline and without; at the first prompt."""

    def start(**options):
        fake = start_fake()
        if request.param == "readline":
            child = spawn(fake.path, **options)
        else:
            child = spawn("-c", WITHOUT_READLINE, fake.path, program=sys.executable, **options)
        child.expect_exact("fake greeting\r\n")
        child.expect_exact("\r\n>>> ")
        return fake, child

    return start


@pytest.fixture
def start_readline(spawn, start_fake):
    def start(**options):
        fake = start_fake()
        child = spawn(fake.path, **options)
        child.expect_exact("\r\n>>> ")
        return fake, child

    return start


def assert_ends(child: pexpect.spawn, status: ExitStatus) -> str:
    """The command ends with *status*; what it still printed."""
    child.expect_exact(pexpect.EOF)
    child.close()
    assert child.exitstatus == status
    return child.before


def test_lines_are_answered(start):
    fake, child = start()
    child.sendline("one")
    child.expect_exact("ran: one\r\n>>> ")
    child.sendline("")
    child.expect_exact("\r\n>>> ")
    assert (fake.expect("line"), fake.expect("line")) == ("one", "")


def test_blocks_are_continued(start):
    _fake, child = start()
    child.sendline("for:")
    child.expect_exact("\r\n... ")
    child.sendline("  x")
    child.expect_exact("\r\n... ")
    child.sendline("")
    child.expect_exact("ran: for:|  x\r\n>>> ")


def test_a_paste_of_many_lines_arrives_whole(start):
    fake, child = start()
    lines = ["for:", "  a", "  b", "", "one", "two"]
    child.send("".join(line + "\n" for line in lines))
    child.expect_exact("ran: for:|  a|  b")
    child.expect_exact("ran: two\r\n>>> ")
    assert [fake.expect("line") for _ in lines] == lines


@NO_READLINE
def test_a_bracketed_paste_arrives_line_by_line(start_readline, environment, tmp_path):
    """readline hands over such a paste as one text with line ends in it; the history gets the lines all the same."""
    inputrc = tmp_path / "inputrc"
    inputrc.write_text("set enable-bracketed-paste on\n")
    environment.update(INPUTRC=str(inputrc), TERM="xterm")
    fake, child = start_readline()
    child.send("\x1b[200~for:\n  a\n\none\x1b[201~\r")
    child.expect_exact("ran: one\r\n")
    assert [fake.expect("line") for _ in range(4)] == ["for:", "  a", "", "one"]
    assert read_history(environment) == ["for:", "  a", "one"]


def test_characters_beyond_ascii(start):
    fake, child = start()
    child.sendline("größe ☃")
    child.expect_exact("ran: größe ☃\r\n>>> ")
    assert fake.expect("line") == "größe ☃"


def test_bytes_that_are_no_text_are_no_failure(start):
    """readline swallows such a byte, a bare terminal passes it on; the server may send one as well."""
    fake, child = start()
    os.write(child.child_fd, b"caf\xe9\n")
    child.expect("ran: caf\ufffd?\r\n>>> ")
    assert fake.expect("line") in ("caf", "caf\udce9")
    fake.say("caf\udce9\n")
    child.expect_exact("caf\ufffd\r\n>>> ")


def test_what_the_terminal_cannot_show_is_replaced(start, environment):
    environment["PYTHONIOENCODING"] = "ascii"
    fake, child = start()
    fake.say("☃\n")
    child.expect_exact("?\r\n>>> ")


def test_a_question_by_the_running_code_is_asked_and_answered(start):
    _fake, child = start()
    child.sendline("ask")
    child.expect_exact("name? ")
    child.sendline("world")
    child.expect_exact("hello world\r\n>>> ")


def test_a_prompt_behind_unfinished_output_is_a_prompt(start):
    """Ctrl-C tells: it does not leave."""
    _fake, child = start()
    child.sendline("part")
    child.expect_exact("no line end>>> ")
    child.sendintr()
    child.expect_exact("KeyboardInterrupt\r\n")
    child.sendline("one")
    child.expect_exact("ran: one\r\n>>> ")


def test_output_while_the_user_types_is_shown_at_once(start):
    """What has been typed is not lost by it."""
    fake, child = start()
    child.send("hal")
    child.expect_exact("hal")
    fake.say("news\n")
    child.expect("(\r\n|\r +\r)news\r\n>>> ")
    child.sendline("f")
    child.expect_exact("ran: half\r\n>>> ")
    assert fake.expect("line") == "half"


@NO_READLINE
def test_output_wipes_the_prompt_and_brings_it_back(start_readline):
    fake, child = start_readline()
    child.send("hal")
    child.expect_exact("hal")
    fake.say("news\n")
    child.expect_exact("\r       \rnews\r\n>>> hal")


@NO_READLINE
def test_text_typed_over_several_rows_survives_output(start_readline):
    fake, child = start_readline(columns=20)
    child.send("x" * 30 + "z")
    child.expect_exact("z")  # so the editor has it all
    fake.say("news\n")
    child.expect_exact("\r\nnews\r\n")
    child.sendline("y")
    assert fake.expect("line") == "x" * 30 + "zy"


@NO_READLINE
def test_unfinished_output_is_continued_not_repeated(start_readline):
    fake, child = start_readline()
    child.sendline("hang")
    fake.expect("line")
    fake.say("50%")
    child.expect_exact("50%")
    fake.say("...done\n")
    child.expect_exact("50%...done\r\n")


def test_ctrl_c_at_the_prompt_drops_the_line(start):
    fake, child = start()
    child.send("dropped")
    child.expect_exact("dropped")
    child.sendintr()
    child.expect_exact("KeyboardInterrupt\r\n>>> ")
    child.sendline("one")
    child.expect_exact("ran: one\r\n>>> ")
    assert fake.expect("line") == "one"


def test_ctrl_c_within_a_block_keeps_the_block(start):
    _fake, child = start()
    child.sendline("for:")
    child.expect_exact("\r\n... ")
    child.send("dropped")
    child.expect_exact("dropped")
    child.sendintr()
    child.expect_exact("KeyboardInterrupt\r\n... ")
    child.sendline("  x")
    child.expect_exact("\r\n... ")
    child.sendline("")
    child.expect_exact("ran: for:|  x\r\n>>> ")


def test_ctrl_c_while_code_runs_interrupts_it_and_stays(start):
    """More than once: a prompt in between makes the next Ctrl-C the first again."""
    fake, child = start()
    for _ in range(2):
        child.sendline("spin")
        assert fake.expect("line") == "spin"
        child.sendintr()
        fake.expect("interrupt")
        child.expect_exact("\r\nKeyboardInterrupt\r\n>>> ")
    child.sendline("one")
    child.expect_exact("ran: one\r\n>>> ")


def test_a_second_ctrl_c_leaves_code_that_does_not_react_and_says_that_it_goes_on(start):
    fake, child = start()
    child.sendline("hang")
    fake.expect("line")
    child.sendintr()
    fake.expect("unread")
    fake.say("has not reacted yet\n")
    child.expect_exact("has not reacted yet\r\n")
    child.sendintr()
    child.expect_exact("manhole-cli: ")
    assert "goes on in" in assert_ends(child, ExitStatus.INTERRUPTED)


def test_ctrl_c_at_a_question_by_the_running_code_interrupts_it(start):
    fake, child = start()
    child.sendline("ask")
    child.expect_exact("name? ")
    child.send("never sent")
    child.expect_exact("never sent")
    child.sendintr()
    fake.expect("line")
    fake.expect("interrupt")
    child.expect_exact("\r\nKeyboardInterrupt\r\n>>> ")
    child.sendline("one")
    assert fake.expect("line") == "one"


def test_ctrl_c_ends_waiting_for_a_process_that_reads_nothing(start):
    fake, child = start()
    child.sendline("hang")
    assert fake.expect("line") == "hang"
    for _ in range(1000):
        fake.say("\n>>> ")
        if child.expect_exact(["\r\n>>> ", pexpect.TIMEOUT], timeout=2) == 1:
            break  # the socket's buffer is full, the line before waits to be sent
        child.sendline("x" * 2000)
    else:
        pytest.fail("everything was sent")
    child.sendintr()
    child.expect_exact("\r\n>>> ")


def test_ctrl_d_ends_the_input_and_shows_what_still_comes(start):
    fake, child = start()
    child.sendline("for:")
    child.expect_exact("\r\n... ")
    child.sendeof()
    child.expect_exact("ran: for:\r\n")
    assert_ends(child, ExitStatus.OK)
    assert fake.expect("line") == "for:"
    fake.expect("end")


def test_ctrl_d_waits_no_longer_than_the_timeout(spawn, start_fake):
    fake = start_fake()
    child = spawn("-t", "1", fake.path)
    child.expect_exact("\r\n>>> ")
    child.sendline("hang")
    fake.expect("line")
    fake.say("50%")
    child.expect_exact("50%")
    child.sendeof()
    assert_ends(child, ExitStatus.OK)


def test_the_server_closing_ends_it(start):
    _fake, child = start()
    child.sendline("exit()")
    child.expect_exact("exit()\r\n")
    assert assert_ends(child, ExitStatus.OK) == ""


def test_the_server_closing_ends_it_in_the_middle_of_a_line(start):
    fake, child = start()
    child.send("typed")
    child.expect_exact("typed")
    fake.say("bye")
    fake.say("CLOSE")
    output = assert_ends(child, ExitStatus.OK)
    assert "bye\r\n" in output
    assert output.endswith(f"{fake.path} closed the connection\r\n")


def test_the_server_dying_with_a_line_unread_is_a_lost_connection(start):
    fake, child = start()
    child.sendline("hang")
    fake.expect("line")
    child.sendline("never read")
    fake.expect("unread")
    fake.kill()
    child.expect_exact("manhole-cli: ")
    assert_ends(child, ExitStatus.LOST)


def test_output_into_a_file_is_no_terminals(spawn, command, start_fake, tmp_path):
    """stdin decides that there is a human; what the process says lands in the file."""
    fake = start_fake()
    output = tmp_path / "output"
    child = spawn("-c", f'exec "{command}" "{fake.path}" >"{output}"', program="/bin/sh")
    child.sendline("one")
    assert fake.expect("line") == "one"
    child.sendline("exit()")  # read behind the answer to the first
    assert_ends(child, ExitStatus.OK)
    assert output.read_text().startswith("fake greeting\n")
    assert "ran: one\n" in output.read_text()


def read_history(environment: dict[str, str]) -> list[str]:
    return Path(environment["MANHOLE_HISTORY"]).read_text().splitlines()


@NO_READLINE
def test_every_line_is_in_the_history_before_it_is_answered(start_readline, environment):
    """So that it survives kill -9; answers to questions of the running code may be secrets and are not kept."""
    fake, child = start_readline()
    for line in ("one", "one", "", "ask"):
        child.sendline(line)
        assert fake.expect("line") == line
    child.expect_exact("name? ")
    child.sendline("secret")
    child.expect_exact("hello secret\r\n>>> ")
    child.sendline("hang")
    assert fake.expect("line") == "hang"
    child.kill(9)
    assert read_history(environment) == ["one", "ask", "hang"]
    assert stat.S_IMODE(Path(environment["MANHOLE_HISTORY"]).stat().st_mode) == 0o600


@NO_READLINE
def test_the_history_is_offered_again(start_readline, environment):
    Path(environment["MANHOLE_HISTORY"]).write_text("from yesterday\n")
    Path(environment["MANHOLE_HISTORY"]).chmod(0o644)
    _fake, child = start_readline()
    child.sendline("\x10")  # Ctrl-P, the line before
    child.expect_exact("ran: from yesterday\r\n>>> ")
    assert stat.S_IMODE(Path(environment["MANHOLE_HISTORY"]).stat().st_mode) == 0o600


@NO_READLINE
def test_the_history_keeps_the_last_10000_lines(start_readline, environment):
    Path(environment["MANHOLE_HISTORY"]).write_text("".join(f"line {n}\n" for n in range(10_000)))
    fake, child = start_readline()
    child.sendline("one")
    assert fake.expect("line") == "one"
    kept = read_history(environment)
    assert len(kept) == 10_000
    assert (kept[0], kept[-1]) == ("line 1", "one")


@NO_READLINE
def test_the_history_is_in_the_home_folder_by_default(start_readline, environment):
    del environment["MANHOLE_HISTORY"]
    fake, child = start_readline()
    child.sendline("one")
    assert fake.expect("line") == "one"
    assert Path(environment["HOME"], ".manhole_history").read_text() == "one\n"


@NO_READLINE
def test_a_history_that_cannot_be_used_is_one_warning_and_no_failure(spawn, start_fake, environment):
    environment["MANHOLE_HISTORY"] = environment["HOME"]  # a folder
    fake = start_fake()
    child = spawn(fake.path)
    child.expect_exact("manhole-cli: cannot read the history ")
    child.expect_exact("\r\n>>> ")
    child.sendline("one")
    child.expect_exact("ran: one\r\n>>> ")
    child.sendeof()
    assert "manhole-cli" not in child.before + assert_ends(child, ExitStatus.OK)


@NO_READLINE
def test_a_history_that_becomes_unwritable_is_one_warning_and_no_failure(start_readline, environment):
    _fake, child = start_readline()
    Path(environment["MANHOLE_HISTORY"]).unlink()
    Path(environment["MANHOLE_HISTORY"]).mkdir()
    child.sendline("one")
    child.expect_exact("manhole-cli: cannot write the history ")
    child.expect_exact("ran: one\r\n>>> ")
    child.sendline("two")
    child.expect_exact("ran: two\r\n>>> ")
    assert "manhole-cli" not in child.before


@NO_READLINE
def test_the_history_can_be_switched_off(start_readline, environment):
    environment["MANHOLE_HISTORY"] = ""
    _fake, child = start_readline()
    child.sendline("one")
    child.expect_exact("ran: one\r\n>>> ")
    assert list(Path(environment["HOME"]).iterdir()) == []


@NO_READLINE
def test_a_history_that_is_no_regular_file_is_left_alone(start_readline, environment):
    """/dev/null is the usual one; as root we could take it away from everybody."""
    path = Path(environment["MANHOLE_HISTORY"])
    os.mkfifo(path, 0o644)
    mode = path.stat().st_mode
    _fake, child = start_readline()
    child.sendline("one")
    child.expect_exact("ran: one\r\n>>> ")
    assert "manhole-cli" not in child.before
    assert path.stat().st_mode == mode
