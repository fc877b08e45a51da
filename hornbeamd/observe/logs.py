"""The event log: what the server has to say, as text for people or as JSON lines for machines.

Everything goes through the standard logger ``hornbeamd`` and its children; the root logger, and with it what
the application does with logging, is left alone. A message is a short sentence, its facts are fields::

    log.info("worker ready", extra={"fields": {"worker": 1, "boot_ms": 31}})

    2026-11-21T09:36:12.123Z info    supervisor[4240] supervisor: worker ready worker=1 boot_ms=31
    {"time":"2026-11-21T09:36:12.123Z","level":"info","role":"supervisor","pid":4240,"area":"supervisor",
     "message":"worker ready","fields":{"worker":1,"boot_ms":31}}                       (on one line)

In text the fields ``traceback`` and ``stacks`` stand below their line, indented, as the traceback of an
exception does. Nothing else spans lines, and only the first line of a record has anything in the first column.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from hornbeamd.config.log import LogOptions
from hornbeamd.observe.escape import plain, printable, quoted
from hornbeamd.observe.sink import Sink

NAME = "hornbeamd"
BLOCKS = frozenset({"traceback", "stacks"})
"""Fields that are texts of many lines."""

log = logging.getLogger(NAME)
_formatter = logging.Formatter()  # for tracebacks


def setup(options: LogOptions, role: str, owner: tuple[int, int] | None = None) -> None:
    """Send the event log where *options* say, each record marked with *role*, such as "worker 1".

    May be called again, as after a fork; the last call counts. A log file is given to *owner* (uid, gid), so
    that workers that drop to that user can write to it. Raises OSError when the file cannot be opened.
    """
    sink = Sink(options.file, 2 if sys.__stderr__ is not None else -1, owner)
    handler = LogHandler(sink, _json_line if options.format == "json" else _text_lines, role)
    for old in log.handlers[:]:
        log.removeHandler(old)
        old.close()
    log.addHandler(handler)
    log.setLevel(options.level.upper())
    log.propagate = False


def change(options: LogOptions, role: str) -> None:
    """Like :func:`setup` in a process that logs already: a file that cannot be opened leaves the old one in use."""
    try:
        setup(options, role)
    except OSError as error:
        fields = {"file": options.file, "error": str(error)}
        log.error("log file cannot be opened, the old one stays in use", extra={"fields": fields})


def reopen() -> None:
    """Open the log file again under its name, after a rotation; where that fails the old one stays in use."""
    for handler in log.handlers:
        if isinstance(handler, LogHandler):
            handler.reopen()


class LogHandler(logging.Handler):
    """Writes records to a sink, one write each, and never raises into the code that logs."""

    def __init__(self, sink: Sink, render: Callable[[logging.LogRecord, str], str], role: str) -> None:
        super().__init__()
        self._sink = sink
        self._render = render
        self._role = role
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._lost and self._put(self._report()):
                self._lost = 0
            if not self._put(record):
                self._lost += 1
        except Exception:  # a field whose str() raises, for one
            self.handleError(record)

    def _put(self, record: logging.LogRecord) -> bool:
        data = self._render(record, self._role).encode("utf-8", "backslashreplace")
        return self._sink.write(data) == len(data)

    def _report(self) -> logging.LogRecord:
        fields = {"records": self._lost, "error": str(self._sink.error)}
        record = logging.LogRecord(NAME, logging.WARNING, "", 0, "log records were lost", None, None)
        record.fields = fields
        return record

    def reopen(self) -> None:
        """Open the file again under its name."""
        self.acquire()
        try:
            self._sink.reopen()
        except OSError as error:
            fields = {"file": self._sink.path, "error": str(error)}
            log.error("log file cannot be opened again, the old one stays in use", extra={"fields": fields})
        finally:
            self.release()

    def close(self) -> None:
        self._sink.close()
        super().close()


# --- rendering ---


def _text_lines(record: logging.LogRecord, role: str) -> str:
    fields = _fields(record)
    blocks = [str(fields.pop(name)) for name in BLOCKS & fields.keys()]
    words = [
        f"{_stamp(record.created)} {record.levelname.lower():<7} {printable(role)}[{record.process}]"
        f" {printable(_area(record))}: {printable(_message(record))}",
        *(f"{printable(str(name))}={_word(value)}" for name, value in fields.items()),
    ]
    blocks += _traces(record)
    indented = (("    " + printable(line)).rstrip() for block in blocks for line in block.rstrip("\n").split("\n"))
    return "\n".join((" ".join(words), *indented, ""))


def _word(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    value = plain(value)
    return quoted(value) if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _json_line(record: logging.LogRecord, role: str) -> str:
    entry: dict[str, Any] = {
        "time": _stamp(record.created),
        "level": record.levelname.lower(),
        "role": role,
        "pid": record.process,
        "area": _area(record),
        "message": _message(record),
    }
    if fields := _fields(record):
        entry["fields"] = fields
    if traces := _traces(record):
        entry["traceback"] = "\n".join(traces)
    return json.dumps(plain(entry), separators=(",", ":")) + "\n"


def _stamp(moment: float) -> str:
    """UTC with milliseconds, as in RFC 3339."""
    milliseconds = int(moment * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000)) + f".{milliseconds % 1000:03}Z"


def _area(record: logging.LogRecord) -> str:
    return record.name.removeprefix(NAME + ".")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit: a log line with a flaw is better than none
        return f"{record.msg} {record.args!r}"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return dict(fields) if isinstance(fields, dict) else {}


def _traces(record: logging.LogRecord) -> list[str]:
    traces = []
    if record.exc_info and record.exc_info[0] is not None:
        traces.append(_formatter.formatException(record.exc_info))
    elif record.exc_text:
        traces.append(record.exc_text)
    if record.stack_info:
        traces.append(record.stack_info)
    return traces
