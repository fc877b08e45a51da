"""The fields that the server adds to every response: Date and Server (RFC 9110, sections 6.6.1 and 10.2.4)."""

from __future__ import annotations

from email.utils import formatdate

from hornbeamd.http.rules import ResponseFields


class Stamp:
    """Those fields as one protocol version writes them; renewed once a second."""

    __slots__ = ("_date", "_rules", "_server", "whole")

    def __init__(self, rules: ResponseFields, server: bool) -> None:
        self._rules = rules
        self._server = rules.render(b"server", b"hornbeamd") if server else b""
        self.whole = b""
        """Both."""
        self._date = b""

    def renew(self, second: int) -> None:
        """Render them for *second* of Unix time."""
        self._date = self._rules.render(b"date", formatdate(second, usegmt=True).encode("ascii"))
        self.whole = self._date + self._server

    def without(self, date: bool, server: bool) -> bytes:
        """The fields, but for those that the application has set itself."""
        return (b"" if date else self._date) + (b"" if server else self._server)
