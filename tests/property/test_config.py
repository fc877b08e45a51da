"""Any value, written in a format, reads back equal; any text is read or refused, never anything else."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hornbeamd.config import formats
from hornbeamd.config.amounts import Duration, Size
from hornbeamd.config.formats.document import SyntaxProblem
from hornbeamd.config.kind import Unfit
from hornbeamd.config.options import TABLE
from hornbeamd.config.render import values

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | text
# The first example of a test pays for imports, so no example has a deadline.
calm = settings(deadline=None)
FORMATS = ["toml", "yaml", "config"]


def nested(leaves):
    def inner(children):
        return st.lists(children, max_size=4) | st.dictionaries(text, children, max_size=4)

    return st.dictionaries(text, st.recursive(leaves, inner, max_leaves=12), max_size=4)


def written(data, suffix):
    match suffix:
        case "toml":
            return "".join(f"{values.toml_key(key)} = {values.toml(value)}\n" for key, value in data.items())
        case "yaml":
            return values.yaml(data)
    return values.eterms(data) + "."


@pytest.mark.parametrize("suffix", FORMATS)
@calm
@given(data=nested(scalars))
@example(data={"true": "true", "": [[], {}, "undefined", -0.0, 1e22], "\x85\u2028\ufeff": "\r\n\t\x7f'\"\\"})
def test_any_value_reads_back_equal(suffix, data):
    found = formats.read(written(data, suffix), f"x.{suffix}").data
    assert found == data
    assert repr(found) == repr(data)


@pytest.mark.parametrize("suffix", ["yaml", "config"])
@calm
@given(data=nested(scalars | st.none()))
def test_no_value_reads_back_where_there_is_one(suffix, data):
    assert formats.read(written(data, suffix), f"x.{suffix}").data == data


@calm
@given(data=nested(scalars))
def test_a_property_list_is_a_map(data):
    pairs = ", ".join(f"{{{values.atom(key)}, {values.eterms(value)}}}" for key, value in data.items())
    assert formats.read(f"[{pairs}].", "x.config").data == data


@pytest.mark.parametrize("suffix", FORMATS)
@calm
@given(data=nested(scalars))
def test_every_key_has_its_line(suffix, data):
    lines = formats.read(written(data, suffix), f"x.{suffix}").lines
    for number, key in enumerate(data, 1):
        assert lines[(key,)] == (number if suffix == "toml" else 1)


@pytest.mark.parametrize("suffix", FORMATS)
@calm
@given(junk=st.text(max_size=60) | st.text("[]{}#<>=,.'\"\\%$:-&*! \n0aA/_@", max_size=60))
def test_any_text_is_read_or_refused(suffix, junk):
    try:
        data, line = formats.read(junk, f"x.{suffix}").data, 0
    except SyntaxProblem as problem:
        data, line = {}, problem.line
    assert isinstance(data, dict)
    assert 0 <= line <= len(junk.splitlines()) + 1


@calm
@given(value=st.recursive(scalars | st.none(), lambda inner: st.lists(inner) | st.dictionaries(text, inner)))
def test_any_value_of_any_option_is_read_or_refused(value):
    for option in TABLE:
        try:
            found = option.kind.read(value)
        except Unfit:
            continue
        assert option.kind.read(option.kind.plain(found)) == found


@calm
@given(given_text=st.text(max_size=30))
def test_any_text_for_any_option_is_read_or_refused(given_text):
    for option in TABLE:
        try:
            option.kind.parse(given_text)
        except Unfit:
            continue


@calm
@given(milliseconds=st.integers(1, 31 * 86_400_000))
def test_a_time_is_the_same_in_any_unit(milliseconds):
    found = Duration("ms").read(milliseconds)
    assert found == Duration("s").read(f"{milliseconds}ms")
    assert Duration("ms").plain(found) == milliseconds


@calm
@given(count=st.integers(0, 1000))
def test_a_size_is_the_same_in_any_unit(count):
    assert Size().read(f"{count}KiB") == Size().read(count * 1024)
    assert Size().read(f"{count}MB") == Size().read(count * 1_000_000)
