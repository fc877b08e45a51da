"""The server in a Python program: hornbeamd.start(), stop(), register_function()."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

import hornbeamd
from hornbeam_erlang import CallError, NotRegistered, call, publish, register_hook, state_get, state_set, subscribe
from hornbeamd import embedding
from hornbeamd.config.options import Options
from hornbeamd.errors import BootError, ConfigError, HubGone
from tests.support.daemon import alive
from tests.support.waiting import wait_until

ROOT = Path(hornbeamd.__file__).parents[1]

APP = """
import json, os, time
from hornbeam_erlang import CallError, call, execute, publish, state_get


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/slow":
        open(query, "w").close()
        time.sleep(0.3)
    try:
        answer = {
            "/call": lambda: call(*query.split(",")),
            "/execute": lambda: execute(*query.split(",")),
            "/state": lambda: state_get(query),
            "/publish": lambda: publish("news", query),
            "/slow": lambda: "slow",
        }[path]()
    except CallError as error:
        answer = [type(error).__name__, error.type, error.text]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([os.getpid(), answer]).encode()]
"""


@pytest.fixture
def site(tmp_path):
    """Starts the application of the test, and asks it."""
    (tmp_path / "app.py").write_text(APP)
    site = Site(tmp_path)
    yield site
    hornbeamd.stop()
    site.listener.close()


class Site:
    def __init__(self, folder):
        self.folder = folder
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def start(self, app="app:application", **options):
        bind, log = f"fd://{self.listener.fileno()}", {"file": str(self.folder / "log")}
        hornbeamd.start(app, bind=bind, pythonpath=[str(self.folder)], log=log, **options)

    def ask(self, path):
        """The process that answered, and its answer."""
        pid, answer = httpx.get(self.url + path, timeout=10).json()
        return pid, answer

    def everywhere(self, path, workers=2):
        """The answers of all workers, by process."""
        answers = {}

        def all_have_answered():
            pid, answer = self.ask(path)
            answers[pid] = answer
            return len(answers) == workers

        wait_until(all_have_answered)
        return answers


def test_functions_of_the_program_are_called_from_all_workers(site):
    threads = set()

    def price(article, currency="EUR"):
        threads.add(threading.current_thread())
        return [article.upper(), currency, os.getpid()]

    async def later(text):
        return text[::-1]

    hornbeamd.register_function("price", price)
    hornbeamd.register_function("later", later)
    hornbeamd.register_function("root", "math", "isqrt")
    assert call("price", "tea") == ["TEA", "EUR", os.getpid()]
    site.start(workers=2)

    answers = site.everywhere("/call?price,tea,USD")
    assert os.getpid() not in answers
    assert list(answers.values()) == [["TEA", "USD", os.getpid()]] * 2
    assert threading.main_thread() in threads  # before the start
    assert len(threads) > 1
    assert set(site.everywhere("/call?later,abc").values()) == {"cba"}

    # What is raised there is raised here, with its type and its text.
    assert site.ask("/call?root,nine")[1] == [
        "CallError",
        "TypeError",
        "'str' object cannot be interpreted as an integer",
    ]
    assert site.ask("/call?nobody")[1][0] == "NotRegistered"

    # What is registered while it runs is offered at once, and withdrawn.
    hornbeamd.register_function("new", lambda: "new")
    assert site.ask("/call?new")[1] == "new"
    hornbeamd.unregister_function("new")
    assert site.ask("/call?new")[1][0] == "NotRegistered"

    # The program has all that workers have.
    register_hook("program", lambda action, *args: [action, *args])
    assert site.ask("/execute?program,go,1")[1] == ["go", "1"]
    state_set("key", "value")
    assert set(site.everywhere("/state?key").values()) == {"value"}
    with subscribe("news") as news:
        assert site.ask("/publish?hello")[1] == 1
        assert news.get(10) == "hello"
        assert publish("news", 1) == 1

    with pytest.raises(RuntimeError, match="runs already"):
        site.start()


def test_stopping_lets_requests_finish_and_leaves_the_program_as_it_was(site):
    before = set(threading.enumerate())  # with those that other tests have left
    hornbeamd.register_function("there", lambda: "here")
    site.start(workers=1)
    (worker, _) = site.ask("/call?there")
    state_set("key", "value")
    answers = []
    request = threading.Thread(target=lambda: answers.append(site.ask(f"/slow?{site.folder}/began")))
    request.start()
    wait_until((site.folder / "began").exists)
    hornbeamd.stop()
    request.join(10)
    assert answers == [(worker, "slow")]
    assert not alive(worker)
    assert "hornbeamd-" not in Path("/proc/self/maps").read_text()  # or its memory would be taken for good
    wait_until(lambda: not [each for each in set(threading.enumerate()) - before if each.name.startswith("call-")])
    assert call("there") == "here"
    assert state_get("key") is None
    hornbeamd.stop()  # which has nothing to do

    site.start(workers=1)
    assert site.ask("/call?there")[1] == "here"
    assert site.ask("/state?key")[1] is None

    # One that has died may be started again.
    server = embedding._server
    server._process.kill()
    wait_until(lambda: not server.running)
    site.start(workers=1)
    assert site.ask("/call?there")[1] == "here"


def test_a_server_that_does_not_come_up_is_an_error_that_says_why(site):
    (site.folder / "broken.py").write_text("import no_such_module")
    with pytest.raises(BootError, match=r"hornbeamd did not start: .*No module named 'no_such_module'"):
        site.start("broken:application")
    with pytest.raises(BootError, match=r"hornbeamd did not start: .*functions\.f: 'app' has no attribute 'nothing'"):
        site.start(functions={"f": "app:nothing"})
    site.start(workers=1)  # nothing is left of them


def test_a_hub_that_cannot_be_reached_leaves_nothing_behind(tmp_path, monkeypatch):
    async def connect(post, timeout):
        await post._begin()
        raise HubGone("there is no hub")

    monkeypatch.setattr("hornbeamd.node.hubpost.HubPost.connect", connect)
    with pytest.raises(BootError, match="its hub cannot be reached"):
        embedding._join(str(tmp_path), Options())
    assert not [each for each in threading.enumerate() if each.name == "hornbeamd node"]
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_what_is_wrong_with_the_arguments_is_told_before_anything_starts(tmp_path):
    wrong = {"worker": 2, "workers": "many", "hub": {"queue_size": "long"}, "pythonpath": [str(tmp_path / "no")]}
    with pytest.raises(ConfigError) as caught:
        hornbeamd.start("app", **wrong)
    assert caught.value.problems == [
        'argument hub.queue_size: hub.queue_size: got "long"; expected a whole number from 1 to 10000000',
        f'argument pythonpath: pythonpath: "{tmp_path}/no" does not exist; expected a folder',
        'argument worker: worker: unknown option; did you mean "workers"?',
        'argument workers: workers: got "many"; expected a whole number from 1 to 1024',
    ]
    with pytest.raises(ConfigError, match="is missing; expected the application"):
        hornbeamd.start()


def test_what_may_be_registered():
    for wrong in (("f", "math"), ("f", len, "sqrt"), ("f", 3), (3, len)):
        with pytest.raises(TypeError):
            hornbeamd.register_function(*wrong)
    with pytest.raises(ImportError):
        hornbeamd.register_function("f", "no_such_module", "f")
    with pytest.raises(NotRegistered):
        call("f")
    hornbeamd.register_function("f", lambda: 1 / 0)
    with pytest.raises(CallError, match="ZeroDivisionError: division by zero"):
        call("f")
    hornbeamd.unregister_function("f")


PROGRAM = """
import os, signal, socket, sys, time
import hornbeamd

listener = socket.create_server(("127.0.0.1", 0))
hornbeamd.register_function("pid", os.getpid)
hornbeamd.start("app:application", bind=f"fd://{listener.fileno()}", workers=1, log={"file": "log"})
if not os.fork():
    time.sleep(60)
print(listener.getsockname()[1], flush=True)
signal.pause()
"""


def test_the_server_ends_when_the_program_is_killed(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        with program:
            assert program.stdout is not None
            port = json.loads(program.stdout.readline())
            worker, pid = httpx.get(f"http://127.0.0.1:{port}/call?pid", timeout=10).json()
            assert pid == program.pid
            program.kill()
        # A child that it has forked, and that lives, does not keep the server alive.
        wait_until(lambda: not alive(worker))
        wait_until(lambda: (tmp_path / "log").read_text().endswith("supervisor: ended\n"))
    finally:
        os.killpg(program.pid, signal.SIGKILL)


def test_importing_the_package_imports_no_more_than_it_needs():
    script = "import sys; from hornbeamd import start; print(*{'hornbeamd.embedding', 'yaml'} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "hornbeamd.embedding\n"
    with pytest.raises(AttributeError, match="no attribute 'begin'"):
        _ = hornbeamd.begin
