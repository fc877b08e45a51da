"""The access log: one line for every exchange, when it is over.

A format is compiled once into a template and the functions that fill it (``formats.py``). Lines wait in
memory until :meth:`AccessLog.flush`, which the server calls with every tick of its clock, or until there are
64 KiB of them.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from hornbeamd.config.log import LogOptions
from hornbeamd.observe.formats import Clock, compile_format
from hornbeamd.observe.sink import Sink

if TYPE_CHECKING:
    from hornbeamd.http.exchange import Exchange

log = logging.getLogger("hornbeamd.access")

_FULL = 65536


class AccessLog:
    """Writes the access log of one worker. Used on the thread of the event loop only.

    Raises OSError when the file cannot be opened, ValueError when the format is not one.
    """

    def __init__(self, options: LogOptions) -> None:
        self._clock = Clock()
        self._format = compile_format(options.access_format, self._clock)
        self._sink = Sink(None, 1) if options.access == "-" else Sink(options.access)
        self._lines: list[str] = []
        self._size = 0
        self._lost = 0

    def record(self, exchange: Exchange, now: float) -> None:
        """Take note of *exchange*, which is over *now* (seconds of ``time.monotonic``)."""
        second = int(time.time())
        if second != self._clock.second:
            self._clock.set(second)
        line = self._format(exchange, now - exchange.began)
        self._lines.append(line)
        self._size += len(line)
        if self._size > _FULL:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait."""
        if not self._lines:
            return
        data = "".join(self._lines).encode()
        self._lines.clear()
        self._size = 0
        written = self._sink.write(data)
        if written < len(data):
            if not self._lost:
                log.error("access log cannot be written", extra={"fields": self._facts()})
            self._lost += data.count(b"\n", written)
        elif self._lost:
            fields = {"lines": self._lost, **self._facts()}
            log.warning("access log lines were lost", extra={"fields": fields})
            self._lost = 0

    def _facts(self) -> dict[str, object]:
        return {"file": self._sink.path or "-", "error": str(self._sink.error)}

    def reopen(self) -> None:
        """Open the file again under its name, after a rotation; where that fails the old one stays in use."""
        self.flush()
        try:
            self._sink.reopen()
        except OSError as error:
            fields = {"file": self._sink.path, "error": str(error)}
            log.error("access log cannot be opened again, the old one stays in use", extra={"fields": fields})

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush()
        self._sink.close()
