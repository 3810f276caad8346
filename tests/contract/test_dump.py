"""What a dump shows, and that making one runs nothing of the application and keeps nothing of it."""

import os
import re
import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import PROGRAMS, RUNTIME, Patient, conversation, count_threads, open_descriptors, wait_until_true

# While units switch. Each takes a fifth of a second; a release is tried with 200, a run of the suite with fewer.
DUMPS = int(os.environ.get("MANHOLE_TEST_DUMPS", "24"))
GREEN = RUNTIME != "threads"
KIND = {"threads": "", "gevent": "Greenlet", "eventlet": "GreenThread"}[RUNTIME]


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Patient, int]]:
    """The process, and how many threads it has while nobody is connected."""
    with Patient("units.py", RUNTIME) as patient:
        assert patient.told() == "ready"
        threads = count_threads(patient.pid)
        with conversation(patient.default_path) as client:
            # Until those that have been started before are where they go.
            client.dump_until(lambda dump: dump.count("# asleep here") == (3 if RUNTIME == "gevent" else 2))
        yield patient, threads


@pytest.fixture(scope="module")
def patient(started: tuple[Patient, int]) -> Patient:
    return started[0]


@pytest.fixture(scope="module")
def greeting(started: tuple[Patient, int]) -> str:
    patient, threads = started
    # The threads of an earlier session, still ending, are in no dump that is looked at.
    wait_until_true(lambda: count_threads(patient.pid) == threads)
    with patient.connect() as client:
        return client.read_until()


