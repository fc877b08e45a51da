"""TLS: from the options to the contexts of a generation, and from a connection to what ASGI is told of it.

The contexts are made once per generation, before the workers are forked. So keys may be readable by root alone, and
the workers share the secret of the session tickets: a client resumes with whichever worker it meets.
"""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

from hornbeamd.config.certificates import load_pair, wrong_with_authorities, wrong_with_pair
from hornbeamd.config.options import Options
from hornbeamd.errors import ConfigError

_PROTOCOLS = {"HTTP/2": "h2", "HTTP/1.1": "http/1.1"}
"""The option ``http_version`` -> ALPN (RFC 7301); the first that the client speaks as well is taken."""

_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", re.DOTALL)
# RFC 4514, section 3; any other attribute keeps the name that OpenSSL has for it.
_ATTRIBUTES = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}

Name = tuple[tuple[tuple[str, str], ...], ...]
"""A distinguished name as ``getpeercert`` has it: a sequence of sets of attributes."""


handshaking: ContextVar[socket.socket] = ContextVar("handshaking")
"""The socket of the handshake that runs in a context."""


class _Handshake(ssl.SSLObject):
    """One that fails tells the client why: the loops close the connection and leave OpenSSL's alert unsent."""

    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            alert = self.outgoing.read()
            with suppress(OSError, LookupError):  # a client that does not take it goes without
                handshaking.get().send(alert)
            raise


# Python's own choice, which some distributions replace by a wider one. It is for TLS 1.2; that of TLS 1.3 is fixed.
_CIPHERS = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"


class ServerContext(ssl.SSLContext):
    """What the server is in a handshake: one certificate, and the rules that are the same for all."""

    certificate: str
    """The certificate alone, as PEM."""
    names: dict[str, ServerContext]
    """Who is shown instead, by the name that the client asks for; a key that begins with ``.`` is a domain."""
    suites: dict[str, int]
    """Cipher suite -> its number in the registry of IANA."""
    sslobject_class = _Handshake

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **more: Any) -> ssl.SSLObject:
        connection = super().wrap_bio(incoming, outgoing, *args, **more)
        connection.outgoing = outgoing  # type: ignore[attr-defined]
        return connection


def server_context(options: Options) -> ServerContext | None:
    """Make the context of *options*, with those for other names in it; None without TLS.

    Raises ConfigError where a file is of no use any more, or there is none.
    """
    if not options.ssl:
        return None
    if options.certfile is None:  # ssl was turned off, which a reload cannot: better no worker than one without TLS
        raise ConfigError(["ssl stays on until a restart, and certfile is missing"])
    context = _context(options, options.certfile, options.keyfile)
    for each in options.certificates:
        named = _context(options, each.certfile, each.keyfile)
        context.names.update({name.lower().removeprefix("*"): named for name in each.names})
    if context.names:
        context.sni_callback = _choose
    return context


def _context(options: Options, certfile: str, keyfile: str | None) -> ServerContext:
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # A client that could renegotiate at will would have us compute without end.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols([name for version, name in _PROTOCOLS.items() if version in options.http_version])
    if wrong := wrong_with_pair(certfile, keyfile):
        raise ConfigError([f"{wrong.key}: {wrong.text}"])
    load_pair(context, certfile, keyfile)
    if options.cacertfile is not None:
        if text := wrong_with_authorities(options.cacertfile):
            raise ConfigError([f"cacertfile: {text}"])
        context.load_verify_locations(options.cacertfile)
        context.verify_mode = _VERIFY[options.verify]
    found = _PEM.search(Path(certfile).read_text("latin-1"))
    context.certificate = found[0] if found else ""
    context.names = {}
    context.suites = {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
    return context


def _choose(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
    """Take the context for the *name* that the client asks for (RFC 6066, section 3), where there is one."""
    if name is None or not isinstance(context, ServerContext):
        return
    name = name.lower().removesuffix(".")
    found = context.names.get(name) or context.names.get("." + name.partition(".")[2])
    if found is not None:
        connection.context = found


def described(connection: ssl.SSLObject) -> dict[str, Any]:
    """Describe a connection after its handshake, as the ``tls`` extension of ASGI has it (version 0.2).

    There is never a ``client_cert_error``: a client whose certificate is not believed gets no connection.
    """
    context = connection.context
    suite, version = connection.cipher(), connection.version()
    certificate = connection.getpeercert()
    return {
        "server_cert": context.certificate if isinstance(context, ServerContext) else None,
        "client_cert_chain": _chain(connection),
        "client_cert_name": rfc4514(cast(Name, certificate["subject"])) if certificate else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(version or ""),
        "cipher_suite": context.suites.get(suite[0]) if suite and isinstance(context, ServerContext) else None,
    }


def _chain(connection: ssl.SSLObject) -> list[str]:
    """The client's certificate as PEM, and behind it, from Python 3.13 on, those that it sent along."""
    whole = getattr(connection, "get_unverified_chain", None)
    own = connection.getpeercert(binary_form=True)
    if own is None:
        return []
    return [ssl.DER_cert_to_PEM_cert(der) for der in (whole() if whole is not None else [own])]


def rfc4514(name: Name) -> str:
    """Write a distinguished name as text (RFC 4514, section 2)."""
    return ",".join(
        "+".join(f"{_ATTRIBUTES.get(kind, kind)}={_escaped(value)}" for kind, value in several)
        for several in reversed(name)
    )


def _escaped(value: str) -> str:
    """Escape what would mean something (RFC 4514, section 2.4)."""
    text = re.sub(r'([,+"\\<>;])', r"\\\1", value).replace("\0", "\\00")
    if text.startswith(("#", " ")):
        text = "\\" + text
    if text.endswith(" ") and len(value) > 1:
        text = text[:-1] + "\\ "
    return text
