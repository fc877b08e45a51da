"""Contexts, and the names in certificates; what a handshake makes of them is in tests/integration."""

import ssl

import pytest

from hornbeamd.config.options import Options
from hornbeamd.errors import ConfigError
from hornbeamd.http.tls import rfc4514, server_context
from tests.support.tls import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


def test_no_tls_no_context():
    assert server_context(Options()) is None
    assert server_context(Options(certfile="/none")) is None


def test_no_certificate_is_not_no_tls():
    with pytest.raises(ConfigError, match="certfile is missing"):
        server_context(Options(ssl=True))


def test_the_defaults_are_modern(authority):
    context = server_context(Options(**authority.options()))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert not context.options & ssl.OP_NO_TICKET
    weak = [name for name in context.suites if "CBC" in name and "SHA384" not in name and "SHA256" not in name]
    assert not [name for name in context.suites if {"RC4", "3DES", "NULL", "MD5", "EXP"} & set(name.split("-"))]
    assert not weak


@pytest.mark.parametrize("verify", ["none", "optional", "required"])
def test_client_certificates(authority, verify):
    context = server_context(Options(**authority.options(cacertfile=str(authority.file), verify=verify)))
    assert context.verify_mode == getattr(ssl, f"CERT_{verify.upper()}")


def test_files_that_became_of_no_use_are_named(authority):
    options = authority.options()
    for key in ("certfile", "keyfile", "cacertfile"):
        with pytest.raises(ConfigError, match=f'{key}: "/none" cannot be read: No such file or directory'):
            server_context(Options(**{**options, key: "/none"}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ((), ""),
        (((("countryName", "AT"),), (("commonName", "a"),)), "CN=a,C=AT"),
        (((("commonName", "a"), ("userId", "7")),), "CN=a+UID=7"),
        (((("emailAddress", "a@b"),),), "emailAddress=a@b"),
        (((("commonName", 'a,b+c"d\\e<f>g;h=i'),),), 'CN=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h=i'),
        (((("commonName", "#a"),),), "CN=\\#a"),
        (((("commonName", " a "),),), "CN=\\ a\\ "),
        (((("commonName", " "),),), "CN=\\ "),
        (((("commonName", "a\0b"),),), "CN=a\\00b"),
    ],
)
def test_names_as_text(name, text):
    """RFC 4514, section 2: the last comes first."""
    assert rfc4514(name) == text
