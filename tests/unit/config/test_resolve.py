"""Defaults < file < environment < flags, where each value comes from, and all problems at once."""

import os

import pytest

from hornbeamd.config.declare import Apply, Option
from hornbeamd.config.kinds import Text
from hornbeamd.config.layers import parse_env, parse_flags
from hornbeamd.config.options import TABLE, Options
from hornbeamd.config.resolve import load
from hornbeamd.config.telling import refusal
from hornbeamd.errors import ConfigError


def write(tmp_path, text):
    path = tmp_path / "sys.toml"
    path.write_text(text)
    return str(path)


def problems(**arguments):
    with pytest.raises(ConfigError) as caught:
        load(**arguments)
    return caught.value.problems


def test_the_later_layer_wins_and_is_named(tmp_path):
    file = write(
        tmp_path, "[hornbeam]\napp = 'm'\nworkers = 2\nthreads = 2\ntimeout = 1000\n[hornbeam.log]\nlevel='debug'"
    )
    environ = {"HORNBEAM_THREADS": "3", "HORNBEAM_TIMEOUT": "2s", "HOME": "/x"}
    loaded = load(file, environ, {"timeout": "3s", "preload_app": True, "server_header": False})
    options = loaded.options
    assert (options.workers, options.threads, options.timeout, options.max_headers) == (2, 3, 3.0, 100)
    assert (options.log.level, options.preload_app, options.server_header) == ("debug", True, False)
    said = {key: source for key, source in loaded.provenance.items() if source != "default"}
    assert said == {
        "app": f"file {file}, line 2",
        "workers": f"file {file}, line 3",
        "threads": "environment HORNBEAM_THREADS",
        "timeout": "flag --timeout",
        "log.level": f"file {file}, line 7",
        "preload_app": "flag --preload-app",
        "server_header": "flag --no-server-header",
    }
    assert set(loaded.provenance) == {option.key for option in TABLE}


def test_what_a_program_gives_is_strongest_and_is_read_as_a_file_is(tmp_path):
    arguments = {"app": "m", "workers": 3, "timeout": 500, "log": {"level": "debug"}, "pythonpath": ["."]}
    loaded = load(None, {"HORNBEAM_WORKERS": "2"}, {"workers": "4"}, str(tmp_path), arguments)
    options = loaded.options
    assert (options.workers, options.timeout, options.log.level) == (3, 0.5, "debug")
    assert options.pythonpath == (str(tmp_path),)
    assert loaded.provenance["workers"] == "argument workers"
    assert loaded.provenance["log.level"] == "argument log.level"
    wrong = {"app": "m", "worker": 1, "relaod": {"watch": True}, "log": "loud", "functions": {"f": "g"}}
    assert problems(arguments=wrong) == [
        'argument functions: functions.f: got "g"; expected "module:function"',
        'argument log: hornbeam.log: got "loud"; expected a section with options',
        'argument relaod: relaod: unknown option; did you mean "reload"?',
        'argument worker: worker: unknown option; did you mean "workers"?',
    ]


def test_without_anything_but_an_app_all_are_defaults(tmp_path):
    options = load(flags={"app": "m:app"}, folder=str(tmp_path)).options
    assert options == Options(app="m:app", pythonpath=(str(tmp_path),))


def test_relative_paths_count_from_the_file_and_from_the_working_folder(tmp_path):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    file = write(home, "[hornbeam]\napp='m'\nbind='unix:a.sock'\npidfile='a.pid'\n")
    options = load(file, {"HORNBEAM_LOG_FILE": "b.log"}, {"log.access": "c.log"}, folder=str(work)).options
    assert options.pythonpath == (str(home),)
    assert (options.bind[0].path, options.pidfile) == (f"{home}/a.sock", f"{home}/a.pid")
    assert (options.log.file, options.log.access) == (f"{work}/b.log", f"{work}/c.log")


def test_loading_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", None)
    before = (os.getcwd(), dict(os.environ), sorted(tmp_path.iterdir()))
    load(None, {}, {"app": "m", "bind": "no-such-host.invalid:80"}, folder=str(tmp_path))
    assert (os.getcwd(), dict(os.environ), sorted(tmp_path.iterdir())) == before


def test_lists_come_from_commas_and_from_repetition(tmp_path):
    options = load(None, {"HORNBEAM_BIND": ":1, :2"}, {"app": "m"}).options
    assert [str(address) for address in options.bind] == [":1", ":2"]
    options = load(None, {}, {"app": "m", "bind": [":1", ":2,:3"]}).options
    assert [str(address) for address in options.bind] == [":1", ":2", ":3"]


def test_problems_of_all_layers_are_told_at_once(tmp_path):
    file = write(tmp_path, "[hornbeam]\napp = 'm'\nworkers = 0\n")
    found = problems(file=file, environ={"HORNBEAM_THREADS": "x", "HORNBEAM_WORKRS": "1"}, flags={"loop": "fast"})
    assert [problem.split(";")[0] for problem in found] == [
        f"file {file}, line 3: workers: got 0: it is out of range",
        'environment HORNBEAM_THREADS: threads: got "x"',
        "environment HORNBEAM_WORKRS: belongs to no option",
        'flag --loop: loop: got "fast"',
    ]
    assert 'did you mean "HORNBEAM_WORKERS"?' in found[2]
    assert found[3].endswith('expected "auto", "uvloop" or "asyncio"')


def test_a_value_that_is_overridden_is_checked_all_the_same(tmp_path):
    file = write(tmp_path, "[hornbeam]\napp = 'm'\nworkers = 0\n")
    assert len(problems(file=file, flags={"workers": "2"})) == 1


