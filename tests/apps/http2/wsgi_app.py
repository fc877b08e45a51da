"""The same as Flask has it; WSGI knows no trailers."""

import hashlib
import threading

from flask import Flask, Response, request

BLOCK = bytes(range(256)) * 256
TOGETHER = 4

app = Flask(__name__)
everyone = threading.Barrier(TOGETHER)
gone = 0


@app.get("/hello")
def hello():
    return Response(b"hello", mimetype="text/plain", headers={"x-kind": "wsgi"})


@app.post("/echo")
def echo():
    body = request.stream
    return Response(iter(lambda: body.read(65536), b""), mimetype="application/octet-stream")


@app.put("/digest")
def digest():
    found, length = hashlib.sha256(), 0
    while chunk := request.stream.read(65536):
        found.update(chunk)
        length += len(chunk)
    return {"length": length, "sha256": found.hexdigest()}


@app.get("/large")
def large():
    blocks = int(request.args["blocks"])
    return Response((BLOCK for _ in range(blocks)), mimetype="application/octet-stream")


@app.get("/status/<int:code>")
def status(code):
    return Response(status=code, headers={"etag": '"one"'})


@app.get("/meet")
def meet():
    """Answers when so many requests are in hand at once."""
    everyone.wait(10)
    return Response(b"met")


@app.get("/endless")
def endless():
    def parts():
        global gone
        try:
            while True:
                yield BLOCK
        finally:
            gone += 1

    return Response(parts(), mimetype="application/octet-stream")


@app.get("/gone")
def how_many_are_gone():
    return str(gone)


@app.get("/hints")
def hints():
    request.environ["wsgi.early_hints"]([("link", "</style.css>; rel=preload; as=style")])
    return Response(b"hinted", mimetype="text/plain")
