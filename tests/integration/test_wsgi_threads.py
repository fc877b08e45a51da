"""WSGI in threads: who waits for whom (docs/applications.md)."""

import socket
import threading
import time

import pytest

from tests.support.applications import head, post, wsgi
from tests.support.waiting import wait_until

TEXT = [("Content-Type", "text/plain")]
both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


class Gate:
    """An application that waits for :attr:`open` under /slow, and notes who is in it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.inside = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            self.open.wait(10)
            with self.lock:
                self.inside -= 1
        start_response("200 OK", TEXT)
        return [environ["PATH_INFO"].encode()]


@both_loops
@pytest.mark.parametrize("threads", [2, 4, 16])
def test_slow_requests_do_not_hold_up_others(loop: str, threads: int):
    """While one thread is free everything else is served."""
    gate = Gate()
    with wsgi(gate, loop, threads=threads) as served:
        clients = [served.client() for _ in range(threads - 1)]
        try:
            for client in clients:
                client.send(head("/slow"))
            wait_until(lambda: gate.inside == threads - 1)
            with served.client() as other:
                for _ in range(50):
                    assert other.request(head("/fast")).body == b"/fast"
            gate.open.set()
            for client in clients:
                assert client.read_response().body == b"/slow"
        finally:
            for client in clients:
                client.close()


@both_loops
def test_no_more_threads_than_configured(loop: str):
    """threads is a bound; the rest waits its turn, and is served."""
    gate = Gate()
    with wsgi(gate, loop, threads=3) as served:
        clients = [served.client() for _ in range(10)]
        try:
            for client in clients:
                client.send(head("/slow"))
            wait_until(lambda: served.running.server.in_flight == 10)
            wait_until(lambda: gate.inside == 3)
            gate.open.set()
            for client in clients:
                assert client.read_response().body == b"/slow"
        finally:
            for client in clients:
                client.close()
    assert gate.most == 3


def test_requests_of_one_burst_run_at_the_same_time():
    """All threads get to work although one could take the whole queue."""
    barrier = threading.Barrier(4)

    def app(environ, start_response):
        barrier.wait(5)
        start_response("200 OK", TEXT)
        return [b"met"]

    with wsgi(app, threads=4) as served:
        clients = [served.client() for _ in range(4)]
        try:
            for _ in range(20):
                for client in clients:
                    client.send(head())
                for client in clients:
                    assert client.read_response().body == b"met"
        finally:
            for client in clients:
                client.close()


def test_a_slow_upload_holds_no_thread():
    """A small body is waited for by the loop, not by a thread."""
    gate = Gate()
    with wsgi(gate, threads=1) as served:
        clients = [served.client() for _ in range(20)]
        try:
            for client in clients:
                client.send(head("/upload", "Content-Length: 10", method="POST") + b"half ")
            wait_until(lambda: served.running.server.in_flight == 20)
            with served.client() as other:
                assert other.request(head("/fast")).body == b"/fast"
            for client in clients:
                assert client.request(b"other").body == b"/upload"
        finally:
            for client in clients:
                client.close()


def test_a_slow_reader_of_a_small_answer_holds_no_thread():
    """What fits into the buffers is the loop's business."""

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return [b"x" * 200_000]

    with wsgi(app, threads=1) as served:
        clients = [served.client() for _ in range(10)]
        try:
            for client in clients:
                client.send(head())
            wait_until(lambda: served.running.server.requests == 10)
            for client in clients:
                assert len(client.read_response().body) == 200_000
        finally:
            for client in clients:
                client.close()


def test_many_short_requests_from_many_connections():
    """No request is lost between the queue and the threads, nor answered on another's connection."""

    def app(environ, start_response):
        body = environ["wsgi.input"].read(-1)
        start_response("200 OK", TEXT)
        return [environ["PATH_INFO"].encode() + body]

    def talk(number: int) -> None:
        try:
            with served.client() as client:
                for turn in range(100):
                    response = client.request(post(b":%d" % turn, target=f"/{number}"))
                    assert response.body == b"/%d:%d" % (number, turn)
            done.append(number)
        except BaseException as error:
            failed.append(error)

    done: list[int] = []
    failed: list[BaseException] = []
    with wsgi(app, threads=4) as served:
        talkers = [threading.Thread(target=talk, args=(number,)) for number in range(16)]
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join(30)
    assert not failed
    assert sorted(done) == list(range(16))


def test_many_small_parts_are_counted_right():
    """Two threads count what is under way: a part that is lost in the count would stop the stream in the end."""
    parts = 30_000

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        for _ in range(parts):
            yield b"0123456789"

    with wsgi(app, threads=2) as served, served.client() as client:
        assert len(client.request(head()).body) == 10 * parts


def test_threads_that_are_all_stuck_are_noticed():
    """docs/applications.md: a worker all of whose threads are stuck past timeout is replaced: stuck() says so."""
    gate = Gate()
    with wsgi(gate, threads=2, timeout=0.1) as served, served.client() as one, served.client() as two:
        handler = served.running.server.handler
        assert handler.stuck(time.monotonic() + 100) is None
        one.send(head("/slow"))
        wait_until(lambda: gate.inside == 1)
        assert handler.stuck(time.monotonic() + 100) is None
        two.send(head("/slow"))
        wait_until(lambda: gate.inside == 2)
        wait_until(lambda: "2 threads" in (handler.stuck(time.monotonic() + 100) or ""))
        gate.open.set()
        wait_until(lambda: handler.stuck(time.monotonic() + 100) is None)


def test_the_threads_have_names():
    """Stacks in the log are read by people."""
    names = []

    def app(environ, start_response):
        names.append(threading.current_thread().name)
        start_response("200 OK", TEXT)
        return [b"x"]

    with wsgi(app) as served:
        served.get()
    assert names[0].startswith("wsgi-")


def test_a_thread_whose_answer_flows_is_not_stuck():
    """``timeout`` is about the beginning of an answer: a download may take as long as it takes."""
    go_on = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
        yield b"one"
        go_on.wait(10)
        yield b"two"

    with wsgi(app, threads=1) as served, served.client() as client:
        handler = served.running.server.handler
        client.send(head())
        wait_until(lambda: client.socket.recv(4096, socket.MSG_PEEK).endswith(b"one"))
        assert handler.threads.running() is not None
        assert handler.stuck(time.monotonic() + 100) is None
        go_on.set()
        assert client.read_response().body == b"onetwo"


def test_a_thread_whose_request_still_arrives_is_not_stuck():
    """``timeout`` counts anew while the body comes; the client's pace is for ``body_min_rate`` to judge."""
    size = 100_000
    begun = threading.Event()

    def app(environ, start_response):
        begun.set()
        body = environ["wsgi.input"].read(size)
        start_response("200 OK", TEXT)
        return [b"%d" % len(body)]

    with wsgi(app, threads=1) as served, served.client() as client:
        client.send(post(b"x" * size)[:-1])
        assert begun.wait(5)
        handler = served.running.server.handler
        assert handler.threads.running() is not None
        assert handler.stuck(time.monotonic() + 100) is None
        client.send(b"x")
        assert client.read_response().body == b"%d" % size
