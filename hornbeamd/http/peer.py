"""Who is at the other end of a connection: known when it is opened, and the same for all of its exchanges."""

from __future__ import annotations

from typing import Any

ClientAddress = tuple[str, int] | None
"""Host and port; None where there is none, as at a Unix socket."""
ServerAddress = tuple[str, int | None] | None
"""Host and port, or the path of a Unix socket and None."""


class Peer:
    """The two addresses of a connection, its scheme, and how far the other end is to be believed."""

    __slots__ = ("client", "fresh", "scheme", "server", "tls", "trusted")

    def __init__(self, client: ClientAddress, server: ServerAddress, trusted: bool) -> None:
        self.client = client
        self.server = server
        self.trusted = trusted
        """What it says about the client (X-Forwarded-For and the like) is believed."""
        self.fresh = True
        """None of its requests has been looked at."""
        self.scheme = "http"
        self.tls: dict[str, Any] | None = None
        """With TLS: what ASGI's ``tls`` extension says of the connection. Shared: never changed."""
