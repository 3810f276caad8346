"""A configuration file for gunicorn: every worker installs a manhole of its own."""


def post_fork(server, worker):
    import manhole

    manhole.install()
