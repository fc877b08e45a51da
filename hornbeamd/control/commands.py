"""The one table of commands. To add one, write its row here and its method in ``operations.py``.

From it come: the parser and the help of ``hornbeamctl``, its man page and shell completion, who may ask what, the call
of the operation, and the check of what it gives.
"""

from __future__ import annotations

from hornbeamd.control import codes, screens
from hornbeamd.control.arguments import Argument, Choice, Kind, Matching, Number, Seconds, Switch
from hornbeamd.control.command import CHANGE, Command, Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEVELS = ("debug", "info", "warning", "error")
SHELLS = ("bash", "zsh", "fish")

_NONE = type(None)
_PROCESS = Matching(
    r"\d{1,6}|[^/\s]{1,200}/\d{1,6}", "the ID of a worker (3), or of a process of a pool (embeddings/1)"
)

_RELOADED: Shape = (
    ("road", (str,), '"swapped", "replaced", "unchanged" or "refused"'),
    ("generation", (int,), "the version of the code that serves now"),
    ("why", (str,), "in a line: why processes were replaced, or what is wrong"),
    ("changed", (dict,), 'the options that changed: "live", by "workers", and those that need a "restart"'),
    ("steps", (list, tuple), 'what each process came to: "pool", "number", "pid", "result", "modules", "ms"'),
    ("problems", (list, tuple), "of a refusal: the traceback, or what is wrong with the configuration"),
    ("ms", (int,), "how long it took"),
    ("at", (float,), "when it was over, in seconds since 1970"),
)


def _refused(answer: dict[str, Any]) -> int:
    return codes.FAILED if answer["road"] == "refused" else codes.OK


def _diff_has_problems(answer: dict[str, Any]) -> int:
    return codes.FAILED if answer["problems"] else codes.OK


def _not_found(answer: dict[str, Any]) -> int:
    return codes.OK if answer["found"] else codes.FAILED


