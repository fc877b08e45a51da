"""Where a server listens, as text: ``127.0.0.1:8000``, ``[::1]:8000``, ``:8000``, ``unix:/run/app.sock``, ``fd://3``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

OPENED = 'an address such as "127.0.0.1:8000", "[::1]:8000", ":8000" or "unix:/run/app.sock"'
FORMS = 'an address such as "127.0.0.1:8000", "[::1]:8000", ":8000", "unix:/run/app.sock" or "fd://3"'

# sockaddr_un holds 108 bytes on Linux and 104 on macOS, one of them for the final NUL (unix(7)).
MAX_UNIX_PATH = 103

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_ONLY_DIGITS = re.compile(r"[\d.]+")


@dataclass(frozen=True, slots=True)
class Address:
    """One place to listen at; ``str()`` gives back the text that ``parse`` reads.

    ``kind`` is ``tcp`` (``host`` and ``port``; an empty host means all interfaces, port 0 lets the system
    choose), ``unix`` (``path``) or ``fd`` (``fd``, a listening socket inherited from whoever started us).
    A host name is kept as it is written; it is resolved when the socket is bound.
    """

    kind: Literal["tcp", "unix", "fd"]
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address. Raises ValueError saying what is wrong with it."""
        if text.startswith("unix:"):
            return cls(kind="unix", path=_unix_path(text.removeprefix("unix:")))
        if text.startswith("fd://"):
            return cls(kind="fd", fd=_number(text.removeprefix("fd://"), "file descriptor", 2**20))
        host, colon, port = text.rpartition(":")
        if not colon:
            raise ValueError("the port is missing")
        return cls(kind="tcp", host=_host(host), port=_number(port, "port", 65535))

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        if self.kind == "fd":
            return f"fd://{self.fd}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _unix_path(path: str) -> str:
    if not path:
        raise ValueError("the path of the socket is missing")
    if "\0" in path:
        raise ValueError("the path of the socket holds a NUL byte")
    if len(path.encode(errors="surrogateescape")) > MAX_UNIX_PATH:
        raise ValueError(f"the path of the socket is longer than the {MAX_UNIX_PATH} bytes that systems allow")
    return path


def _number(text: str, what: str, limit: int) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"the {what} is not a number")
    if len(text) > 7 or int(text) > limit:
        raise ValueError(f"the {what} is above {limit}")
    return int(text)


def _host(text: str) -> str:
    """Check the host part, without its brackets. Whether a name exists only the network can tell."""
    if text.startswith("[") and text.endswith("]"):
        return str(ipaddress.IPv6Address(text[1:-1]))
    if ":" in text:
        raise ValueError("an IPv6 address stands in brackets")
    if not text:
        return text
    if _ONLY_DIGITS.fullmatch(text):
        return str(ipaddress.IPv4Address(text))
    if not _HOST_NAME.fullmatch(text):
        raise ValueError("the host is neither an IP address nor a name")
    return text
