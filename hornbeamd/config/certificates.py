"""Certificates and keys on disk: what a table of ``certificates`` holds, and what can be wrong with the files.

What is wrong is said of the file that it is wrong with, where OpenSSL says "PEM lib" or nothing.
"""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass
from typing import Literal

from hornbeamd.config.kinds import ListOf, Maybe, Path, server_name
from hornbeamd.config.tables import key

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_KEY = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for some host names: one table of ``certificates``."""

    names: tuple[str, ...] = key(
        ListOf(server_name(), needs_one=True), 'The host names it is shown to: "shop.example", or "*.shop.example".'
    )
    certfile: str = key(Path("the path of a PEM file"), "Like the option certfile.")
    keyfile: str | None = key(Maybe(Path("the path of a PEM file")), "Like the option keyfile.", None)


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong, and with which of the two files."""

    key: Literal["certfile", "keyfile"]
    text: str


class _Encrypted(Exception):
    """The key asks for a password."""


def load_pair(context: ssl.SSLContext, certfile: str, keyfile: str | None) -> None:
    """Load a certificate with its key. Raises OSError (ssl.SSLError is one) for files that are of no use.

    A key with a password is refused rather than asked for: a daemon has nobody to ask.
    """
    context.load_cert_chain(certfile, keyfile, password=_refuse_password)


def wrong_with_pair(certfile: str, keyfile: str | None) -> Wrong | None:
    """Say what is wrong with a certificate and its key; None where they can be used."""
    if wrong := _wrong_with_file(certfile, _CERTIFICATE, "certificate"):
        return Wrong("certfile", wrong)
    if wrong := _wrong_with_file(keyfile or certfile, _KEY, "private key"):
        return Wrong("keyfile", wrong if keyfile else f"is empty, and {wrong}")
    source = f'"{keyfile or certfile}"'
    try:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certfile, keyfile)
    except _Encrypted:
        return Wrong("keyfile", f"the key in {source} asks for a password; expected one without")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return Wrong("keyfile", f'the key in {source} is not that of the certificate in "{certfile}"')
        if error.reason in _WEAK:
            return Wrong("certfile", f'the certificate in "{certfile}" is refused: {_WEAK[error.reason]}')
        return Wrong("certfile", f'"{certfile}" and its key in {source} cannot be used ({_reason(error)})')
    except OSError as error:
        return Wrong("certfile", f'"{certfile}" or its key in {source} cannot be read: {error.strerror}')
    return None


def wrong_with_authorities(cacertfile: str) -> str | None:
    """Say what is wrong with a file of authorities; None where it can be used."""
    if wrong := _wrong_with_file(cacertfile, _CERTIFICATE, "certificate"):
        return wrong
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cacertfile)
    except OSError as error:
        return f'"{cacertfile}" cannot be used ({_reason(error)})'
    return None


# What the security level of OpenSSL does not take, in words.
_WEAK = {
    "EE_KEY_TOO_SMALL": "its key is too small",
    "CA_KEY_TOO_SMALL": "the key of an authority in it is too small",
    "CA_MD_TOO_WEAK": "it is signed by too weak a method",
}


def _wrong_with_file(path: str, marker: bytes, what: str) -> str | None:
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):  # nobody may ever write to it, and it is read more than once
            return f'"{path}" is a pipe; expected a file'
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        return f'"{path}" cannot be read: {error.strerror}'
    return None if marker in text else f'there is no {what} in "{path}"; expected one as PEM'


def _refuse_password() -> bytes:
    raise _Encrypted


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error).lower().replace("_", " ")
