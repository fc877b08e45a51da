"""Reading values of each kind, from files (typed) and from the environment or flags (text)."""

import pytest

from hornbeamd.config.amounts import Duration, Int, Mode, Size
from hornbeamd.config.kind import Unfit
from hornbeamd.config.kinds import (
    AccessFormat,
    Bind,
    Bool,
    Choice,
    ListOf,
    Maybe,
    Path,
    Peers,
    Text,
    app_spec,
    owner,
    root_path,
)

MS, S = Duration("ms"), Duration("s")


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (MS, 1500, 1.5),
        (S, 2, 2.0),
        (S, 0.25, 0.25),
        (MS, "500ms", 0.5),
        (S, "500ms", 0.5),
        (MS, "1m30s", 90.0),
        (MS, "1h 2m 3s 4ms", 3723.004),
        (MS, "1.5s", 1.5),
        (MS, "300", 0.3),
        (Size(), 10, 10),
        (Size(), "10", 10),
        (Size(), "64KiB", 65536),
        (Size(), "16MB", 16_000_000),
        (Size(), "1 gib", 2**30),
        (Int(0, 5), 5, 5),
        (Mode(), "0660", 0o660),
        (Mode(), "600", 0o600),
        (Bool(), True, True),
        (Choice(("a", "b")), "b", "b"),
        (Path(), "x y", "x y"),
        (Maybe(Size(), nothing="unlimited"), "unlimited", None),
        (Maybe(Size()), None, None),
        (ListOf(Int()), 3, (3,)),
        (ListOf(Int()), [3, 4], (3, 4)),
        (ListOf(Int()), [], ()),
        (Peers(), "10.0.0.0/8", "10.0.0.0/8"),
        (Peers(), "::1", "::1"),
        (Peers(), "*", "*"),
        (app_spec(), "a.b:c.d()", "a.b:c.d()"),
        (app_spec(), "a", "a"),
        (app_spec(), "a:b('c', d=1)", "a:b('c', d=1)"),
        (owner(), "www-data:adm", "www-data:adm"),
        (owner(), ":adm", ":adm"),
        (root_path(), "", ""),
        (root_path(), "/a/b", "/a/b"),
        (AccessFormat(), "json", "json"),
        (AccessFormat(), "%h %(s)s", "%h %(s)s"),
    ],
)
def test_what_a_file_may_say(kind, value, found):
    assert kind.read(value) == found


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (MS, 0),
        (MS, -1),
        (MS, True),
        (MS, None),
        (MS, float("nan")),
        (MS, float("inf")),
        (MS, "1 year"),
        (MS, "s"),
        (MS, ""),
        (MS, "5 s later"),
        (MS, "999999h"),
        (Size(), -1),
        (Size(), 1.5),
        (Size(), True),
        (Size(), "1XB"),
        (Size(), "1.5MB"),
        (Size(0, 10), 11),
        (Size(), "9" * 30),
        (Int(1), "1"),
        (Int(1), 1.0),
        (Int(1), True),
        (Int(1), 0),
        (Int(1, 2), 3),
        (Bool(), 1),
        (Bool(), "true"),
        (Mode(), 660),
        (Mode(), "0999"),
        (Mode(), "rw-rw----"),
        (Choice(("a",)), "A"),
        (Choice(("a",)), []),
        (Text(), 3),
        (Text(), "a\nb"),
        (Path(), ""),
        (ListOf(Int(), needs_one=True), []),
        (ListOf(Int()), [1, "x"]),
        (Maybe(Int()), "x"),
        (Peers(), "10.0.0.1/8"),
        (Peers(), "example.com"),
        (app_spec(), "a:"),
        (app_spec(), "a b"),
        (app_spec(), "a:b(1"),
        (app_spec(), "a-b:c"),
        (owner(), "a:b:c"),
        (owner(), ":"),
        (root_path(), "shop"),
        (root_path(), "/shop/"),
        (AccessFormat(), "%z"),
        (AccessFormat(), "plain"),
        (Bind(), 8000),
        (Bind(inherited=False), "fd://3"),
    ],
)
def test_what_a_file_may_not_say(kind, value):
    with pytest.raises(Unfit):
        kind.read(value)


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        (Int(0), "12", 12),
        (Bool(), "Yes", True),
        (Bool(), "0", False),
        (ListOf(Int()), "1, 2,,3", (1, 2, 3)),
        (ListOf(Int()), "", ()),
        (Maybe(Int()), "", None),
        (Maybe(Int()), "3", 3),
        (MS, "1500", 1.5),
    ],
)
def test_what_the_environment_may_say(kind, text, found):
    assert kind.parse(text) == found


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Int(0), "1.0"),
        (Int(0), "0x10"),
        (Int(0), ""),
        (Int(0), "9" * 50),
        (Bool(), "maybe"),
        (ListOf(Int(), needs_one=True), ","),
    ],
)
def test_what_the_environment_may_not_say(kind, text):
    with pytest.raises(Unfit):
        kind.parse(text)


def test_a_list_names_the_item_that_is_wrong():
    with pytest.raises(Unfit, match=r"in 'b', the port is missing"):
        ListOf(Bind()).read(["a:1", "b"])


@pytest.mark.parametrize(
    ("kind", "value", "anchored"),
    [
        (Path(), "logs/x", "/etc/app/logs/x"),
        (Path(), "../x", "/etc/x"),
        (Path(), "/var/x", "/var/x"),
        (Path(words=("-",)), "-", "-"),
        (ListOf(Path()), (".", "lib"), ("/etc/app", "/etc/app/lib")),
        (Maybe(Path()), None, None),
        (Bind(), Bind().read("unix:x.sock"), Bind().read("unix:/etc/app/x.sock")),
        (Bind(), Bind().read(":80"), Bind().read(":80")),
        (Int(), 3, 3),
    ],
)
def test_relative_paths_count_from_a_folder(kind, value, anchored):
    assert kind.anchor(value, "/etc/app") == anchored
