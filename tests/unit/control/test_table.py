"""The table of commands, and what is made of it: the operations, the parser, help, man page, completion."""

from __future__ import annotations

import inspect
import re
import subprocess
import typing
from pathlib import Path

import pytest

from hornbeamd.control import codes, completion, render
from hornbeamd.control.arguments import Switch
from hornbeamd.control.command import CHANGE, LOOK
from hornbeamd.control.commands import BY_NAME, LEVELS, TABLE
from hornbeamd.control.operations import Operations, Progress
from hornbeamd.control.usage import Misused, help_text, parse
from hornbeamd.supervisor.operations import DaemonOperations

ROOT = Path(__file__).resolve().parents[3]
ASKED = [command for command in TABLE if command.operation]


def test_each_row_is_an_operation_and_each_operation_a_row():
    methods = {name for name, _ in inspect.getmembers(Operations, inspect.isfunction) if not name.startswith("_")}
    assert {command.operation for command in ASKED} == methods
    assert len(ASKED) == len(methods)


@pytest.mark.parametrize("command", ASKED, ids=lambda command: command.name)
@pytest.mark.parametrize("of", [Operations, DaemonOperations])
def test_an_operation_takes_what_its_row_says(of, command):
    method = getattr(of, command.operation)
    hints = typing.get_type_hints(method)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    if command.streams:
        first, *parameters = parameters
        assert hints[first.name] == Progress
    assert [each.name for each in parameters] == [argument.name for argument in command.arguments]
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in parameters)
    for argument in command.arguments:
        assert (type(None) in typing.get_args(hints[argument.name])) == (argument.default is None)


@pytest.mark.parametrize("command", TABLE, ids=lambda command: command.name)
def test_a_row_is_whole(command):
    assert command.access in (LOOK, CHANGE)
    assert command.summary.endswith(".")
    assert len(f"  {command.usage}") < 80
    assert all(argument.required or argument.fits(argument.default) for argument in command.arguments)
    assert all(argument.help.endswith(".") for argument in command.arguments)
    assert bool(command.answer) == bool(command.operation)
    assert max(len(line) for line in help_text(command).splitlines()) <= 80
    shown = " ".join(help_text(command).split())
    for argument in command.arguments:
        assert (argument.flag or argument.metavar) in shown
        assert argument.help in shown


def test_what_changes_something_is_not_for_those_who_may_only_look():
    changing = {command.name for command in TABLE if command.access == CHANGE}
    assert changing >= {"reload", "restart", "stop", "scale", "recycle", "state set", "state delete"}
    assert not changing & {"status", "workers", "stacks", "config", "config diff", "state get", "topics", "pools"}


def test_to_show_the_level_changes_nothing():
    command = BY_NAME["log level"]
    assert [command.access_for(each) for each in ({}, {"level": None}, {"level": "debug"})] == [LOOK, LOOK, CHANGE]


def test_levels_are_those_of_the_option():
    from hornbeamd.config.options import TABLE as OPTIONS

    (option,) = (option for option in OPTIONS if option.key == "log.level")
    assert option.kind.words == LEVELS


# --- the command line ---


def read(line: str) -> tuple[str, dict[str, object]]:
    found = parse(line.split())
    return found.command.name, found.arguments


@pytest.mark.parametrize(
    ("line", "name", "arguments"),
    [
        ("status", "status", {}),
        ("reload", "reload", {"every": False}),
        ("reload --all", "reload", {"every": True}),
        ("--all reload", "reload", {"every": True}),
        ("scale 4", "scale", {"number": "4"}),
        ("scale +1", "scale", {"number": "+1"}),
        ("scale -1", "scale", {"number": "-1"}),
        ("recycle embeddings/2", "recycle", {"process": "embeddings/2"}),
        ("config", "config", {}),
        ("config diff", "config diff", {}),
        ("state get diff", "state get", {"key": "diff"}),
        ("state set k 1 --ttl 2m", "state set", {"key": "k", "value": "1", "ttl": 120.0}),
        ("state set k -1.5e3", "state set", {"key": "k", "value": "-1.5e3", "ttl": None}),
        ("state set k -- --ttl", "state set", {"key": "k", "value": "--ttl", "ttl": None}),
        ("state keys", "state keys", {"prefix": "", "limit": 1000}),
        ("state keys room: --limit=5", "state keys", {"prefix": "room:", "limit": 5}),
        ("log level", "log level", {"level": None}),
        ("log level debug", "log level", {"level": "debug"}),
        ("wait ready --timeout 500ms", "wait ready", {"timeout": 0.5}),
        ("top --once", "top", {"once": True, "interval": 2.0}),
        ("--version", "version", {}),
    ],
)
def test_a_line_is_read_as_its_row_says(line, name, arguments):
    assert read(line) == (name, arguments)
    command = BY_NAME[name]
    if command.operation:
        assert command.wrong_with(arguments) is None


