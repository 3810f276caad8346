"""The recipe that python-manhole 1.8.1 recommends for uWSGI, as programs have it."""

import os

import manhole

stack_dump_file = os.environ["MANHOLE_TRIGGER"]
uwsgi_signal_number = 17

try:
    import uwsgi

    if not os.path.exists(stack_dump_file):
        open(stack_dump_file, "w").close()

    def open_manhole(dummy_signum):
        with open(stack_dump_file) as fh:
            pid = fh.read().strip()
            if pid == str(os.getpid()):
                inst = manhole.install(strict=False, thread=False)
                inst.handle_oneshot(dummy_signum, dummy_signum)

    uwsgi.register_signal(uwsgi_signal_number, "workers", open_manhole)
    uwsgi.add_file_monitor(uwsgi_signal_number, stack_dump_file)
except ImportError:
    raise

from wsgi_plain import application  # noqa: E402, F401