def test_variables_of_container_engines_are_passed_over():
    names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR", "WEB_PORT"]
    layer = parse_env({f"HORNBEAM_{name}": "tcp://10.0.0.1:80" for name in names}, "/")
    assert (layer.given, layer.problems) == ([], [])


def test_no_option_is_taken_for_a_variable_of_a_container_engine():
    layer = parse_env({option.environment: "x" for option in TABLE}, "/")
    assert len(layer.given) == len(TABLE)


def test_every_option_has_a_flag():
    assert [given.option for given in parse_flags({option.key: "x" for option in TABLE}, "/").given] == list(TABLE)


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    path = tmp_path / "sys.toml"
    assert problems(file=str(path)) == [f"file {path}: cannot be read: No such file or directory"]
    path.write_bytes(b"# fine\n# \xff\n")
    assert problems(file=str(path)) == [f"file {path}, line 2: is not UTF-8 text"]


def test_a_missing_application_is_told():
    assert problems() == ['command line: app: is missing; expected the application, as in "myapp:application"']


@pytest.mark.parametrize("option", ["pythonpath", "venv", "pidfile"])
def test_what_cannot_be_reached_is_not_said_to_be_missing(tmp_path, option):
    (loop := tmp_path / "loop").symlink_to(loop)  # told to root as well, unlike folders of somebody else
    path = loop / "pid" if option == "pidfile" else loop
    (told,) = problems(flags={"app": "m", option: str(path)})
    assert str(loop) in told
    assert "cannot be reached: Too many levels of symbolic links; expected" in told


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"max_requests_jitter": "5"}, "flag --max-requests-jitter: max_requests_jitter: has no effect"),
        ({"lifespan": "on"}, 'flag --lifespan: lifespan: got "on", but WSGI'),
        ({"bind": "unix:/no/such/x.sock"}, 'flag --bind: bind: the folder "/no/such" does not exist'),
        ({"bind": ":80,:80"}, 'flag --bind: bind: ":80" stands there 2 times'),
        ({"admin.bind": ":80,:80"}, 'flag --admin-bind: admin.bind: ":80" stands there 2 times'),
        ({"bind": ":80", "admin.bind": ":80"}, 'flag --admin-bind: admin.bind: ":80" is taken by bind'),
        ({"log.file": "/no/such/x.log"}, 'flag --log-file: log.file: the folder "/no/such"'),
        ({"log.access": "/"}, 'flag --log-access: log.access: "/" is a folder'),
        ({"pidfile": "/no/such/x"}, 'flag --pidfile: pidfile: the folder "/no/such"'),
        ({"pythonpath": "/no/such"}, 'flag --pythonpath: pythonpath: "/no/such" does not exist'),
        ({"venv": "/no/such"}, 'flag --venv: venv: "/no/such" does not exist'),
        ({"venv": "/"}, 'flag --venv: venv: "/" is no virtual environment'),
        ({"user": "no-such-user"}, 'flag --user: user: there is no user "no-such-user"'),
        ({"group": "no-such-group"}, 'flag --group: group: there is no group "no-such-group"'),
        ({"unix_socket_owner": "nobody-1:x-1"}, "flag --unix-socket-owner: unix_socket_owner: there is no user"),
    ],
)
def test_what_no_single_value_can_tell(flags, problem):
    assert problems(flags={"app": "m", **flags})[0].startswith(problem)


@pytest.mark.parametrize(
    "flags",
    [
        {"max_requests_jitter": "5", "max_requests": "10"},
        {"lifespan": "on", "worker_class": "asgi"},
        {"bind": "127.0.0.1:0,127.0.0.1:0"},
        {"bind": "127.0.0.1:0", "admin.bind": "127.0.0.1:0"},
        {"forwarded_allow_from": "*"},
        {"loop": "asyncio"},
        {"user": str(os.geteuid()), "group": str(os.getegid())},
        {"max_body_size": "unlimited", "venv": "", "pidfile": ""},
    ],
)
def test_what_goes_together(flags):
    load(flags={"app": "m", **flags})


def test_a_venv_of_another_python_is_told(tmp_path):
    (tmp_path / "lib/python3.2/site-packages").mkdir(parents=True)
    (problem,) = problems(flags={"app": "m", "venv": str(tmp_path)})
    assert f'"{tmp_path}" is for python3.2, and hornbeamd runs under python3.' in problem


def test_only_root_may_become_another_user(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    monkeypatch.setattr("os.getegid", lambda: 12345)
    (group, user) = problems(flags={"app": "m", "user": "root", "group": "0"})
    assert "only root can run workers as" in user
    assert "only root can run workers as group" in group


def test_what_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (engine, loop) = problems(flags={"app": "m", "loop": "uvloop", "http2_engine": "h2"})
    assert '"uvloop" is not installed' in loop
    assert '"h2" is not installed' in engine
    assert 'expected "native"' in engine


def test_development_has_defaults_of_its_own():
    loaded = load(flags={"app": "m", "reload.development": True})
    assert (loaded.options.workers, loaded.options.graceful_timeout) == (1, 1.0)
    assert loaded.provenance["workers"] == "reload.development"
    loaded = load(flags={"app": "m", "reload.development": True}, environ={"HORNBEAM_WORKERS": "3"})
    assert (loaded.options.workers, loaded.options.graceful_timeout) == (3, 1.0)
    assert load(flags={"app": "m"}).options.workers == 4


def test_a_secret_is_not_shown():
    option = Option("key", Text(), "", Apply.LIVE, "A key.", secret=True)
    assert option.plain("hunter2") == "***"
    assert "hunter2" not in refusal(option, "hunter2", "hunter2 is bad")
