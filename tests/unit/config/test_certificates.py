"""What is wrong with files of TLS, and that it is said of the right key."""

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from hornbeamd.config.certificates import Certificate, wrong_with_authorities, wrong_with_pair
from hornbeamd.config.checks import findings
from hornbeamd.config.options import Options
from hornbeamd.config.resolve import load
from hornbeamd.errors import ConfigError
from tests.support.tls import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("localhost")


def test_a_good_pair(pair):
    assert wrong_with_pair(*pair) is None


def test_a_key_that_stands_with_its_certificate(pair, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(Path(path).read_bytes() for path in pair))
    assert wrong_with_pair(str(both), None) is None


def test_what_is_wrong_with_a_pair(authority, pair, tmp_path):
    certfile, keyfile = pair
    _, other = authority.issue("other.example")
    empty, broken, missing = tmp_path / "empty", tmp_path / "broken", tmp_path / "missing"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    empty.touch()
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for given, key, text in (
        ((str(missing), keyfile), "certfile", f'"{missing}" cannot be read: No such file or directory'),
        ((str(tmp_path), keyfile), "certfile", f'"{tmp_path}" cannot be read: Is a directory'),
        ((str(pipe), keyfile), "certfile", f'"{pipe}" is a pipe; expected a file'),
        ((str(empty), keyfile), "certfile", f'there is no certificate in "{empty}"; expected one as PEM'),
        ((keyfile, keyfile), "certfile", f'there is no certificate in "{keyfile}"; expected one as PEM'),
        ((certfile, str(missing)), "keyfile", f'"{missing}" cannot be read: No such file or directory'),
        ((certfile, certfile), "keyfile", f'there is no private key in "{certfile}"; expected one as PEM'),
        ((certfile, None), "keyfile", f'is empty, and there is no private key in "{certfile}"; expected one as PEM'),
        ((certfile, other), "keyfile", f'the key in "{other}" is not that of the certificate in "{certfile}"'),
    ):
        wrong = wrong_with_pair(*given)
        assert (wrong.key, wrong.text) == (key, text)
    wrong = wrong_with_pair(str(broken), keyfile)
    assert wrong.key == "certfile"
    assert wrong.text.startswith(f'"{broken}" and its key in "{keyfile}" cannot be used (')


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(pair, tmp_path):
    certfile, keyfile = pair
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", keyfile, "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    wrong = wrong_with_pair(certfile, str(locked))
    assert (wrong.key, wrong.text) == ("keyfile", f'the key in "{locked}" asks for a password; expected one without')


def test_a_key_that_is_too_small(tmp_path):
    """OpenSSL's security level 2, which Python keeps to."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=a"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    wrong = wrong_with_pair(str(certificate), str(key))
    assert (wrong.key, wrong.text) == (
        "certfile",
        f'the certificate in "{certificate}" is refused: its key is too small',
    )


def test_authorities(authority, pair, tmp_path):
    assert wrong_with_authorities(str(authority.file)) is None
    assert wrong_with_authorities(pair[1]) == f'there is no certificate in "{pair[1]}"; expected one as PEM'
    assert wrong_with_authorities("/none") == '"/none" cannot be read: No such file or directory'
    broken = tmp_path / "broken"
    broken.write_text(ssl.DER_cert_to_PEM_cert(b"nonsense"))
    assert wrong_with_authorities(str(broken)).startswith(f'"{broken}" cannot be used (')


def checked(**options):
    return [(finding.keys[0], finding.text) for finding in findings(Options(app="app", **options))]


def test_tls_without_a_certificate(pair):
    text = "is missing; expected the PEM file of a certificate, as ssl is true"
    assert checked(ssl=True) == [("certfile", text)]
    assert checked(ssl=True, certfile=pair[0], keyfile=pair[1]) == []
    assert checked(certfile=pair[0], keyfile=pair[1]) == []  # to be turned on by a flag


def test_what_needs_tls(pair):
    one = Certificate(names=("a.example",), certfile=pair[0], keyfile=pair[1])
    assert checked(certificates=(one,)) == [
        ("certificates", "have no effect while ssl is false; expected ssl = true as well")
    ]
    assert [key for key, _ in checked(verify="required")] == ["verify", "cacertfile"]


def test_names_and_files_of_further_certificates(pair, authority):
    good = Certificate(names=("a.example", "b.example"), certfile=pair[0], keyfile=pair[1])
    bad = Certificate(names=("A.example",), certfile="/none", keyfile=None)
    found = checked(ssl=True, certfile=pair[0], keyfile=pair[1], certificates=(good, bad))
    assert found == [
        ("certificates", '"A.example": certfile: "/none" cannot be read: No such file or directory'),
        ("certificates", 'the name "a.example" stands there 2 times; expected each name once'),
    ]


def test_client_certificates(pair, authority):
    tls = {"ssl": True, "certfile": pair[0], "keyfile": pair[1]}
    assert checked(**tls, verify="optional", cacertfile=str(authority.file)) == []
    assert checked(**tls, verify="required") == [("cacertfile", 'is missing; expected it, as verify is "required"')]
    assert [key for key, _ in checked(**tls, cacertfile="/none")] == ["cacertfile"]


def test_the_file_and_the_key_are_named(pair, tmp_path):
    file = tmp_path / "sys.toml"
    file.write_text(
        '[hornbeam]\napp = "app"\nssl = true\ncertfile = "none.pem"\n\n'
        '[[hornbeam.certificates]]\nnames = "*.a.example"\ncertfile = "missing.pem"\n\n'
        '[[hornbeam.certificates]]\nnames = "a..example"\n'
    )
    with pytest.raises(ConfigError) as raised:
        load(str(file))
    assert [problem.partition("sys.toml, ")[2] for problem in raised.value.problems] == [
        f'line 4: certfile: "{tmp_path}/none.pem" cannot be read: No such file or directory',
        'line 10: certificates[1]: "certfile" is missing; expected the path of a PEM file',
        'line 11: certificates[1].names: got "a..example"; expected a host name such as "shop.example" or'
        ' "*.shop.example", or a list of such',
    ]
