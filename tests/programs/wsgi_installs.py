"""The same application with a manhole, installed where the module is imported."""

import manhole

manhole.install()

from wsgi_plain import application  # noqa: E402, F401
