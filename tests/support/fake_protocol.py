"""A process that speaks docs/protocol.md in mode "messages" without a manhole, one client after the other.

Run as a program it listens on the path that it is given and says so on stdout; :class:`FakeProtocol` is the handle for
tests. It runs real Python, on its main thread. In the namespace there is `application(text)`, which has *text* mirrored
as if the application had printed it, and `stubborn()`, which says "begun" and goes on until the client leaves, whatever
interrupts it; a note says that it does.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from manhole._snapshot import collect_snapshot, format_snapshot, select_units

OPS = ("describe", "eval", "complete", "interrupt", "input", "snapshot", "sessions", "mirror", "close")
MAX_LINE = 1048576
FILTERS = ("match", "state", "kind", "thread")


class FakeProtocol:
    """A running fake, as a context manager. It listens when the constructor returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"listening\n"

    def __enter__(self) -> FakeProtocol:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.path.unlink(missing_ok=True)


class Session:
    def __init__(self, conn: socket.socket, number: int) -> None:
        self.conn = conn
        self.number = number
        self.began = time.monotonic()
        self.requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.lock = threading.RLock()
        self.seq = 0
        self.running = self.waiting = self.mirrors = self.closing = False
        self.ident: object = None
        self.sending = self.interrupted = False  # on the main thread
        self.hurry = False  # who interrupts wants the lock, which code that prints all the time would never leave free
        self.names: dict[str, Any] = {"__name__": "__console__", "application": self.application}
        self.names["stubborn"] = self.stubborn

    def send(self, ident: object, kind: str, **fields: object) -> None:
        with self.lock:
            message = {"id": ident, "seq": self.seq, "type": kind, **fields}
            self.seq += 1
            with contextlib.suppress(OSError):
                self.conn.sendall(json.dumps(message).encode() + b"\n")

    def send_whole(self, kind: str, **fields: object) -> None:
        """For the code that runs: no interrupt comes in between."""
        while self.hurry:
            time.sleep(0.001)
        self.sending = True
        self.send(self.ident, kind, **fields)
        self.sending = False
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt

    def on_interrupt(self, signum: int, frame: object) -> None:
        if self.sending:
            self.interrupted = True
        elif self.running:
            raise KeyboardInterrupt

    def interrupt(self) -> bool:
        """Interrupt the code that runs, if any."""
        self.hurry = True
        with self.lock:
            self.hurry = False
            if self.running:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            return self.running

    def application(self, text: str) -> None:
        if self.mirrors:
            self.send(None, "mirror", text=text, missed=0)

    def stubborn(self) -> None:
        begun = told = False
        while not self.closing:
            try:
                if not begun:
                    begun = True
                    self.send_whole("out", stream="stdout", text="begun")
                time.sleep(0.01)
            except KeyboardInterrupt:
                if not told:
                    self.send(self.ident, "note", message="the interrupt has not got through yet")
                told = True

    def listen(self, lines: Iterator[bytes]) -> None:
        """In a thread of its own: what cannot wait is done here, the rest is put in line."""
        for line in lines:
            try:
                request = json.loads(line)
                op, ident = request["op"], request.get("id")
            except (ValueError, TypeError, KeyError):
                too_large = len(line) >= MAX_LINE
                self.send(None, "error", code="too-large" if too_large else "bad-message", message="no request")
                continue
            if op == "interrupt":
                self.send(ident, "done", interrupted=self.interrupt())
            elif op == "input":
                if self.waiting:
                    self.waiting = False
                    self.lines.put(request["text"])
                    self.send(ident, "done")
                else:
                    self.send(ident, "error", code="no-input", message="no code waits for a line")
            elif op == "close":
                self.send(ident, "done")
                break
            else:
                self.requests.put(request)
        self.closing = True
        self.requests.put(None)
        self.lines.put(None)
        self.interrupt()
        with contextlib.suppress(OSError):
            self.conn.shutdown(socket.SHUT_RDWR)

    def work(self) -> None:
        while not self.closing and (request := self.requests.get()) is not None:
            self.ident = request.get("id")
            method = getattr(self, f"do_{request['op']}", None)
            if method is None:
                self.send(self.ident, "error", code="unknown-op", message=f"no {request['op']!r}; there are {OPS}")
                continue
            try:
                done = method(request)
            except Exception as error:
                self.send(self.ident, "error", code="bad-field", message=str(error))
            else:
                self.send(self.ident, "done", **done)
                if done.get("status") == "exit":
                    break
        with contextlib.suppress(OSError):
            self.conn.shutdown(socket.SHUT_RDWR)

    def do_describe(self, request: dict[str, Any]) -> dict[str, Any]:
        process = {
            "pid": os.getpid(),
            "argv": sys.orig_argv,
            "uptime": 1.5,
            "implementation": "CPython",
            "python": "3.11.7",
            "libraries": {"gevent": "26.9.0"},
            "patched": {"gevent": ["socket", "time"]},
        }
        hub = {"number": 1, "kind": "gevent", "name": "Hub", "thread": 1, "thread_name": None, "state": "in its loop"}
        return {
            "manhole": "0",
            "protocol": 1,
            "ops": OPS,
            "mode": "repl",
            "session": self.number,
            "process": process,
            "hubs": [hub],
            "limits": {"message_bytes": MAX_LINE, "max_sessions": 64},
        }

    def do_sessions(self, request: dict[str, Any]) -> dict[str, Any]:
        own = {"session": self.number, "pid": 0, "uid": os.geteuid(), "mode": "messages"}
        return {"sessions": [{**own, "seconds": 1, "state": "idle", "busy": None, "code": None}]}

    def do_complete(self, request: dict[str, Any]) -> dict[str, Any]:
        word = request["text"].rpartition(" ")[2]
        matches = sorted(name for name in self.names if name.startswith(word))
        return {"start": len(request["text"]) - len(word), "matches": matches}

    def do_mirror(self, request: dict[str, Any]) -> dict[str, Any]:
        self.mirrors = request["on"]
        return {"on": self.mirrors}

    def do_snapshot(self, request: dict[str, Any]) -> dict[str, Any]:
        how = {name: request[name] for name in ("finished", "samples", "within") if name in request}
        chosen = {name: request[name] for name in FILTERS if name in request}
        for piece in format_snapshot(select_units(collect_snapshot(**how), **chosen), "json"):
            self.send(self.ident, "data", text=piece)
        return {}

    def do_eval(self, request: dict[str, Any]) -> dict[str, Any]:
        code = request["code"]
        value = exception = None
        status = "ok"
        before = sys.stdout, sys.stderr, sys.stdin
        sys.stdout, sys.stderr, sys.stdin = Output(self, "stdout"), Output(self, "stderr"), Input(self)
        try:
            self.running = True
            value = run(code, self.names)
            self.running = False  # a second interrupt must not come into what follows
        except SystemExit:
            self.running = False
            status = "exit"
        except BaseException as error:
            self.running = False
            status, exception = "exception", as_data(error)
        finally:
            with self.lock:
                self.running = self.waiting = False
            sys.stdout, sys.stderr, sys.stdin = before
        shown = None if value is None else repr(value)
        kind = None if value is None else type(value).__name__
        return {"status": status, "value": shown, "value_type": kind, "cut": 0, "exception": exception}


