"""PYTHONMANHOLE installs a manhole in programs that know nothing of it, and nothing else changes for them."""

import os
import sys
from pathlib import Path

import pytest
from harness import PROGRAMS, RUNTIME, Patient, conversation

# Does what its test tells it to, one line each, in each runtime; it patches after its manhole has been installed.
COMMANDS = (PROGRAMS / "commands.py", RUNTIME)
MODULES = "import sys; print(sorted(name for name in sys.modules if 'manhole' in name))"
REACHABLE = "import os; print(os.path.exists(f'/tmp/manhole-{os.getpid()}'))"
# All that a manhole could leave in a process: threads, descriptors, handled and blocked signals, its socket.
TRACES = REACHABLE + (
    "; print(len(os.listdir('/proc/self/task')), len(os.listdir('/proc/self/fd')))"
    "; print([line for line in open('/proc/self/status') if line.startswith(('SigBlk', 'SigCgt'))])"
)


def do(program: Patient, line: str):
    program.say(line)
    return program.told()


def test_it_is_there_before_the_program_patches_and_stays(environment):
    with environment.start("verbose=False, locals={'clue': 42}", *COMMANDS) as program:
        assert program.told() == "ready"
        with conversation(program.default_path) as client:
            assert client.ask("clue") == "42\n"
            assert do(program, "runtime.spawn(setattr, runtime, 'spawned', 1); runtime.sleep(0.01); answer = 1") == 1
            wait = "import posix; posix.write(int(os.environ['READY_FD']), b'2\\n'); exec('while True: pass')"
            assert do(program, wait) == 2
            assert client.ask("clue") == "42\n"
        with conversation(program.default_path) as client:  # while the only thread is stuck, and the hub on it
            assert client.ask("clue") == "42\n"


def test_an_empty_value_means_the_defaults(environment):
    done = environment.run("", "-c", REACHABLE)
    assert (done.returncode, done.stdout) == (0, "True\n")
    assert "/tmp/manhole-" in done.stderr


def test_the_options_are_those_of_install(environment, short_path: Path):
    with environment.start(f"verbose=False, socket_path={str(short_path / 's')!r}", *COMMANDS) as program:
        assert program.told() == "ready"
        with conversation(str(short_path / "s")) as client:
            assert client.ask("os.getpid()") == f"{program.pid}\n"
        assert not os.path.exists(program.default_path)
        assert program.finish()[0] == 0
    assert not (short_path / "s").exists()


def test_unset_it_imports_nothing_and_leaves_nothing(environment, make_environment):
    done = environment.run(None, "-c", MODULES)
    # an entry point of a .start file needs a module; it is not one of the package
    assert done.stdout == ("[]\n" if sys.version_info < (3, 15) else "['_manhole_startup']\n")
    without = make_environment().run(None, "-c", TRACES)
    assert environment.run(None, "-c", TRACES).stdout == without.stdout


