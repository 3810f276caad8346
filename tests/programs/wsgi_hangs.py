"""A WSGI application that answers with its pid, and at /hang sticks in C code that has let go of the GIL."""

import hashlib
import json
import os


def hang() -> None:
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        hang()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(os.getpid()).encode()]