def line_of(text: str) -> int:
    lines = (PROGRAMS / "units.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def blocks(dump: str) -> list[str]:
    """The units of a dump, each with its headline and its stack."""
    return re.split(r"(?m)^(?=#########|--- )", dump)


def test_every_thread_has_a_header(patient: Patient, greeting: str) -> None:
    with conversation(patient.default_path) as client:

        def each_thread_once(dump: str) -> bool:
            """A thread that begins or ends is in one of the two counts for a moment."""
            idents = re.findall(rf"^######### ProcessID={patient.pid}, ThreadID=(\d+)", dump, re.M)
            return len(idents) == len(set(idents)) == count_threads(patient.pid)

        client.dump_until(each_thread_once)
    assert re.search(rf"^######### ProcessID={patient.pid}, ThreadID=\d+, MainThread #########$", greeting, re.M)


def test_a_stack_has_file_line_function_and_source_outermost_first(greeting: str) -> None:
    names = ["outer", "middle", "sleeps_inside"]
    lines = [line_of("    middle(seconds)"), line_of("    sleeps_inside(seconds)"), line_of("# asleep here")]
    sources = ["middle(seconds)", "sleeps_inside(seconds)", "runtime.sleep(seconds)  # asleep here"]
    expected = "".join(
        f'  File "{PROGRAMS / "units.py"}", line {line}, in {name}\n    {source}\n'
        for name, line, source in zip(names, lines, sources, strict=True)
    )
    assert expected in greeting


def test_the_running_stack_is_shown_once(greeting: str) -> None:
    assert greeting.count("in in_the_end\n") == 1
    block = next(block for block in blocks(greeting) if "in in_the_end\n" in block)
    assert block.startswith(f"--- {KIND} in_the_end, running, id 0x" if GREEN else "######### ProcessID=")


def test_nothing_of_the_application_is_run(patient: Patient, greeting: str) -> None:
    with conversation(patient.default_path) as client:
        client.ask("dump_stacktraces()")
    readable, _, _ = select.select([patient._read], [], [], 0)
    assert not readable, patient.told()


def test_snapshot_is_frozen_data(patient: Patient) -> None:
    with conversation(patient.default_path) as client:
        client.ask("import manhole, dataclasses; s = manhole.snapshot()")
        assert client.ask("s.process.pid == os.getpid() and len(s.threads) > 2") == "True\n"
        assert "FrozenInstanceError" in client.ask("s.time = 1")
        client.ask(
            "def leaves(x):",
            "    if dataclasses.is_dataclass(x): x = tuple(getattr(x, f.name) for f in dataclasses.fields(x))",
            "    return {type(x)} if not isinstance(x, tuple) else set().union(*map(leaves, x))",
            "",
        )
        assert client.ask("leaves(s) <= {int, float, str, bool, type(None)}") == "True\n"


def test_a_source_that_cannot_be_read_is_left_out(patient: Patient, tmp_path: Path) -> None:
    program = tmp_path / "gone.py"
    program.write_text("def held(n):\n    dump_stacktraces()\n")
    with conversation(patient.default_path) as client:
        client.ask(f"exec(compile(open({str(program)!r}).read(), {str(program)!r}, 'exec'))")
        assert "in held\n    dump_stacktraces()\n" in client.ask("held(1)")
        for make_unreadable in (program.unlink, program.mkdir):
            make_unreadable()
            dump = client.ask("held(1)")
            assert f'  File "{program}", line 2, in held\n' in dump
            assert "    dump_stacktraces()" not in dump


@pytest.mark.skipif(not GREEN, reason="threads have no greenlets")
class TestGreenlets:
    def test_kinds_names_and_states(self, greeting: str) -> None:
        headlines = [block.splitlines()[0].rsplit(", id ", 1)[0] for block in blocks(greeting) if block[:3] == "---"]
        raw = "add_green_units.<locals>.raw_body" if sys.version_info >= (3, 11) else "raw_body"
        assert f"--- {KIND} outer, suspended" in headlines
        assert f"--- greenlet {raw} (Raw), suspended" in headlines
        # before it starts a greenlet still has its function, with the qualified name also before Python 3.11
        assert "--- greenlet add_green_units.<locals>.raw_body, not started" in headlines
        assert "--- main greenlet <module>, suspended" in headlines
        assert f"--- hub {RUNTIME}, suspended" in headlines
        if RUNTIME == "gevent":
            assert "--- Greenlet Hostile, suspended" in headlines
            assert "--- Greenlet a name\\nof two lines, suspended" in headlines
            assert "--- Greenlet outer, not started" in headlines
        else:
            assert any(re.fullmatch(r"--- GreenThread (Hostile\.)?__call__, suspended", line) for line in headlines)

    def test_finished_ones_are_counted(self, greeting: str) -> None:
        assert re.search(r"^\d+ threads; \d+ greenlets: .*\(1 finished not shown\)$", greeting, re.M)

    def test_libraries_are_named(self, greeting: str) -> None:
        assert re.search(rf", {RUNTIME} \d[\d.]*.*, greenlet \d", greeting.splitlines()[0])

    def test_all_belong_to_the_main_thread(self, greeting: str) -> None:
        assert "not known" not in greeting
        main = re.search(r"(?ms)^######### [^\n]*, MainThread #########$(.*?)(?=^#########)", greeting)
        assert main is not None
        assert main[1].count("\n---") == greeting.count("\n---")


def test_dumps_while_greenlets_switch_keep_nothing_alive() -> None:
    """Dumps while 2,000 units switch as fast as they can: afterwards all is as if there had been none."""
    with Patient("switches.py", RUNTIME) as patient:
        assert patient.told() == "switching"
        descriptors = open_descriptors(patient.pid)
        threads = count_threads(patient.pid)
        with conversation(patient.default_path) as client:
            client.ask("import manhole")
            for _ in range(DUMPS):
                client.ask("last = manhole.snapshot(samples=1)")
            for _ in range(DUMPS // 4):
                dump = client.ask("dump_stacktraces(full=True)")
                # One unit runs at a time; its stack is never torn: each ends where a unit may stand.
                assert len(re.findall(r", running, id", dump)) <= 1
                for block in blocks(dump):
                    if re.search(r"^---.* level_0, suspended", block):
                        functions = re.findall(r", in (level_\d)$", block, re.M)
                        assert functions == [f"level_{depth}" for depth in range(5)], block
            client.send("exit()\n")
            client.read_all()
        patient.say("stop")
        left = patient.told()
        assert left["units alive"] == 0, left
        assert left["frames alive"] == 0, left
        # the one that has read "stop" is gone too
        wait_until_true(lambda: count_threads(patient.pid) < threads)
        wait_until_true(lambda: open_descriptors(patient.pid) == descriptors)


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy never changes a tuple")
def test_a_dump_does_not_disturb_a_tuple_that_is_being_built() -> None:
    """CPython resizes it in place in the end, which fails if somebody else has got hold of it."""
    with Patient("builds_tuples.py", RUNTIME, flags=["-W", "ignore"]) as patient:
        assert [patient.told(), patient.told()] == ["building", "building"]
        with conversation(patient.default_path) as client:
            client.ask("import manhole")
            client.ask("for _ in range(150): last = manhole.snapshot(samples=1)", "")
        readable, _, _ = select.select([patient._read], [], [], 0)
        assert not readable, patient.told()


def test_a_dump_opens_no_pipe(patient: Patient, tmp_path: Path) -> None:
    """What a code object names as its file may be one, and its open() would wait for a writer."""
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    with conversation(patient.default_path) as client:
        assert f'File "{pipe}", line 1' in client.ask(f"exec(compile('dump_stacktraces()', {pipe!r}, 'exec'))")
