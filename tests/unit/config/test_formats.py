"""What each format reads, refuses, and knows the lines of."""

import pytest

from hornbeamd.config.formats import eterms, read, toml, yaml
from hornbeamd.config.formats.document import SyntaxProblem


def term(text):
    return eterms.read(f"#{{v => {text}}}.").data["v"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("atom", "atom"),
        ("a@b_C1", "a@b_C1"),
        ("'quoted atom'", "quoted atom"),
        (r"'it\'s'", "it's"),
        ("''", ""),
        ("true", True),
        ("false", False),
        ("undefined", None),
        ("'true'", True),
        ('"true"', "true"),
        ('"tab\\tquote\\"backslash\\\\"', 'tab\tquote"backslash\\'),
        (r'"\x41\x{1F600}\101\^A\s\e\d"', "A\U0001f600A\x01 \x1b\x7f"),
        ('"two " "parts"', "two parts"),
        ('"%no comment"', "%no comment"),
        ("<<>>", ""),
        ('<<"abc">>', "abc"),
        ('<<"größe"/utf8>>', "größe"),
        ('<<104, $i, "!">>', "hi!"),
        ("<<195,182>>", "ö"),
        ("0", 0),
        ("-17", -17),
        ("+17", 17),
        ("1_000_000", 1000000),
        ("16#FF", 255),
        ("-2#1010", -10),
        ("36#zZ", 1295),
        ("$a", 97),
        ("$\\n", 10),
        ("$ ", 32),
        ("1.5", 1.5),
        ("-1.5e-3", -0.0015),
        ("1_0.2_5", 10.25),
        ("[]", []),
        ("{}", []),
        ("#{}", {}),
        ("[1, [2], {3}]", [1, [2], [3]]),
        ("[a, b]", ["a", "b"]),
        ("[{a, 1}, {b, 2}]", {"a": 1, "b": 2}),
        ("[{a, 1}, b]", {"a": 1, "b": True}),
        ('[{"a", 1}]', [["a", 1]]),
        ("[{a, 1}, 2]", [["a", 1], 2]),
        ("{a, 1}", ["a", 1]),
        ('#{a => #{"b" => [c]}}', {"a": {"b": ["c"]}}),
    ],
)
def test_erlang_terms(text, value):
    found = term(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", (1, 1), "the file ends; expected a term"),
        ("%% only a comment\n", (1, 18), "the file ends; expected a term"),
        ("[{a, 1}]", (1, 9), 'expected "." at the end'),
        ("[{a, 1}]. [].", (1, 11), "expected the end of the file"),
        ("[{a,\n  'open}].", (2, 3), "the quoted atom that begins here has no end"),
        ('[{a,\n  "open}].', (2, 3), "the string that begins here has no end"),
        ("[{a, Name}].", (1, 6), "Name is a variable"),
        ("[{a, _}].", (1, 6), "_ is a variable"),
        ("[{a, ?MACRO}].", (1, 6), "'?' has no meaning"),
        ("[{a 1}].", (1, 5), '"1" stands here; expected "," or "}" in a tuple'),
        ("[{a, 1,}].", (1, 8), "expected a term"),
        ("#{a = 1}.", (1, 5), "has no meaning"),
        ("#{a := 1}.", (1, 5), 'expected "=>"'),
        ("#{1 => 2}.", (1, 3), "a key is neither an atom nor text"),
        ("#{a => 1, 'a' => 2}.", (1, 11), "the key a stands twice"),
        ("[{a, 1}, {a, 2}].", (1, 11), "the key a stands twice"),
        ("[{a, 37#1}].", (1, 6), "37#1 is not a number"),
        ("[{a, 2#12}].", (1, 6), "2#12 is not a number"),
        ("[{a, 1.0e999}].", (1, 6), "too large"),
        ("[{a, <<256>>}].", (1, 8), "256 is not a byte"),
        ("[{a, <<1.5>>}].", (1, 8), "expected a string or a byte"),
        ("[{a, <<atom>>}].", (1, 8), "expected a string or a byte"),
        ('[{a, <<"x"/utf16>>}].', (1, 12), 'expected "utf8"'),
        ('[{a, <<"ö">>}].', (1, 6), "not UTF-8 text; write"),
        ('[{a, <<"€">>}].', (1, 8), "characters above 255"),
        ('[{a, "\\x{110000}"}].', (1, 6), "no character of Unicode"),
        ("[" * 200, (1, 101), "nested more than 100 deep"),
        ("{a, 1}.", (1, 1), "no property list"),
        ("[a, b].", (1, 1), "no property list"),
    ],
)
def test_what_is_no_erlang_term_is_refused_with_its_place(text, place, reason):
    with pytest.raises(SyntaxProblem) as caught:
        eterms.read(text)
    assert reason in caught.value.reason
    assert (caught.value.line, caught.value.column) == place