TABLE: tuple[Command, ...] = (
    Command(
        "status",
        "Show how the server is.",
        "Since when it runs, what serves, and how the last reload went: one that failed stays here until the next good"
        " one.",
        operation="status",
        answer=(
            ("state", (str,), '"starting", "serving", "reloading", "not serving" or "stopping"'),
            ("version", (str,), "of hornbeamd"),
            ("pid", (int,), "of the supervisor"),
            ("uptime_s", (float, int), "seconds since its start"),
            ("config", (str, _NONE), "the configuration file"),
            ("app", (str,), "the application"),
            ("listening", (list,), "the addresses"),
            ("generation", (int,), "the version of the code that serves"),
            ("workers", (dict,), '"wanted", and how many are "serving", "booting", "draining"'),
            ("pools", (list,), 'the same for each pool, with its "name"'),
            ("in_flight", (int,), "requests in hand"),
            ("connections", (int,), "open connections"),
            ("hub", (dict,), 'the "pid" of the hub, null while it is not up'),
            ("last_reload", (dict, _NONE), 'what "reload" or "restart" answered the last time'),
        ),
        show=screens.status,
    ),
    Command(
        "workers",
        "List the workers and the processes of pools.",
        operation="workers",
        answer=(
            (
                "processes",
                (list,),
                'of each: "id", "pool", "number", "pid", "generation", "state", "note", "in_flight", "connections",'
                ' "requests", "uptime_s", "cpu_s", "memory"',
            ),
        ),
        show=screens.workers,
    ),
    Command(
        "reload",
        "Bring in new code and configuration; no connection is dropped.",
        "Waits until it is done, and shows what each process came to. When anything fails, everything is as it was, and"
        " what is wrong is shown.",
        operation="reload",
        access=CHANGE,
        arguments=(
            Argument("every", Switch(), "Load every module anew, not only what changed.", flag="--all", default=False),
        ),
        answer=_RELOADED,
        show=screens.reloaded,
        step=screens.step,
        code=_refused,
        failing="the reload was refused",
    ),
    Command(
        "restart",
        "Replace all processes by new ones; no connection is refused.",
        "The new ones are ready before the old ones drain. The supervisor itself goes on.",
        operation="restart",
        access=CHANGE,
        answer=_RELOADED,
        show=screens.restarted,
        step=screens.step,
        code=_refused,
        failing="the new processes do not come up; the old ones go on",
    ),
    Command(
        "upgrade",
        "Replace the daemon itself, as after an update; no connection is refused.",
        "The new daemon takes over the listening sockets. When it does not come up, the old one goes on.",
        operation="upgrade",
        access=CHANGE,
        answer=(
            ("version", (str,), "that runs now"),
            ("pid", (int,), "of the new supervisor"),
        ),
        show=lambda answer: [f"hornbeamd {answer['version']} serves, process {answer['pid']}"],
        failing="the new daemon does not come up; the old one goes on",
    ),
    Command(
        "stop",
        "Stop the daemon, and wait for its end.",
        "It accepts nothing new and finishes the requests in hand, within graceful_timeout.",
        operation="stop",
        access=CHANGE,
        arguments=(Argument("at_once", Switch(), "Cut what is in hand.", flag="--now", default=False),),
        answer=(("pid", (int,), "of the supervisor, which is about to end"),),
        show=lambda answer: [f"process {answer['pid']} ends"],
    ),
    Command(
        "scale",
        "Have so many workers, or so many more or fewer.",
        "Until the next reload, which goes back to the number in the configuration.",
        operation="scale",
        access=CHANGE,
        arguments=(
            Argument(
                "number",
                Matching(r"[+-]?\d{1,6}", "a number such as 4, +1 or -1"),
                "The number, or +N or -N.",
                metavar="N",
            ),
        ),
        answer=(("workers", (int,), "how many are wanted now"), ("before", (int,), "how many were wanted")),
        show=screens.scaled,
    ),
    Command(
        "recycle",
        "Replace one process.",
        "The new one is ready before the old one drains.",
        operation="recycle",
        access=CHANGE,
        arguments=(Argument("process", _PROCESS, 'Its ID, as "workers" shows it.', metavar="ID"),),
        answer=(("id", (str,), "the process"), ("pid", (int,), "the process id that it has until then")),
        show=lambda answer: [f"{answer['id']} (process {answer['pid']}) drains as soon as a new one serves"],
    ),
    Command(
        "stacks",
        "Show what the threads and tasks of a process are doing.",
        "Of one whose event loop is blocked, the stacks of its threads alone.",
        operation="stacks",
        arguments=(Argument("process", _PROCESS, 'Its ID, as "workers" shows it.', metavar="ID"),),
        answer=(
            ("id", (str,), "the process"),
            ("pid", (int,), "its process id"),
            ("blocked", (bool,), "whether its event loop did not answer"),
            ("threads", (list,), 'of each: "name", and "stack", its lines'),
            ("tasks", (list,), "likewise, the tasks of its event loop"),
            ("text", (str,), "when it is blocked: the stacks as faulthandler writes them"),
        ),
        show=screens.stacks,
    ),
    Command(
        "config",
        "Show each option: its value, where it comes from, and how a change applies.",
        operation="configuration",
        answer=(
            ("file", (str, _NONE), "the configuration file"),
            (
                "options",
                (list,),
                'of each: "key", "value", "default", "source", "apply" ("live", "workers" or "restart")',
            ),
        ),
        show=screens.configuration,
    ),
    Command(
        "config diff",
        "Show what a reload would change, and how; or what is wrong with the configuration.",
        operation="configuration_diff",
        answer=(
            ("changes", (list,), 'of each option that differs: "key", "from", "to", "apply"'),
            ("problems", (list,), "what is wrong"),
        ),
        show=screens.configuration_diff,
        code=_diff_has_problems,
        failing="the configuration has errors, so a reload would be refused",
    ),
    Command(
        "state get",
        "Show a value of the state.",
        operation="state_get",
        arguments=(Argument("key", Kind(), "A key that is text.", metavar="KEY"),),
        answer=(
            ("found", (bool,), "whether there is one"),
            ("type", (str,), "its type in Python"),
            ("value", (dict, list, str, int, float, bool, _NONE), "the value, where JSON can hold it"),
            ("text", (str, _NONE), "where it cannot: as Python shows it"),
        ),
        show=screens.state_get,
        code=_not_found,
        failing="there is no such key",
    ),
    Command(
        "state set",
        "Store a value in the state.",
        "What is JSON is stored as what it stands for: a number, true, null, a list, an object, or text in quotes."
        " Anything else is text.",
        operation="state_set",
        access=CHANGE,
        arguments=(
            Argument("key", Kind(), "The key.", metavar="KEY"),
            Argument("value", Kind(), "JSON, or text.", metavar="VALUE"),
            Argument("ttl", Seconds(0.001, 1e10), "Forget it after so long.", flag="--ttl", default=None),
        ),
        answer=(("type", (str,), "the type in Python that it was stored as"),),
        show=lambda answer: [],
    ),
    Command(
        "state delete",
        "Remove an entry from the state.",
        operation="state_delete",
        access=CHANGE,
        arguments=(Argument("key", Kind(), "A key that is text.", metavar="KEY"),),
        answer=(("found", (bool,), "whether there was one"),),
        show=screens.state_delete,
        code=_not_found,
        failing="there is no such key",
    ),
    Command(
        "state keys",
        "List the keys of the state.",
        operation="state_keys",
        arguments=(
            Argument("prefix", Kind(), "Only keys that are text and begin with this.", metavar="PREFIX", default=""),
            Argument("limit", Number(1, 10_000), "Show so many (1000).", flag="--limit", default=1000),
        ),
        answer=(
            ("keys", (list,), 'of each: "key" (as Python shows it, if it is no text) and "type"'),
            ("total", (int,), "how many there are"),
        ),
        show=screens.state_keys,
    ),
    Command(
        "state size",
        "Show how many entries the state has, and how much of its room they take.",
        operation="state_size",
        answer=(
            ("entries", (int,), "how many there are"),
            ("bytes", (int,), "what they take"),
            ("max_bytes", (int,), "what they may take"),
        ),
        show=screens.state_size,
    ),
    Command(
        "topics",
        "List the topics that are subscribed to, and who missed messages.",
        operation="topics",
        answer=(
            ("topics", (list,), 'of each: "topic", "subscribers", and how many messages these have "missed"'),
            ("clients", (list,), 'each process that is connected: "who", "pid", and how many messages it has "missed"'),
            ("totals", (dict,), 'since the hub started: "published", "delivered", "missed"'),
        ),
        show=screens.topics,
    ),
    Command(
        "pools",
        "List the pools, and the calls that they have in hand and that wait.",
        operation="pools",
        answer=(
            (
                "pools",
                (list,),
                'of each: "name", "handler", "wanted", "serving", "booting", "draining", and its calls, "in_hand" and'
                ' "waiting" (null while the hub is not up)',
            ),
        ),
        show=screens.pools,
    ),
    Command(
        "log level",
        "Show the level of the event log, or change it until the next reload.",
        operation="log_level",
        arguments=(
            Argument(
                "level",
                Choice(*LEVELS),
                "The least serious event to log.",
                metavar="LEVEL",
                default=None,
                changes=True,
            ),
        ),
        answer=(("level", (str,), "the level now"),),
        show=lambda answer: [answer["level"]],
    ),
    Command(
        "top",
        "Watch the server, as top(1) watches a machine.",
        "q or Ctrl-C ends it. On a pipe it writes one screen after the other.",
        arguments=(
            Argument("once", Switch(), "Show one screen and end.", flag="--once", default=False),
            Argument(
                "interval", Seconds(0.1, 3600), "The time between two screens (2 s).", flag="--interval", default=2.0
            ),
        ),
    ),
    Command(
        "wait ready",
        "Wait until the server answers requests, also for a daemon that has yet to start.",
        operation="wait_ready",
        arguments=(Argument("timeout", Seconds(0, 86400), "How long (60 s).", flag="--timeout", default=60.0),),
        answer=(("pid", (int,), "of the supervisor"),),
        show=lambda answer: [f"ready (process {answer['pid']})"],
    ),
    Command(
        "version",
        "Show the version of hornbeamctl, and of the daemon if it can be reached.",
        operation="version",
        answer=(
            ("version", (str,), "of hornbeamd"),
            ("pid", (int,), "of the supervisor"),
            ("config", (str, _NONE), "the configuration file"),
            ("app", (str,), "the application"),
            ("listening", (list,), "the addresses"),
        ),
        show=screens.version,
    ),
    Command(
        "completion",
        "Print what a shell needs to complete commands.",
        "For bash: source <(hornbeamctl completion bash)",
        arguments=(Argument("shell", Choice(*SHELLS), "The shell.", metavar="SHELL"),),
    ),
)

BY_NAME = {command.name: command for command in TABLE}
