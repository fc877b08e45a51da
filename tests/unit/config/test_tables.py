"""Lists of tables, and tables by name: how they are read in each format, what is refused, how they are written."""

import json
from dataclasses import dataclass
from pathlib import Path as FilePath

import jsonschema
import pytest

from hornbeamd.config import formats
from hornbeamd.config.amounts import Duration, Int
from hornbeamd.config.declare import Apply, Option
from hornbeamd.config.kind import Unfit, UnfitWithin
from hornbeamd.config.kinds import Choice, Maybe, Path, Text
from hornbeamd.config.options import TABLE
from hornbeamd.config.render import generated
from hornbeamd.config.tables import NamedTables, Tables, key

ROOT = FilePath(__file__).parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    name: str = key(Text("the name of a door"), "What it is called.")
    width: int = key(Int(1, 9), "How wide it is.", 2)
    file: str | None = key(Maybe(Path("a path")), "A picture of it.", None)
    closes: float | None = key(Maybe(Duration("ms")), "When it closes.", None)
    code: str = key(Text(), "What opens it.", "", secret=True)


DOORS = Tables(Door, by_place=("name", "width"))
OPTION = Option("doors", DOORS, (), Apply.WORKERS, "The doors of the house.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    name: str
    beds: int = key(Int(1, 9), "How many sleep there.")
    picture: str | None = key(Maybe(Path("a path")), "What it looks like.", None)


ROOMS = NamedTables(Room, names=Choice(("red", "blue")))
ROOMS_OPTION = Option("rooms", ROOMS, (), Apply.WORKERS, "The rooms of the house.")

SPELLINGS = {
    "toml": '[[house.doors]]\nname = "a"\nwidth = 3\n\n[[house.doors]]\n\nname = "b"\n',
    "yaml": "house:\n  doors:\n    - name: a\n      width: 3\n    -\n\n      name: b\n",
    "config": '[{house, [{doors, [\n  #{name => "a",\n width => 3},\n\n  [{name,\n  b}]\n]}]}].\n',
}
INLINE = {
    "toml": 'house.doors = [{name = "a", width = 3}, {name = "b"}]',
    "yaml": "house: {doors: [{name: a, width: 3}, {name: b}]}",
    "config": '[{house, [{doors, [{"a", 3}, {"b"}]}]}].',
}


@pytest.mark.parametrize("spellings", [SPELLINGS, INLINE])
@pytest.mark.parametrize("suffix", SPELLINGS)
def test_the_three_formats_say_the_same(spellings, suffix):
    data = formats.read(spellings[suffix], f"x.{suffix}").data
    assert DOORS.read(data["house"]["doors"]) == (Door(name="a", width=3), Door(name="b"))


@pytest.mark.parametrize(("suffix", "expected"), [("toml", (2, 3, 7)), ("yaml", (3, 4, 7)), ("config", (2, 3, 5))])
def test_the_lines_of_keys_in_tables_are_known(suffix, expected):
    lines = formats.read(SPELLINGS[suffix], f"x.{suffix}").lines
    doors = ("house", "doors")
    assert (lines[*doors, 0, "name"], lines[*doors, 0, "width"], lines[*doors, 1, "name"]) == expected


def test_a_table_below_a_table_of_a_list_has_its_place():
    lines = formats.read("[[a]]\nb = 1\n[a.c]\nd = 1\n[[a.e]]\n[[a]]\n[a.c]\nd = 2\n[[a.e]]\n", "x.toml").lines
    assert (lines["a", 0, "c", "d"], lines["a", 1, "c", "d"]) == (4, 8)
    assert (lines["a", 0, "e", 0], lines["a", 1, "e", 0], lines["a", 1]) == (5, 9, 6)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ([], []),
        ([{"name": "a"}, {"name": "b"}], ["a", "b"]),
        ({"name": "a"}, ["a"]),
        ([["a", 3, {"file": "x"}]], ["a"]),
        ([["a", {"width": 3}]], ["a"]),
        ([["a"]], ["a"]),
    ],
)
def test_what_a_file_may_say(value, names):
    assert [door.name for door in DOORS.read(value)] == names


@pytest.mark.parametrize("value", [None, "x", 1, True])
def test_what_is_no_list_of_tables_is_refused(value):
    with pytest.raises(Unfit) as caught:
        DOORS.read(value)
    assert not isinstance(caught.value, UnfitWithin)


def problems(value):
    with pytest.raises(UnfitWithin) as caught:
        DOORS.read(value)
    return caught.value.problems


def test_all_problems_of_all_tables_are_told_at_once():
    assert problems([{"nmae": "a", "width": 0}, "b", {"name": "c", "closes": "never", "x": 1}]) == [
        ((0, "nmae"), 'unknown key; did you mean "name"?'),
        ((0, "width"), "got 0: it is out of range; expected a whole number from 1 to 9"),
        ((0,), '"name" is missing; expected the name of a door'),
        ((1,), 'got "b"; expected a table with the keys name, width, file, closes, code'),
        (
            (2, "closes"),
            'got "never"; expected milliseconds from 1 to 2678400000, or a time such as "500ms", "30s" or "2m",'
            ' or "" for none',
        ),
        ((2, "x"), "unknown key; expected name, width, file, closes, code"),
    ]


@pytest.mark.parametrize("item", [[], [{}], ["a", 1, "x"], ["a", {"name": "b"}], [[1]]])
def test_a_list_that_stands_for_no_table_is_refused(item):
    assert problems([item])


def test_a_secret_in_a_table_is_not_shown():
    assert "12345" not in str(problems([{"name": "a", "code": 12345}]))
    assert DOORS.plain(DOORS.read([{"name": "a", "code": "12345"}])) == [{"name": "a", "code": "***"}]