def test_flags_of_every_command_stand_anywhere():
    line = parse(["--socket", "/a", "status", "--json", "-c", "b.toml"])
    assert (line.socket, line.json, line.config, line.help) == ("/a", True, "b.toml", False)
    assert parse(["status", "--socket=/a"]).socket == "/a"
    assert parse(["status", "-h"]).help
    assert parse(["-h"]).command is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "which command?"),
        ("reloat", 'no command; did you mean "reload"?'),
        ("state", "there is state get, state set, state delete, state keys, state size"),
        ("state put", '"state put" is no command'),
        ("status now", '"now" is one too many; usage: hornbeamctl status'),
        ("scale", "N is missing; usage: hornbeamctl scale N"),
        ("scale many", 'N: got "many"; expected a number such as 4, +1 or -1'),
        ("scale \u0663", "expected a number such as 4"),
        ("state set k -x", '-x is no flag of state set; what is none, and begins with a dash, goes behind "--"'),
        ("recycle a/b", "expected the ID of a worker"),
        ("log level loud", 'got "loud"; expected debug, info, warning or error'),
        ("reload --al", '--al is no flag of reload; did you mean "--all"?'),
        ("status --all", "--all is no flag of status"),
        ("reload --all=1", "--all takes no value"),
        ("status --socket", "--socket needs a value"),
        ("state keys --limit 0", "expected a whole number from 1 to 10000"),
        ("state keys --limit 9999999999999999999999", "expected a whole number"),
        ("wait ready --timeout soon", 'expected seconds from 0 to 86400, or a time such as "500ms"'),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(line, complaint):
    with pytest.raises(Misused) as error:
        parse(line.split())
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("reload", {"every": 1}, "'every' should be true or false"),
        ("reload", {"all": True}, "takes no argument 'all'"),
        ("scale", {}, "needs the argument 'number'"),
        ("scale", {"number": 4}, "'number' should be a number"),
        ("state keys", {"prefix": "", "limit": True}, "'limit' should be a whole number"),
        ("state set", {"key": "k", "value": "v", "ttl": float("nan")}, "'ttl' should be seconds"),
        ("log level", {"level": ["info"]}, "'level' should be debug"),
    ],
)
def test_what_comes_over_the_socket_is_checked(name, arguments, complaint):
    assert complaint in BY_NAME[name].wrong_with(arguments)


def test_an_answer_that_is_not_what_was_promised_is_found():
    command = BY_NAME["scale"]
    assert command.wrong_with_answer({"workers": 4, "before": 2}) is None
    assert "before" in command.wrong_with_answer({"workers": 4})
    assert "after" in command.wrong_with_answer({"workers": 4, "before": 2, "after": 1})
    assert "workers is str" in command.wrong_with_answer({"workers": "4", "before": 2})


# --- what is written from it ---


def test_generated_files_are_what_the_table_says():
    for name, text in render.generated().items():
        assert (ROOT / name).read_text() == text, f"{name} is stale: run scripts/render"


def test_the_man_page_has_every_command_argument_and_code():
    page = render.generated()["man/hornbeamctl.1"].replace("\\-", "-")
    for command in TABLE:
        assert f"\n.B {command.usage}\n" in page
        assert all(f"\n.B {argument.flag or argument.metavar}" in page for argument in command.arguments)
    for code, text in codes.MEANINGS:
        assert f"\n.B {code}\n{text}\n" in page


def complete(*words: str) -> set[str]:
    """What bash offers for a line that ends with the last of *words*, which is begun or empty."""
    script = completion.script("bash")
    line = " ".join(f"'{word}'" for word in ("hornbeamctl", *words))
    ask = f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; _hornbeamctl; printf "%s\\n" "${{COMPREPLY[@]}}"'
    run = ["bash", "--norc", "-c", f"{script}\n{ask}"]
    return set(subprocess.run(run, check=True, capture_output=True, text=True).stdout.split())


def test_bash_completes_commands_arguments_and_flags():
    first = {command.name.partition(" ")[0] for command in TABLE}
    assert {word for word in complete("") if not word.startswith("-")} == first
    assert complete("st") == {"status", "stop", "stacks", "state"}
    assert complete("--json", "-c", "x.toml", "state", "") >= {"get", "set", "delete", "keys", "size"}
    assert complete("reload", "--a") == {"--all"}
    assert complete("log", "level", "de") == {"debug"}
    assert complete("completion", "z") == {"zsh"}


def test_every_shell_knows_every_flag_and_word():
    for shell in ("bash", "zsh", "fish"):
        script = completion.script(shell)
        for command in TABLE:
            for argument in command.arguments:
                wanted = [argument.flag, *argument.kind.words] if argument.flag else argument.kind.words
                for word in wanted:
                    assert re.search(rf"\b{re.escape(word.lstrip('-'))}\b", script), (shell, word)
        values = {a.flag for c in TABLE for a in c.arguments if a.flag and not isinstance(a.kind, Switch)}
        assert all(flag in script for flag in values)
