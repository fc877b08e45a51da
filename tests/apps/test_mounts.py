"""The example with two applications, files and hooks."""

from contextlib import ExitStack

import pytest

from tests.apps.conftest import EXAMPLES, client_of
from tests.support.daemon import Daemon

ALICE = ("alice", "wonderland")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with ExitStack() as stack:
        daemon = Daemon("-c", str(EXAMPLES / "mounts/sys.toml"), folder=tmp_path_factory.mktemp("mounts"))
        yield client_of(stack.enter_context(daemon), stack)


@pytest.mark.parametrize("auth", [None, ("alice", "x"), ("carol", ""), ("", "")])
@pytest.mark.parametrize("path", ["/", "/api/notes", "/nothing", "//static/style.css", "/static%2F..%2Fapi/notes"])
def test_nobody_enters_without_a_name_and_its_password(client, path, auth):
    answer = client.get(path, auth=auth, headers={"X-User": "alice"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_both_applications_learn_the_name(client):
    assert "Hello, alice" in client.get("/", auth=ALICE).text
    assert client.get("/api/notes", auth=ALICE).json() == {"user": "alice", "notes": ["buy milk"]}
    assert client.get("/api/notes", auth=("bob", "builder"), headers={"X-User": "alice"}).json()["user"] == "bob"
    assert client.get("/api/else", auth=ALICE).json() == {"error": "nothing at /else"}


def test_files_are_for_everyone(client):
    answer = client.get("/static/style.css")
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert client.get("/static/style.css", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert client.get("/static/../guard.py", auth=ALICE).status_code == 404
    assert client.get("/static/%2e%2e/guard.py").status_code == 404


def test_every_answer_is_marked(client):
    for path in ("/", "/api/notes", "/static/style.css", "/static/nothing"):
        for auth in (None, ALICE):
            assert client.get(path, auth=auth).headers["x-content-type-options"] == "nosniff"
