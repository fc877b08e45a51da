"""The pages of the site: a WSGI application."""

PAGE = """<!DOCTYPE html>
<link rel="stylesheet" href="/static/style.css">
<h1>Hello, {user}</h1>
<p>Your notes are at <a href="/api/notes">/api/notes</a>.</p>
"""


def application(environ, start_response):
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Nothing here\n"]
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE.format(user=environ["HTTP_X_USER"]).encode()]
