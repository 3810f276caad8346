"""Hang a real server and look into it with manhole-cli; `make demo` runs this.

usage: python demo/run.py gevent|eventlet|threads

At a terminal it ends at the manhole's prompt. Without one it is a check too: it exits with 1 and says what was missing
where the dump does not show the function that hangs, or where an expression evaluated inside gives something else.
"""

import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

REQUESTS = 30  # "a few dozen"
DEADLINE = 30  # seconds for one step; arbitrary, long enough for a loaded machine
PROBE = 2  # seconds after which a server that says nothing counts as hanging; an idle one answers within milliseconds

HERE = Path(__file__).resolve().parent
# The one beside this interpreter, so the one that belongs to the manhole in the server.
MANHOLE_CLI = Path(sys.executable).with_name("manhole-cli")

STUCK = "sum_up_prices"
PARKED = "query_database"
INSIDE = 'import __main__; __main__.in_flight.count("/wait")'
VALUE = str(REQUESTS)


class DemoFailed(Exception):
    """Something that the demo promises did not happen; the message says what."""


class Server:
    """The server's process, what it says on its standard output, and how to ask it for a page."""

    def __init__(self, runtime):
        self.process = subprocess.Popen(
            # eventlet warns whoever imports it that it is in maintenance; not news, and in the way here.
            [sys.executable, "-W", "ignore::Warning:__main__", HERE / f"{runtime}_server.py"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            # A session of its own: the terminal's Ctrl-C is meant for manhole-cli, never for the server.
            start_new_session=True,
        )
        self.pid = self.process.pid
        self.socket = Path(f"/tmp/manhole-{self.pid}")
        self.port = 0
        self._requests = []
        self._words = queue.Queue()
        # A thread, because a pipe can't be read with a deadline.
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self._words.put(line.split())
        self._words.put(["gone"])

    def wait_for(self, word):
        """Wait until the server says `word`; return what else stands on that line."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                said = self._words.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise DemoFailed(f"the server did not say {word!r} within {DEADLINE} s") from None
            if said[:1] == [word]:
                return said[1:]
            if said == ["gone"]:
                raise DemoFailed(f"the server ended before it said {word!r}")

    def start_request(self, path):
        """Send a request and leave its connection open; the answer is not waited for."""
        connection = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        self._requests.append(connection)
        return connection

    def answers(self, timeout):
        """Ask for the front page; say whether anything came back within `timeout` seconds."""
        connection = self.start_request("/")
        connection.settimeout(timeout)
        try:
            return connection.recv(100).startswith(b"HTTP/1.")
        except TimeoutError:
            return False

    def stop(self):
        """End the server, however it fares, and leave nothing of it."""
        for connection in self._requests:
            connection.close()
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.socket.unlink(missing_ok=True)
            raise DemoFailed(f"the server did not end within {DEADLINE} s of SIGTERM and was killed") from None
        if self.socket.exists():
            self.socket.unlink()
            raise DemoFailed(f"the server left {self.socket} behind")


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def ask(pid, commands):
    """Send `commands` through `manhole-cli PID`; return what they printed."""
    result = subprocess.run(
        [MANHOLE_CLI, str(pid)],
        input=commands,
        stdout=subprocess.PIPE,
        text=True,
        timeout=DEADLINE,
    )
    if result.returncode:
        raise DemoFailed(f"manhole-cli exited with {result.returncode}; it had printed:\n{result.stdout}")
    return result.stdout


def count_units(dump, function):
    """How many threads or greenlets of the dump are in *function*; a group is shown once, with its count in front."""
    count = 0
    for line in dump.splitlines():
        if line.startswith(("---", "###")):
            group = re.match(r"--- ([\d,]+) ", line)
            units = int(group[1].replace(",", "")) if group else 1
        elif line.startswith("  File ") and line.endswith(f" in {function}"):
            count += units
    return count


def hang(server):
    """Bring the server where its users would call for help."""
    say(f"{REQUESTS} requests wait for a slow database")
    for _ in range(REQUESTS):
        server.start_request("/wait")
    for _ in range(REQUESTS):
        server.wait_for("parked")
    print(f"all {REQUESTS} are in flight; does the server answer others? {yes(server.answers(DEADLINE))}")

    say("One more request hangs the server")
    server.start_request("/block")
    server.wait_for("blocking")
    if server.answers(PROBE):
        raise DemoFailed("the server still answers")
    print(f"does the server answer? no, nothing came within {PROBE} s")


def look_inside(server):
    """Find the culprit with manhole-cli, and check that it is the right one."""
    say(f"$ echo 'dump_stacktraces()' | manhole-cli {server.pid}")
    dump = ask(server.pid, "dump_stacktraces()\n")
    print(dump)
    if count_units(dump, STUCK) != 1:
        raise DemoFailed(f"the dump shows {STUCK}(), which hangs, {count_units(dump, STUCK)} times and not once")
    if count_units(dump, PARKED) != REQUESTS:
        raise DemoFailed(f"the dump shows {count_units(dump, PARKED)} of {REQUESTS} requests in {PARKED}()")
    print(f"\nThere it hangs: {STUCK}(); and {REQUESTS} requests are parked in {PARKED}().")

    say(f"$ echo '{INSIDE}' | manhole-cli {server.pid}")
    value = ask(server.pid, INSIDE + "\n")
    print(value, end="")
    if value.strip() != VALUE:
        raise DemoFailed(f"the expression should have given {VALUE}")


def heal(server):
    """Unblock the server from the inside."""
    release = "import __main__; __main__.release()"
    say(f"$ echo '{release}' | manhole-cli {server.pid}")
    print(ask(server.pid, release + "\n"), end="")
    if not server.answers(DEADLINE):
        raise DemoFailed("the server does not answer after __main__.release()")
    print("does the server answer? yes, again")


def hand_over(server):
    """Leave the user at the prompt, in the hanging server."""
    say(f"$ manhole-cli {server.pid}")
    print("You are about to enter the hanging server; a dump of everything comes first. At the prompt, try")
    print("    import __main__; __main__.in_flight      what it is working on")
    print("    __main__.release()                       let it go on: it answers again")
    print("Leave with Ctrl-D. The demo cleans up after you.", flush=True)
    # manhole-cli decides what Ctrl-C means, we must outlive it. Not SIG_IGN, which manhole-cli would inherit.
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.run([MANHOLE_CLI, str(server.pid)]).returncode
    finally:
        signal.signal(signal.SIGINT, previous)
    if code:
        raise DemoFailed(f"manhole-cli exited with {code}")
    print(f"does the server answer? {yes(server.answers(PROBE))}")


def yes(answer):
    return "yes" if answer else "no"


def main(runtime):
    # From here on being told to go, or losing the terminal, must still run the clean-up below.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    say(f"A web server on {runtime}, with manhole.install() in it")
    server = Server(runtime)
    try:
        server.port = int(server.wait_for("ready")[0])
        print(f"process {server.pid} listens on 127.0.0.1:{server.port}")
        hang(server)
        look_inside(server)
        if sys.stdin.isatty() and sys.stdout.isatty():
            hand_over(server)
        else:
            heal(server)
    finally:
        server.stop()
    print("\nThe server has ended; nothing is left of it.")


if __name__ == "__main__":
    if sys.argv[1:] not in (["gevent"], ["eventlet"], ["threads"]):
        sys.exit("usage: python demo/run.py gevent|eventlet|threads")
    # Line by line, so that our lines and those of our children come in the order in which they happened.
    sys.stdout.reconfigure(line_buffering=True)
    try:
        main(sys.argv[1])
    except (DemoFailed, subprocess.TimeoutExpired) as error:
        sys.exit(f"demo failed: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
