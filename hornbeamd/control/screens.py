"""Answers as people read them: lines of plain text, columns aligned, made for 80 characters.

What comes from outside (names, keys, values) cannot break a line or speak to the terminal: whoever prints a line makes
it printable first (``client.py``).
"""

from __future__ import annotations

import json
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    Plain = dict[str, Any]

LONGEST_VALUE = 24


# --- parts ---


def table(head: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> list[str]:
    """Columns under their names, aligned to the left, or where the letter in *right* is "r" to the right."""
    texts = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    right = right.ljust(len(head), "l")
    return ["  ".join(_cell(*each) for each in zip(row, widths, right, strict=True)).rstrip() for row in texts]


def _cell(text: str, width: int, side: str) -> str:
    return text.rjust(width) if side == "r" else text.ljust(width)


def pairs(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Names and what belongs to them; what is empty is left out."""
    shown = [(name, text) for name, text in rows if text]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{name.ljust(width)}  {text}" for name, text in shown]


def duration(seconds: float) -> str:
    """A time in one or two units: ``42s``, ``3m 20s``, ``5h 1m``, ``12d 3h``."""
    left = max(0, int(seconds))
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    for place, (unit, size) in enumerate(units):
        if left >= size:
            whole, rest = divmod(left, size)
            if place + 1 < len(units) and (smaller := rest // units[place + 1][1]):
                return f"{whole}{unit} {smaller}{units[place + 1][0]}"
            return f"{whole}{unit}"
    return "0s"


def size(number: int) -> str:
    """Bytes, as ``sys.toml`` takes them: ``512B``, ``38MiB``, ``1.4GiB``."""
    value, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1000:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}{unit}" if value < 10 and unit != "B" else f"{value:.0f}{unit}"


def milliseconds(number: int) -> str:
    """A short time: ``85 ms``, ``3.2 s``."""
    return f"{number} ms" if number < 1000 else f"{number / 1000:.1f} s"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """``1 worker``, ``3 workers``."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _many(crowd: Plain) -> str:
    """``4 of 4 serve, 1 boots, 2 drain``."""
    parts = [f"{crowd['serving']} of {crowd['wanted']} serving"]
    parts += [f"{crowd[state]} {state}" for state in ("booting", "draining") if crowd[state]]
    return ", ".join(parts)


# --- the server ---


def status(answer: Plain) -> list[str]:
    last = answer["last_reload"]
    lines = pairs(
        [
            ("state", f"{answer['state']}, generation {answer['generation']}"),
            ("daemon", f"hornbeamd {answer['version']}, process {answer['pid']}, up {duration(answer['uptime_s'])}"),
            ("configuration", answer["config"] or "no file"),
            ("application", answer["app"]),
            ("listening", " ".join(answer["listening"])),
            ("workers", _many(answer["workers"])),
            *((f"pool {pool['name']}", _many(pool)) for pool in answer["pools"]),
            ("hub", f"process {answer['hub']['pid']}" if answer["hub"]["pid"] else "not up"),
            (
                "load",
                f"{plural(answer['in_flight'], 'request')} in hand, {plural(answer['connections'], 'connection')}",
            ),
            ("last reload", _last_reload(last) if last else ""),
        ]
    )
    return [*lines, *_problems(last)] if last else lines


def _last_reload(last: Plain) -> str:
    when = f"{duration(time.time() - last['at'])} ago"
    if last["road"] == "refused":
        return f"FAILED {when}: {last['why']}; generation {last['generation']} goes on"
    return f"{when}, {last['road']} in {milliseconds(last['ms'])}"


def _problems(outcome: Plain) -> list[str]:
    """What a refusal has to say beyond its one line."""
    if outcome["road"] != "refused":
        return []
    told = [text for text in outcome["problems"] if "\n" in text or not text.endswith(outcome["why"])]
    return ["", *_indented(told)] if told else []


def _indented(texts: Iterable[str]) -> list[str]:
    return [f"    {line}".rstrip() for text in texts for line in text.splitlines()]


def workers(answer: Plain) -> list[str]:
    head = ("ID", "PID", "GEN", "STATE", "BUSY", "CONN", "REQUESTS", "MEMORY", "UP", "NOTE")
    rows = (
        (
            each["id"],
            _or_dash(each["pid"]),
            each["generation"],
            each["state"],
            _or_dash(each["in_flight"]),
            _or_dash(each["connections"]),
            _or_dash(each["requests"]),
            "-" if each["memory"] is None else size(each["memory"]),
            duration(each["uptime_s"]).replace(" ", ""),
            each["note"],
        )
        for each in answer["processes"]
    )
    return table(head, rows, "lrrlrrrrrl")


def _or_dash(number: int | None) -> object:
    return "-" if number is None else number


def scaled(answer: Plain) -> list[str]:
    return [f"{plural(answer['workers'], 'worker')} wanted, {answer['before']} before"]


def stacks(answer: Plain) -> list[str]:
    if answer["blocked"]:
        lines = [
            f"{answer['id']} (process {answer['pid']}): its event loop does not answer; the stacks of its threads:"
        ]
        return [*lines, "", *answer["text"].splitlines()]
    lines = [f"{answer['id']} (process {answer['pid']})"]
    for noun, found in (("thread", answer["threads"]), ("task", answer["tasks"])):
        for each in found:
            lines += ["", f"{noun} {each['name']}", *(f"  {line}" for line in each["stack"])]
    return lines


def version(answer: Plain) -> list[str]:
    return [f"hornbeamd   {answer['version']}  (the daemon, process {answer['pid']})"]


# --- reloads ---


def step(progress: Plain) -> str:
    who = f"{progress['pool']}/{progress['number']}" if progress["pool"] else f"worker {progress['number']}"
    facts = f"process {progress['pid']}"
    if progress["modules"]:
        facts += f", {plural(len(progress['modules']), 'module')}"
    if progress["ms"]:
        facts += f", {milliseconds(progress['ms'])}"
    return f"{who}: {progress['result']} ({facts})"


def reloaded(answer: Plain) -> list[str]:
    """What a reload came to, why it did not go the shorter way, and what it does not look at."""
    more = []
    if answer["road"] == "replaced":
        more = [f"why not in place: {answer['why']}"]
    elif answer["road"] == "unchanged" and not answer["changed"].get("live"):
        more = ['only code and configuration were looked at: for templates and data there is "hornbeamctl restart"']
    return [*restarted(answer), *more]


def restarted(answer: Plain) -> list[str]:
    took, generation, changed = milliseconds(answer["ms"]), answer["generation"], answer["changed"]
    lines = []
    if answer["road"] == "refused":
        problems = _problems(answer)
        lines += [f"refused after {took}: {answer['why']}", *problems, *([""] if problems else [])]
        lines += [f"nothing has changed: generation {generation} goes on"]
    elif answer["road"] == "unchanged":
        idle = "" if changed.get("live") else "nothing to do: "
        lines += [f"{idle}{answer['why'] or 'nothing has changed'}; generation {generation} goes on"]
    else:
        done = "the code was exchanged in place" if answer["road"] == "swapped" else "all processes were replaced"
        lines += [f"{done} in {took}: generation {generation} serves"]
    if changed.get("live") and answer["road"] != "refused":
        lines += [f"changed at once: {', '.join(changed['live'])}"]
    if changed.get("restart"):
        lines += [f"kept until a restart of the daemon: {', '.join(changed['restart'])}"]
    return lines


# --- configuration ---

_APPLIES = {"live": "at once", "workers": "workers", "restart": "restart"}
"""How a change applies: at once, by new workers, by a restart of the daemon."""


def _cut(text: str) -> str:
    """What fits into a column; ``--json`` has the whole."""
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def configuration(answer: Plain) -> list[str]:
    rows = (
        (each["key"], _cut(_value(each["value"])), _APPLIES[each["apply"]], each["source"])
        for each in answer["options"]
    )
    return table(("OPTION", "VALUE", "APPLIES", "SOURCE"), rows)


def configuration_diff(answer: Plain) -> list[str]:
    if answer["problems"]:
        return ["a reload would be refused:", *_indented(answer["problems"])]
    if not answer["changes"]:
        return ["nothing differs"]
    changes = [(each["key"], _value(each["from"]), _value(each["to"]), each["apply"]) for each in answer["changes"]]
    rows = ((key, _cut(before), _cut(after), _APPLIES[apply]) for key, before, after, apply in changes)
    lines = table(("OPTION", "RUNS WITH", "WOULD BE", "APPLIES"), rows)
    for key, before, after, _ in changes:
        if max(len(before), len(after)) > LONGEST_VALUE:  # what differs may be in what was cut
            lines += ["", key, f"  - {before}", f"  + {after}"]
    return lines


# --- state, topics, pools ---


def state_get(answer: Plain) -> list[str]:
    if not answer["found"]:
        return ["there is no such key"]
    return [_value(answer["value"]) if answer["text"] is None else answer["text"]]


def state_delete(answer: Plain) -> list[str]:
    return [] if answer["found"] else ["there is no such key"]


def state_keys(answer: Plain) -> list[str]:
    lines = [each["key"] if each["type"] == "str" else f"{each['key']}  ({each['type']})" for each in answer["keys"]]
    if answer["total"] > len(lines):
        lines.append(f"... and {answer['total'] - len(lines)} more; see --limit")
    return lines


def state_size(answer: Plain) -> list[str]:
    used = f"{size(answer['bytes'])} of {size(answer['max_bytes'])}"
    return [f"{plural(answer['entries'], 'entry', 'entries')}, {used} in use"]


def topics(answer: Plain) -> list[str]:
    rows = [(each["subscribers"], each["missed"], each["topic"]) for each in answer["topics"]]
    lines = table(("SUBSCRIBERS", "MISSED", "TOPIC"), rows, "rrl") if rows else ["nobody subscribes to anything"]
    behind = [(each["who"], each["pid"], each["missed"]) for each in answer["clients"] if each["missed"]]
    if behind:
        lines += ["", *table(("PROCESS", "PID", "MISSED"), behind, "lrr")]
    totals = answer["totals"]
    words = f"{totals['published']} published, {totals['delivered']} delivered, {totals['missed']} missed"
    return [*lines, "", f"since the hub started: {words}"]


def pools(answer: Plain) -> list[str]:
    if not answer["pools"]:
        return ["no pools are configured"]
    head = ("POOL", "SERVING", "BOOTING", "DRAINING", "IN HAND", "WAITING", "HANDLER")
    rows = (
        (
            each["name"],
            f"{each['serving']}/{each['wanted']}",
            each["booting"],
            each["draining"],
            _or_dash(each["in_hand"]),
            _or_dash(each["waiting"]),
            each["handler"],
        )
        for each in answer["pools"]
    )
    return table(head, rows, "lrrrrrl")