def test_text_is_json():
    assert DOORS.parse('[{"name": "a", "width": 3}]') == (Door(name="a", width=3),)
    assert DOORS.parse(" ") == ()


@pytest.mark.parametrize("text", ["a", "[", '{"name": 1}', '[{"name": "a", "name": "b"}]', "1", "[" * 100_000])
def test_other_text_is_refused(text):
    with pytest.raises(Unfit):
        DOORS.parse(text)


def test_what_is_written_reads_back_equal():
    doors = DOORS.read([{"name": "a", "width": 3, "closes": "2s"}, {"name": "b", "file": "x"}])
    assert DOORS.plain(doors) == [{"name": "a", "width": 3, "closes": 2000}, {"name": "b", "file": "x"}]
    assert DOORS.read(DOORS.plain(doors)) == doors


def test_relative_paths_in_tables_count_from_the_folder():
    doors = DOORS.anchor(DOORS.read([{"name": "a", "file": "pictures/a"}, {"name": "b"}]), "/etc/house")
    assert [door.file for door in doors] == ["/etc/house/pictures/a", None]


def test_the_default_of_a_key_must_pass_its_kind():
    with pytest.raises(Unfit):
        key(Int(1), "How wide it is.", 0)


def test_all_that_is_rendered_names_the_keys():
    files = generated(ROOT, (*TABLE, OPTION))
    for name in ("conf/sys.toml", "conf/sys.yaml", "conf/sys.config", "man/sys.toml.5"):
        for each in ("name", "What it is called.", "width", "How wide it is.", "the name of a door"):
            assert each in files[name], (name, each)
    assert "| `doors[].name` | required | What it is called. |" in files["docs/configuration.md"]
    assert "| `doors[].width` | `2` | How wide it is. |" in files["docs/configuration.md"]


def test_the_schema_takes_what_we_take_and_refuses_the_rest():
    schema = json.loads(generated(ROOT, (*TABLE, OPTION))["conf/schema.json"])["properties"]["hornbeam"]
    schema = schema["properties"]["doors"]
    jsonschema.Draft202012Validator.check_schema(schema)
    for good in ([], [{"name": "a", "width": 3}], {"name": "a"}, [["a", 3]]):
        jsonschema.validate(good, schema)
    for bad in ([{}], [{"name": "a", "height": 1}], [{"name": 1}], "a", [[]]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


# --- tables by name ---


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("toml", '[rooms.red]\nbeds = 2\n[rooms.blue]\nbeds = 1\npicture = "x"\n'),
        ("yaml", "rooms:\n  red: {beds: 2}\n  blue:\n    beds: 1\n    picture: x\n"),
        ("config", '[{rooms, [{red, [{beds, 2}]}, {blue, #{beds => 1, picture => "x"}}]}].'),
    ],
)
def test_tables_by_name_are_the_same_in_the_three_formats(suffix, text):
    rooms = ROOMS.read(formats.read(text, f"x.{suffix}").data["rooms"])
    assert rooms == (Room(name="red", beds=2), Room(name="blue", beds=1, picture="x"))
    assert ROOMS.plain(rooms) == {"red": {"beds": 2}, "blue": {"beds": 1, "picture": "x"}}
    assert ROOMS.read(ROOMS.plain(rooms)) == ROOMS.parse(json.dumps(ROOMS.plain(rooms))) == rooms
    assert [room.picture for room in ROOMS.anchor(rooms, "/etc/house")] == [None, "/etc/house/x"]


@pytest.mark.parametrize("value", [{}, None, []])
def test_there_may_be_no_tables(value):
    assert ROOMS.read(value) == ROOMS.parse("") == ()


@pytest.mark.parametrize("value", ["x", 1, True, ["red"], [{"name": "red"}]])
def test_what_is_no_mapping_of_tables_is_refused(value):
    with pytest.raises(Unfit) as caught:
        ROOMS.read(value)
    assert not isinstance(caught.value, UnfitWithin)


def test_all_problems_of_all_named_tables_are_told_at_once():
    with pytest.raises(UnfitWithin) as caught:
        ROOMS.read({"red": {"bed": 1, "beds": 0}, "green": {"beds": 2}, "blue": None, "beds": 3})
    assert caught.value.problems == [
        (("red", "bed"), 'unknown key; did you mean "beds"?'),
        (("red", "beds"), "got 0: it is out of range; expected a whole number from 1 to 9"),
        (("green",), 'got "green" for a name; expected "red" or "blue"'),
        (("blue",), '"beds" is missing; expected a whole number from 1 to 9'),
        (("beds",), 'got "beds" for a name; expected "red" or "blue"'),
        (("beds",), "got 3; expected a table with the keys beds, picture"),
    ]


def test_named_tables_are_rendered():
    files = generated(ROOT, (*TABLE, ROOMS_OPTION))
    assert "| `rooms.NAME.beds` | required | How many sleep there. |" in files["docs/configuration.md"]
    assert "#rooms = {}" in files["conf/sys.toml"]
    assert "picture: What it looks like." in files["conf/sys.config"]
    schema = json.loads(files["conf/schema.json"])["properties"]["hornbeam"]["properties"]["rooms"]
    jsonschema.Draft202012Validator.check_schema(schema)
    for good in ({}, None, {"red": {"beds": 1}}):
        jsonschema.validate(good, schema)
    for bad in ([], {"red": {}}, {"red": {"beds": "x"}}, {"green": {"beds": 1}}, {"red": {"beds": 1, "x": 1}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
