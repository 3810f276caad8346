"""A small web shop on eventlet that hangs when it is asked to: the patient of `make demo RUNTIME=eventlet`."""

import eventlet

eventlet.monkey_patch()

# ruff: noqa: E402 - everything below has to meet the patched modules.
import signal
import sys

import eventlet.wsgi
from eventlet.event import Event

import manhole

manhole.install()

in_flight = []  # the paths of the requests that wait for their answer
rows_arrived = Event()  # stands for a database that never answers
released = False


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
    return b"open for business\n"


def show_orders():
    return query_database("SELECT * FROM orders")


def query_database(statement):
    print("parked", flush=True)  # tells the demo's runner how far we are
    rows_arrived.wait()
    return b"no orders\n"


def price_report():
    return sum_up_prices()


def sum_up_prices():
    """The mistake: a loop that never gives the hub its turn, so nobody else gets one."""
    print("blocking", flush=True)
    total = 0
    while not released:
        total += 1
    return b"%d\n" % total


def release():
    """End the loop in sum_up_prices(); to be called through the manhole."""
    global released
    released = True


# An orderly exit lets manhole remove its socket; without a handler SIGTERM kills a process on the spot.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

listener = eventlet.listen(("127.0.0.1", 0))
print("ready", listener.getsockname()[1], flush=True)
# In a green thread of its own: where the main one ran it, SIGTERM would wait for every request that is in flight.
eventlet.spawn(eventlet.wsgi.server, listener, application, log_output=False).wait()
