"""Flask: JSON, a form, and an upload that is read as it arrives."""

import hashlib

from flask import Flask, jsonify, render_template, request

app = Flask(__name__)


@app.get("/")
def form():
    return render_template("form.html")


@app.post("/")
def greet():
    return render_template("form.html", name=request.form["name"])


@app.get("/api/sum/<int:a>/<int:b>")
def add(a, b):
    return jsonify(sum=a + b)


@app.put("/upload")
def upload():
    """Digest a body of any size; it never is in memory as a whole."""
    digest, size = hashlib.sha256(), 0
    while data := request.stream.read(65536):
        digest.update(data)
        size += len(data)
    return jsonify(size=size, sha256=digest.hexdigest())
