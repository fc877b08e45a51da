"""The module that ``import erlang`` finds."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam_erlang
from hornbeam_erlang import erlang
from hornbeamd.errors import CallError, NotRegistered
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def functions(node):
    """What is registered in this process."""

    class Functions:
        def add(self, name, function):
            node.offers.register_function(name, function)

    return Functions()


def test_its_state_is_that_of_hornbeam_erlang():
    erlang.state_set("k", {"a": 1})
    assert hornbeam_erlang.state_get("k") == {"a": 1} == erlang.state_get("k")
    assert erlang.state_get("no") is None
    assert (erlang.state_incr("n"), erlang.state_incr("n", 4), erlang.state_decr("n", 2)) == (1, 5, 3)
    assert sorted(erlang.state_keys()) == ["k", "n"]
    erlang.state_delete("k")
    erlang.state_clear()
    assert erlang.state_keys() == []


def test_functions_are_called_by_name_and_as_attributes(functions):
    functions.add("double", lambda value: 2 * value)
    assert erlang.call("double", 4) == erlang.double(4) == erlang.call(erlang.atom("double"), 4) == 8
    assert asyncio.run(erlang.async_call("double", 4)) == 8
    assert erlang.double.__name__ == "double"


def test_what_nobody_has_registered_is_no_attribute_when_it_is_called():
    function = erlang.nothing
    for call in (function, lambda: erlang.call("nothing"), lambda: asyncio.run(erlang.async_call("nothing"))):
        with pytest.raises(AttributeError, match="nothing") as caught:
            call()
        assert isinstance(caught.value, NotRegistered)
    erlang.cast("nothing", 1)
    with pytest.raises(AttributeError):
        _ = erlang.__path__


def test_what_a_function_raises_is_a_call_error(functions):
    def fail():
        raise NotRegistered("of its own")

    functions.add("fail", fail)
    with pytest.raises(CallError, match="of its own") as caught:
        erlang.fail()
    assert not isinstance(caught.value, AttributeError)


def test_who_is_registered_takes_what_is_sent(functions):
    taken = []
    assert erlang.whereis("sink") is None
    functions.add("sink", taken.append)
    pid = erlang.whereis("sink")
    assert pid == erlang.whereis(erlang.atom("sink")) == erlang.Pid("sink")
    erlang.send(pid, (erlang.atom("ok"), [1]))
    erlang.cast("sink", "cast")
    wait_until(lambda: len(taken) == 2)
    assert sorted(taken, key=str) == [("ok", [1]), "cast"]
    with pytest.raises(TypeError, match="str"):
        erlang.send("sink", 1)


def test_atoms_are_the_same_and_no_text():
    ok = erlang.atom("ok")
    assert ok is erlang.atom("ok")
    assert (ok == "ok", str(ok), isinstance(ok, erlang.Atom), hash(ok) == hash(erlang.Atom("ok"))) == (
        False,
        "ok",
        True,
        True,
    )


def test_atoms_become_text_wherever_they_go():
    ok = erlang.atom("ok")
    erlang.state_set(ok, {ok: [(ok, {ok}, frozenset([ok]), 1)]})
    assert erlang.state_get("ok") == {"ok": [("ok", {"ok"}, frozenset(["ok"]), 1)]}
    with pytest.raises(TypeError, match="Atom"):
        hornbeam_erlang.state_set("k", ok)


def test_atoms_are_bounded(monkeypatch):
    assert erlang.atom("é" * 127).name == "é" * 127
    with pytest.raises(ValueError, match="255"):
        erlang.atom("é" * 128)
    with pytest.raises(TypeError, match="int"):
        erlang.atom(5)
    with monkeypatch.context() as patch:
        patch.setattr(erlang, "_atoms", {})
        for number in range(erlang.MOST_ATOMS):
            erlang.atom(str(number))
        erlang.atom("0")
        with pytest.raises(RuntimeError, match="10000"):
            erlang.atom("one more")


PROGRAM = """
import sys
from hornbeamd.worker import modules
sys.path.insert(0, {folder!r})
modules.provide()
modules.provide()
import erlang
print(erlang.__file__)
assert sys.modules["erlang"] is erlang
import erlang as again
assert again is erlang
from erlang import state_get, resize
"""


@pytest.mark.parametrize("installed", [False, True])
def test_it_is_found_where_no_other_is_installed(tmp_path, installed):
    if installed:
        (tmp_path / "erlang.py").write_text("state_get = resize = None")
    program = PROGRAM.format(folder=str(tmp_path))
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    found = Path(ran.stdout.strip())
    assert found == (tmp_path / "erlang.py" if installed else ROOT / "hornbeam_erlang" / "erlang.py")


def test_elsewhere_it_is_not_found():
    program = "import hornbeam_erlang, hornbeamd.worker.modules, erlang"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: No module named 'erlang'" in ran.stderr
