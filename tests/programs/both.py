"""both.py first|last LIBRARY LIBRARY: patches with one over the other, installs first or last, blocks the hub."""

import sys

from _runtime import runtime_of
from _tell import tell

import_first = sys.argv[1] == "first"
if import_first:
    import manhole

    manhole.install(verbose=False, start_timeout=30)
for library in sys.argv[2:]:
    runtime = runtime_of(library)
    runtime.patch()

import manhole  # noqa: E402
from manhole.compat import _originals  # noqa: E402

if not import_first:
    manhole.install(verbose=False, start_timeout=30)
names = ("start_new_thread", "allocate_lock", "get_ident", "make_poll", "sleep", "monotonic")
tell([type(getattr(_originals, name)).__name__ for name in names])


def busy():
    tell("busy")
    while True:
        pass


busy()
