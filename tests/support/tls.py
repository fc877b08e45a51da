"""Certificates made for a test, and the dumb client behind TLS."""

import ssl
from pathlib import Path
from typing import Any

import trustme

from tests.support.raw import DEADLINE, RawClient


class Authority:
    """An authority whose certificates are files in *folder*; one *below* another has its own from that."""

    def __init__(self, folder: Path, name: str = "authority", below: "Authority | None" = None) -> None:
        self.folder = folder
        self._authority = trustme.CA() if below is None else below._authority.create_child_ca()
        self.file = folder / f"{name}.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, stem: str | None = None, **subject: str) -> tuple[str, str]:
        """Write a certificate for *names* and its key; return their paths."""
        issued = self._authority.issue_cert(*names, **subject)
        stem = stem or names[0].replace("*", "any").replace("@", "-at-")
        certfile, keyfile = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        issued.private_key_pem.write_to_path(str(keyfile))
        certfile.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return str(certfile), str(keyfile)

    def options(self, *names: str, **more: Any) -> dict[str, Any]:
        """The options of a server with a certificate for *names*."""
        certfile, keyfile = self.issue(*(names or ("localhost",)))
        return {"ssl": True, "certfile": certfile, "keyfile": keyfile, **more}

    def trusting(self, pair: tuple[str, str] | None = None, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        """A client's context that believes this authority, and shows the certificate of *pair*."""
        context = ssl.create_default_context(cafile=str(self.file))
        context.set_alpn_protocols(alpn)
        if pair is not None:
            context.load_cert_chain(*pair)
        return context


class TlsClient(RawClient):
    """One connection with TLS, after its handshake. Raises ssl.SSLError or OSError where that fails."""

    socket: ssl.SSLSocket

    def __init__(
        self,
        address: tuple[str, int] | str,
        context: ssl.SSLContext,
        name: str = "localhost",
        deadline: float = DEADLINE,
        session: ssl.SSLSession | None = None,
    ) -> None:
        super().__init__(address, deadline)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session)
        except BaseException:
            self.socket.close()
            raise
