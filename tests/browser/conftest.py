"""One browser for a module's tests, which trusts one certificate; and the application of this folder."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.chromium import Chromium
from tests.support.daemon import Daemon
from tests.support.tls import Authority

HERE = Path(__file__).resolve().parent
ECHO = """
    new Promise((resolve, reject) => {
        const socket = new WebSocket(location.href.replace('http', 'ws'));
        socket.binaryType = 'arraybuffer';
        const told = [];
        socket.onopen = () => { socket.send('Grüße'); socket.send(new Uint8Array(100000).fill(7)); };
        socket.onmessage = ({data}) => {
            told.push(typeof data === 'string' ? data : new Uint8Array(data).reduce((sum, byte) => sum + byte, 0));
            if (told.length === 2) socket.close(4001, 'enough');
        };
        socket.onclose = ({code, wasClean}) => resolve([...told, code, wasClean]);
    })"""
"""A text and 100,000 sevens over a WebSocket and back; the sum of the sevens, and how it was closed."""


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 as files."""

    certfile: str
    keyfile: str

    @property
    def options(self) -> tuple[str, ...]:
        """A server's flags."""
        return ("--ssl", "--certfile", self.certfile, "--keyfile", self.keyfile)

    @property
    def pin(self) -> str:
        """The name that Chromium has for its key."""
        key = x509.load_pem_x509_certificate(Path(self.certfile).read_bytes()).public_key()
        told = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(told).digest()).decode()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(*Authority(tmp_path_factory.mktemp("authority")).issue("127.0.0.1"))


@pytest.fixture(scope="module")
def chromium(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium"), trusted=[certificate.pin]) as browser:
        yield browser


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Run the application of this folder with more options until the end of the module; gives its address."""
    with ExitStack() as stack:

        def start(*options: str) -> str:
            fixed = ("--worker-class", "asgi", "--workers", "1", "--lifespan", "off", "--pythonpath", str(HERE))
            daemon = Daemon("page_app:app", *fixed, *options, folder=tmp_path_factory.mktemp("page"), ready=1)
            return stack.enter_context(daemon).url

        yield start