@pytest.mark.parametrize("flag", ["-S", "-E", "-I", "-Es"])
def test_a_python_that_is_told_to_ignore_it_imports_nothing(environment, flag: str):
    done = environment.run("verbose=1", flag, "-c", MODULES + "; " + REACHABLE)
    modules, reachable = done.stdout.splitlines()
    assert "'manhole" not in modules
    assert (reachable, done.stderr, done.returncode) == ("False", "", 0)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("verbose", "verbose has no name"),
        ("verbose=False strict", "syntax"),
        ("verbose=False)#", "unmatched"),
        ("verbose=False,\n**{}", "cannot be given"),
        ("no_such_option=1", "there is no such option"),
        ("verbose=1", "True or False"),
        ("locals={open('evaluated', 'w'): 1}", "no literal"),
        ("socket_path='/no/such/folder/s'", "folder that exists"),
        ("socket_path='/proc/1/s'", "/proc/1/s"),
        ("verbose='" + "x" * 5000 + "'", "True or False"),
        (b"verbose=\xff", "can't encode"),
    ],
)
def test_a_mistake_is_one_line_and_the_program_runs_as_ever(environment, value, says: str, tmp_path: Path):
    done = environment.run(os.fsdecode(value), "-c", TRACES, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == environment.run(None, "-c", TRACES).stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("manhole: PYTHONMANHOLE=")
    assert says in line
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_may_have_any_bytes_in_it(environment, short_path: Path):
    path = os.fsdecode(bytes(short_path / "s") + b"\xff")
    Path(path).touch()
    done = environment.run(f"socket_path={path!r}", "-c", "pass")
    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert line.startswith("manhole: PYTHONMANHOLE=")


@pytest.mark.parametrize("value", ["verbose=False", "verbose=1"])
def test_standard_error_may_be_closed(environment, value: str):
    shell = ["sh", "-c", 'exec "$0" -c "print(1)" 2>&-', str(environment.python)]
    done = environment.run(value, args=shell)
    assert (done.returncode, done.stdout) == (0, "1\n")


def test_a_start_up_file_that_is_read_again_changes_nothing(environment):
    """Pythons before 3.15 read those of a virtual environment twice; a program may add the folder once more."""
    again = (
        "import manhole, os, site, sysconfig; path = f'/tmp/manhole-{os.getpid()}'; print(os.path.exists(path)); "
        "manhole.release(); site.addsitedir(sysconfig.get_path('purelib')); print(os.path.exists(path))"
    )
    done = environment.run("verbose=False", "-c", again)
    assert (done.stdout, done.stderr) == ("True\nFalse\n", "")


def test_the_programs_own_install_finds_it_installed(environment):
    with environment.start("verbose=False, start_timeout=30", *COMMANDS) as program:
        assert program.told() == "ready"
        assert do(program, "manhole.install()")[0] == "AlreadyInstalled"
        do(program, "manhole.install(strict=False, verbose=False, locals={'clue': 43})")
        with conversation(program.default_path) as client:
            assert client.ask("clue") == "43\n"


def test_a_child_process_has_its_own(environment):
    child = "import sys; sys.stdout.write(chr(10)); sys.stdout.flush(); sys.stdin.read()"
    with environment.start("verbose=False, start_timeout=30", *COMMANDS) as program:
        assert program.told() == "ready"
        do(program, "import subprocess; pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}")
        do(program, f"child = subprocess.Popen([sys.executable, '-c', {child!r}], **pipes); child.stdout.read(1)")
        pid = do(program, "answer = child.pid")
        for each in (program.pid, pid):
            with conversation(f"/tmp/manhole-{each}") as client:
                assert client.ask("os.getpid()") == f"{each}\n"
        do(program, "child.communicate()")
        assert not os.path.exists(f"/tmp/manhole-{pid}")
        assert os.path.exists(program.default_path)


def test_a_program_that_starts_itself_anew_is_reachable_again(environment):
    with environment.start("verbose=False, start_timeout=30", *COMMANDS) as program:
        for _ in range(2):
            assert program.told() == "ready"
            with conversation(program.default_path) as client:
                assert client.ask("os.getpid()") == f"{program.pid}\n"
            program.say("os.execv(sys.executable, [sys.executable, *sys.argv])")


def test_a_session_while_site_is_still_at_work(environment):
    """Neither waits for the other, although the main thread holds the import lock of site."""
    with environment.start("verbose=False", "-c", REACHABLE, BLOCK_SITE="1") as program:
        assert program.told() == "in site"
        with conversation(program.default_path) as client:
            assert client.ask("1 + 1") == "2\n"
            assert "block" in client.ask("import sys; sys.modules['manhole'].dump_stacktraces()")
        program.say("go on")
        assert program.finish() == (0, "True\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "pass"],
        ["-"],
        ["-m", "timeit", "-n1", "-r1", "pass"],
        ["."],
        ["-m", "venv", "--without-pip", "new"],
        ["-X", "dev", "-W", "error", "-c", "pass"],
        ["-O", "-B", "-s", "-u", "-c", "pass"],
    ],
    ids=" ".join,
)
def test_each_way_of_starting_python_works(environment, arguments: list[str], tmp_path: Path):
    (tmp_path / "__main__.py").touch()
    done = environment.run("verbose=False", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_embedded_interpreter_may_have_no_argv(environment):
    code = f"import sys; del sys.argv; import site; site.main(); {REACHABLE}"
    done = environment.run("verbose=False", "-S", "-c", code)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="CPython's own module")
def test_a_subinterpreter_is_left_alone(environment):
    """Its process has a manhole; a second one would want the same path."""
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    code = f"import {name} as i; new = i.create(); i.run_string(new, {MODULES!r}); i.destroy(new); {REACHABLE}"
    done = environment.run("verbose=False", "-W", "ignore", "-c", code)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.endswith("True\n")