def run(code: str, names: dict[str, Any]) -> object:
    tree = ast.parse(code, "<session>")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<session>", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "<session>", "eval"), names)


def as_data(error: BaseException) -> dict[str, Any]:
    trace = error.__traceback__.tb_next
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename != __file__]
    return {
        "type": type(error).__name__,
        "module": type(error).__module__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(type(error), error, trace)),
        "frames": [{"file": frame.filename, "line": frame.lineno, "function": frame.name} for frame in frames],
    }


class Output(io.TextIOBase):
    def __init__(self, session: Session, stream: str) -> None:
        self.session = session
        self.stream = stream

    def write(self, text: str) -> int:
        self.session.send_whole("out", stream=self.stream, text=text)
        return len(text)


class Input(io.TextIOBase):
    def __init__(self, session: Session) -> None:
        self.session = session

    def readline(self, size: int = -1) -> str:
        self.session.waiting = True
        self.session.send_whole("input")
        line = self.session.lines.get()
        return "" if line is None else line + "\n"


def read_lines(conn: socket.socket) -> Iterator[bytes]:
    data = b""
    while received := conn.recv(65536):
        *lines, data = (data + received).split(b"\n")
        yield from lines


def serve(path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(5)
    os.write(1, b"listening\n")
    number = 0
    while True:
        conn, _ = listener.accept()
        number += 1
        with conn:
            lines = read_lines(conn)
            hello = json.loads(next(lines))
            answer = {"manhole": 1, "pid": os.getpid(), "session": number, "mode": "messages", "token": hello["token"]}
            # The answer stands behind whatever was sent before hello was read.
            conn.sendall(b'a greeting {"manhole": 1}\n>>> \n' + json.dumps(answer).encode() + b"\n")
            session = Session(conn, number)
            session.mirrors = hello.get("mirror", False)
            signal.signal(signal.SIGINT, session.on_interrupt)
            thread = threading.Thread(target=session.listen, args=(lines,))
            thread.start()
            session.work()
            thread.join()


if __name__ == "__main__":
    serve(sys.argv[1])
