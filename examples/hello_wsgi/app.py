"""A WSGI application (PEP 3333) without a framework."""

import time
from collections.abc import Iterator


def application(environ, start_response):
    if environ["PATH_INFO"] == "/count":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return count()
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Nothing here\n"]
    body = b"Hello from WSGI\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def count() -> Iterator[bytes]:
    """Each number leaves the server when it is yielded."""
    for number in range(1, 6):
        yield f"{number}\n".encode()
        time.sleep(0.2)