def test_an_empty_property_list_is_an_empty_configuration():
    assert eterms.read("[].").data == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("017", 17),
        ("0o17", 15),
        ("0x1f", 31),
        ("-3", -3),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("'1'", "1"),
        ("!!str 1", "1"),
        (":8000", ":8000"),
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("<<", "<<"),
    ],
)
def test_yaml_scalars_are_those_of_version_1_2(text, value):
    """YAML 1.2.2, section 10.3.2."""
    found = yaml.read(f"v: {text}").data["v"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\na: 2", 2, 'the key "a" stands twice'),
        ("- 1", 1, "not a mapping"),
        ("a: 1\n1: 2", 2, "a key is not text"),
        ("a: 1\n[b]: 2", 2, "a key is not text"),
        ("a: &x [*x]", 1, "leads into itself"),
        ("a: !!python/object:os.system {}", 1, "is not read here"),
        ("a: !!python/object/apply:os.system [ls]", 1, "is not read here"),
        ("a: !!binary aGk=", 1, "is not read here"),
        ("a: !!int x", 1, "not of the type int"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("a: [1", 1, "expected ',' or ']'"),
        ("a: *nope", 1, "undefined alias"),
    ],
)
def test_what_is_not_read_from_yaml_is_refused_with_its_line(text, line, reason):
    with pytest.raises(SyntaxProblem) as caught:
        yaml.read(text)
    assert reason in caught.value.reason
    assert caught.value.line == line


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_empty_yaml_is_an_empty_configuration(text):
    assert yaml.read(text).data == {}


def test_a_control_character_in_yaml_is_refused():
    with pytest.raises(SyntaxProblem, match="unacceptable character"):
        yaml.read("a: \x01")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a = 1\na = 2\n", 2, "a key stands twice"),
        ("a = 1\nb = \n", 2, "Invalid value"),
        ("a = [\n1,\n", 2, "the file ends inside a value"),
        ("[a\nb = 1", 1, "Expected ']'"),
        ('a = "x', 1, "Unterminated string"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(text, line, reason):
    with pytest.raises(SyntaxProblem) as caught:
        toml.read(text)
    assert reason in caught.value.reason
    assert caught.value.line == line


def test_dates_of_toml_are_text():
    assert toml.read("a = [2020-01-02, 03:04:05]").data == {"a": ["2020-01-02", "03:04:05"]}


LINES = {
    "toml": '# c\n[a]\nb = """\n[c]\nd = 1\n"""\nc = [\n  1,\n]\nx.y = 2\n[a.e]\nf = 3\n[[g]]\nh = 4\n',
    "yaml": "# c\na:\n  b: |\n    [c]\n\n\n  c:\n    - 1\n\n  x: {y: 2}\n  e:\n    f: 3\ng:\n  - h: 4\n",
    "config": "% c\n#{a => #{\nb => x,\n\n\n\nc => [1,\n2],\n\nx => #{y => 2},\ne => #{\nf => 3}},\ng => 4}.\n",
}


@pytest.mark.parametrize("suffix", LINES)
def test_lines_of_keys_are_known(suffix):
    lines = read(LINES[suffix], f"x.{suffix}").lines
    path_lines = {"a": 2, "a.b": 3, "a.c": 7, "a.x": 10, "a.x.y": 10, "a.e": 11, "a.e.f": 12, "g": 13}
    keys = {path: line for path, line in lines.items() if not any(isinstance(part, int) for part in path)}
    assert {".".join(path): line for path, line in keys.items()} == path_lines


@pytest.mark.parametrize("suffix", ["toml", "yaml"])
def test_values_nested_too_deep_are_refused(suffix):
    with pytest.raises(SyntaxProblem, match="nested too deep"):
        read("a" + (" = " if suffix == "toml" else ": ") + "[" * 100_000 + "]" * 100_000, f"x.{suffix}")


def test_a_byte_order_mark_is_passed_over():
    assert read("\ufeffa = 1", "x.toml").data == {"a": 1}


@pytest.mark.parametrize("text", ["", "hello", "# only\n", "<xml/>"])
def test_a_format_that_shows_neither_in_name_nor_text_is_refused(text):
    with pytest.raises(SyntaxProblem, match="cannot tell its format"):
        read(text, "sys")
