from __future__ import annotations

import json
import os
import sys

import pytest

from hornbeamd.config.address import Address
from hornbeamd.config.certificates import Certificate
from hornbeamd.config.log import LogOptions
from hornbeamd.config.mounts import Mount
from hornbeamd.config.options import Options
from hornbeamd.config.pools import PoolOptions
from hornbeamd.config.state import StateOptions
from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.handover import FORMAT, VARIABLE, Estate, plain_options, read_options
from hornbeamd.supervisor.successor import Command

RICH = Options(
    app="shop:application",
    bind=(Address.parse("127.0.0.1:8000"), Address.parse("unix:/run/shop.sock"), Address.parse("fd://3")),
    certificates=(Certificate(names=("shop.example",), certfile="/etc/shop.pem"),),
    mounts=(Mount(prefix="/api", app="api:app", worker_class="asgi"),),
    pools=(PoolOptions(name="models", handler="models:Model", processes=2),),
    functions=(("price", "shop:price"),),
    keepalive=2.5,
    max_body_size=None,
    unix_socket_mode=0o600,
    pidfile="/run/shop.pid",
    log=LogOptions(level="debug", access_format="json"),
    state=StateOptions(path="/var/lib/shop"),
)

ESTATE = Estate(
    generation=3,
    sockets={"web": [{"fd": 5}, {"fd": 6}], "control": [{"fd": 7}]},
    runtime={"directory": "/dev/shm/x", "state": "/dev/shm/x/state", "listener": 8, "locks": [9, 10]},
    pidfile={"path": "/run/shop.pid", "fd": 11},
    options={},
    announce=12,
)


def as_message(**changes: object) -> dict[str, object]:
    fields = {name: getattr(ESTATE, name) for name in Estate.__dataclass_fields__}
    return json.loads(json.dumps({"do": "begin", "version": "9.9", "stderr": 2, **fields, **changes}))


@pytest.mark.parametrize("options", [Options(), RICH], ids=["defaults", "rich"])
def test_options_come_back_as_they_were(options: Options) -> None:
    assert read_options(json.loads(json.dumps(plain_options(options)))) == options


def test_options_of_another_version_are_left_alone() -> None:
    plain = {**plain_options(RICH), "no.such.option": 1, "workers": "as many as there are"}
    assert read_options(plain) == RICH


def test_an_estate_comes_back_with_what_must_be_inherited() -> None:
    found = Estate.of(as_message())
    assert found == ESTATE
    assert sorted(found.descriptors()) == [5, 6, 7, 8, 9, 10, 11, 12]


def test_what_a_newer_version_hands_over_may_mean_something_else() -> None:
    with pytest.raises(SupervisionError, match=r"hornbeamd 9\.9 hands over what this version does not understand"):
        Estate.of(as_message(format=FORMAT + 1))


def test_the_next_daemon_is_started_as_this_process_was() -> None:
    environ = {"PATH": "/bin", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "LISTEN_FDS": "1", VARIABLE: "3"}
    command = Command.of_this_process(environ)
    assert command.arguments == [sys.executable, *sys.orig_argv[1:]]
    assert command.folder == os.getcwd()
    assert command.environ == {"PATH": "/bin", "WATCHDOG_USEC": "1"}
