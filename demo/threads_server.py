"""A small web shop on plain threads that deadlocks when asked to: the patient of `make demo RUNTIME=threads`."""

import os
import signal
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import manhole

manhole.install()

in_flight = []  # the paths of the requests that wait for their answer
rows_arrived = threading.Event()  # stands for a database that never answers
prices_lock = threading.Lock()
released = threading.Event()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    in_flight.append(path)
    try:
        body = {"/wait": show_orders, "/block": price_report}.get(path, welcome)()
    finally:
        in_flight.remove(path)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def welcome():
    with prices_lock:
        return b"open for business\n"


def show_orders():
    return query_database("SELECT * FROM orders")


def query_database(statement):
    # Tells the demo's runner how far we are. In one write: the two of a print() mix with those of other threads.
    os.write(1, b"parked\n")
    rows_arrived.wait()
    return b"no orders\n"


def price_report():
    with prices_lock:
        return sum_up_prices()


def sum_up_prices():
    """The mistake: waiting for ever with a lock held, so every page with prices on it waits too."""
    print("blocking", flush=True)
    released.wait()
    return b"0\n"


def release():
    """End the wait in sum_up_prices(); to be called through the manhole."""
    released.set()


class ThreadedServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # the demo ends with requests still parked
    request_queue_size = 64


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


# An orderly exit lets manhole remove its socket; without a handler SIGTERM kills a process on the spot.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

with ThreadedServer(("127.0.0.1", 0), QuietHandler) as server:
    server.set_app(application)
    print("ready", server.server_port, flush=True)
    server.serve_forever()
