import json

import pytest

from hornbeamd.observe.escape import json_string, plain, printable, quoted

BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
HOSTILE = BREAKS + "\x00\x08\x1b\x7f\x9b\u202e\u2066\ufeff\ud800\udfff\U000e0001"


@pytest.mark.parametrize("char", HOSTILE)
def test_unprintable_characters_are_escaped(char):
    for text in (printable(f"a{char}b"), quoted(f"a{char}b")):
        assert text.isprintable()
        assert len(text.splitlines()) == 1
        assert text.strip('"').startswith("a\\")
        assert text.strip('"').endswith("b")


def test_what_people_write_stays():
    for text in ("plain", "Zürich 東京 🙂", "a/b?c=d"):
        assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("word", "word"),
        ("", '""'),
        ("two words", '"two words"'),
        ('say "no"', r'"say \"no\""'),
        ("a=b", '"a=b"'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nstatus=200", r'"line\nstatus=200"'),
    ],
)
def test_quoted(text, seen):
    assert quoted(text) == seen


@pytest.mark.parametrize("char", HOSTILE + '"\\é')
def test_json_strings_are_ascii_on_one_line(char):
    text = json_string(f"a{char}b")
    assert text.isascii()
    assert text.isprintable()
    read = json.loads(text)
    assert read == (f"a{char}b" if not "\ud800" <= char <= "\udfff" else f"a\\u{ord(char):04x}b")


class Broken:
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (b"a\xff", "a\\xff"),
        (("127.0.0.1", 80), ["127.0.0.1", 80]),
        ({1: {2: "x"}}, {"1": {"2": "x"}}),
        ({1}, [1]),
        ("\ud800", "\\ud800"),
        (ValueError("no"), "no"),
        (Broken(), "<Broken>"),
    ],
)
def test_plain(value, seen):
    assert plain(value) == seen
    json.loads(json.dumps(plain(value), allow_nan=False))


def test_plain_ends_with_a_structure_that_holds_itself():
    endless: list = []
    endless.append(endless)
    json.dumps(plain(endless))
