"""The WSGI environment of a request (PEP 3333, "environ Variables")."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from hornbeamd.config.options import Options
from hornbeamd.http.exchange import Exchange, Request

# Header name -> key of the environ, or None for one that is not let in. Names come from clients: bounded.
_KEYS: dict[bytes, str | None] = {
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
    b"proxy": None,  # HTTP_PROXY would be taken for the outgoing proxy (httpoxy)
    b"transfer-encoding": None,  # the body is delivered decoded, and its end is marked
}
_BOUND = 1024


def _key(name: bytes) -> str | None:
    # An underscore would make two different headers one variable: X_Forwarded_For could forge X-Forwarded-For.
    key = None if b"_" in name else "HTTP_" + name.decode("ascii").upper().replace("-", "_")
    if len(_KEYS) < _BOUND:
        _KEYS[name] = key
    return key


class Environ:
    """Makes the environ of each request from what is the same for all of them.

    *mount* is the prefix that the application is mounted at, which all its paths begin with.
    """

    def __init__(self, options: Options, file_wrapper: type, mount: str = "") -> None:
        # The bytes of the path that belong to SCRIPT_NAME.
        self._skip = len(mount.encode())
        self.base: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": options.threads > 1,
            "wsgi.multiprocess": options.workers > 1,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": file_wrapper,
            "SCRIPT_NAME": (options.root_path + mount).encode().decode("latin-1"),  # as PATH_INFO below
        }

    def of(self, exchange: Exchange) -> dict[str, Any]:
        """Return the environ of *exchange*, but for ``wsgi.input`` and ``wsgi.early_hints``."""
        request = exchange.request
        environ: dict[str, Any]
        if request.shared:
            derived = request.derived
            if derived is None or derived[0] is not self:
                derived = request.derived = (self, self._environ(request))
            environ = derived[1].copy()
        else:
            environ = self._environ(request)
        scheme = environ["wsgi.url_scheme"] = exchange.scheme
        if scheme == "https":
            environ["HTTPS"] = "on"
        if exchange.prefix:
            environ["SCRIPT_NAME"] = exchange.prefix + environ["SCRIPT_NAME"]
        self._add_addresses(environ, exchange)
        if exchange.peer.tls is not None:
            self._add_certificate(environ, exchange.peer.tls)
        return environ

    def _environ(self, request: Request) -> dict[str, Any]:
        environ = self.base.copy()
        environ["REQUEST_METHOD"] = request.method
        path = request.raw_path
        plain = path.isascii() and b"%" not in path
        # PEP 3333, "Unicode Issues": bytes, each as the character of the same number.
        text = request.path if plain else unquote_to_bytes(path).decode("latin-1")
        environ["PATH_INFO"] = text[self._skip :] if self._skip else text
        environ["QUERY_STRING"] = request.query.decode("latin-1")
        environ["SERVER_PROTOCOL"] = f"HTTP/{request.http_version}"
        environ["REQUEST_URI"] = environ["RAW_URI"] = request.target.decode("latin-1")
        for name, value in request.headers:
            key = _KEYS[name] if name in _KEYS else _key(name)
            if key is None:
                continue
            text = value.decode("latin-1")
            if key in environ:
                text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
            environ[key] = text
        return environ

    @staticmethod
    def _add_addresses(environ: dict[str, Any], exchange: Exchange) -> None:
        server = exchange.server
        if server is None or server[1] is None:  # a Unix socket has no port
            environ["SERVER_NAME"] = "localhost"
            environ["SERVER_PORT"] = "443" if exchange.scheme == "https" else "80"
        else:
            environ["SERVER_NAME"], environ["SERVER_PORT"] = server[0], str(server[1])
        if exchange.client is not None:
            environ["REMOTE_ADDR"] = exchange.client[0]
            environ["REMOTE_PORT"] = str(exchange.client[1])
        else:
            environ["REMOTE_ADDR"] = ""

    @staticmethod
    def _add_certificate(environ: dict[str, Any], tls: dict[str, Any]) -> None:
        """Add what mod_ssl made usual; clients cannot forge it, for their fields begin with ``HTTP_``."""
        chain = tls["client_cert_chain"]
        environ["SSL_CLIENT_VERIFY"] = "SUCCESS" if chain else "NONE"
        if chain:
            environ["SSL_CLIENT_S_DN"] = tls["client_cert_name"]
            environ["SSL_CLIENT_CERT"] = chain[0]
