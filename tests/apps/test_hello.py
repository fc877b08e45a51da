"""The examples without a framework."""

from contextlib import ExitStack

import pytest

from tests.apps.conftest import EXAMPLES, client_of, curl
from tests.support.daemon import Daemon


@pytest.fixture(scope="module", params=["hello_wsgi", "hello_asgi"])
def client(request, tmp_path_factory):
    with ExitStack() as stack:
        sys_toml = EXAMPLES / request.param / "sys.toml"
        daemon = Daemon("-c", str(sys_toml), folder=tmp_path_factory.mktemp("hello"))
        yield client_of(stack.enter_context(daemon), stack)


def test_hello(client):
    assert client.get("/").text.startswith("Hello from ")
    assert client.get("/nothing").status_code == 404


def test_a_stream_comes_part_by_part(client):
    with client.stream("GET", "/count") as answer:
        assert list(answer.iter_raw()) == [b"%d\n" % number for number in range(1, 6)]


def test_curl_reads_it(client):
    assert curl(f"{client.base_url}/count") == b"1\n2\n3\n4\n5\n"
