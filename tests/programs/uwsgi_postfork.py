"""A WSGI application for uWSGI: every worker installs a manhole of its own."""

import uwsgidecorators

import manhole


@uwsgidecorators.postfork
def install_manhole():
    manhole.install()


from wsgi_plain import application  # noqa: E402, F401
