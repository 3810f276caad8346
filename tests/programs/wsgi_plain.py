"""A WSGI application that knows nothing of manholes: it answers with its process's id."""

import json
import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(os.getpid()).encode()]
