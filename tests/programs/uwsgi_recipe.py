"""A WSGI application for uWSGI: a worker opens a manhole for one client when its pid is written to a file."""

import os

import uwsgi

import manhole

TRIGGER = os.environ.get("MANHOLE_TRIGGER", "/run/myapp/manhole-pid")
SIGNAL = 17  # one of uWSGI's own, 0 to 255; no Unix signal


def open_manhole(signum):
    with open(TRIGGER, "r+") as file:
        if file.read().strip() != str(os.getpid()):
            return
        file.truncate(0)  # uWSGI can report one write twice; the second report must not open it again
    manhole.install(strict=False, thread=False).handle_oneshot()


open(TRIGGER, "a").close()  # a file that is not there can't be watched
uwsgi.register_signal(SIGNAL, "workers", open_manhole)
uwsgi.add_file_monitor(SIGNAL, TRIGGER)

from wsgi_plain import application  # noqa: E402, F401
