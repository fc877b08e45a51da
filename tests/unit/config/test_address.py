import pytest

from hornbeamd.config.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address("tcp", host="127.0.0.1", port=8000)),
        (":8000", Address("tcp", host="", port=8000)),
        ("[::1]:0", Address("tcp", host="::1", port=0)),
        ("[fe80::1%eth0]:80", Address("tcp", host="fe80::1%eth0", port=80)),
        ("localhost:65535", Address("tcp", host="localhost", port=65535)),
        ("my_host.example.:1", Address("tcp", host="my_host.example.", port=1)),
        ("unix:/run/app.sock", Address("unix", path="/run/app.sock")),
        ("unix:app.sock", Address("unix", path="app.sock")),
        ("fd://3", Address("fd", fd=3)),
    ],
)
def test_an_address_and_its_text_are_one(text, address):
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost", "port is missing"),
        ("", "port is missing"),
        ("host:", "port is not a number"),
        ("host:http", "port is not a number"),
        ("host:-1", "port is not a number"),
        ("host:٣", "port is not a number"),
        ("host:65536", "port is above 65535"),
        ("::1:8000", "in brackets"),
        ("[::1:8000", "in brackets"),
        ("[hello]:80", "hello"),
        ("1.2.3.999:80", "999"),
        ("1.2.3:80", "Expected 4 octets"),
        ("a b:80", "neither an IP address nor a name"),
        ("http://a:80", "in brackets"),
        ("unix:", "path of the socket is missing"),
        ("unix:/" + "a" * 103, "longer than the 103 bytes"),
        ("unix:/a\0b", "NUL"),
        ("fd://x", "file descriptor is not a number"),
        ("fd://", "file descriptor is not a number"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        Address.parse(text)
