"""The generated files: up to date, complete, and saying what the table says."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from hornbeamd.config import formats
from hornbeamd.config.options import TABLE, Options
from hornbeamd.config.render import docs, generated
from hornbeamd.config.resolve import load

ROOT = Path(__file__).parents[3]
FILES = generated(ROOT)
SAMPLES = ["conf/sys.toml", "conf/sys.yaml", "conf/sys.config"]
MINIMAL = ["conf/minimal.toml", "conf/minimal.yaml", "conf/minimal.config"]
SCHEMA = json.loads(FILES["conf/schema.json"])

DEFAULTS = Options(app="myapp:application", pythonpath=(str(ROOT / "conf"),))


def switched_on(text):
    """The sample with the sign taken away that switches each option off."""
    return re.sub(r"^( *)(#(?=\w)|%(?=,))", r"\1", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", FILES)
def test_the_file_in_the_repository_is_what_the_table_gives(name):
    assert (ROOT / name).read_text(encoding="utf-8") == FILES[name], "run scripts/render"


@pytest.mark.parametrize("name", [name for name in FILES if "minimal" not in name])
def test_every_option_is_in_every_file(name):
    text = FILES[name].replace("\\-", "-")
    spelled = "flag" if name.endswith(".8") else "key"
    bare = name.startswith("conf/")
    for option in TABLE:
        word = getattr(option, spelled)
        assert (word.rpartition(".")[2] if bare else word) in text, option.key


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_the_defaults(name):
    assert load(str(ROOT / name)).options == DEFAULTS


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_with_every_option_switched_on_is_the_defaults_too(name, tmp_path):
    path = tmp_path / Path(name).name
    path.write_text(switched_on(FILES[name]))
    loaded = load(str(path))
    assert {key for key, source in loaded.provenance.items() if source == "default"} == set()
    assert loaded.options == Options(app="myapp:application", pythonpath=(str(tmp_path),))


def test_the_minimal_samples_are_one():
    first, *others = (load(str(ROOT / name)).options for name in MINIMAL)
    assert [other == first for other in others] == [True, True]
    assert (first.workers, str(first.bind[0])) == (2, ":8000")


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", SAMPLES + MINIMAL)
def test_the_schema_takes_the_samples(name):
    for text in (FILES[name], switched_on(FILES[name])):
        jsonschema.validate(formats.read(text, name).data, SCHEMA)


CORPUS = ROOT / "tests/corpus/config/good"


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.toml")), ids=lambda path: path.name)
def test_the_schema_takes_the_corpus(path):
    jsonschema.validate(formats.read(path.read_text(), path.name).data, SCHEMA)


@pytest.mark.parametrize(
    "section",
    [
        {"worker": 1},
        {"workers": "four"},
        {"workers": 0},
        {"timeout": "1 year"},
        {"bind": []},
        {"unix_socket_mode": 660},
        {"max_body_size": "lots"},
        {"lifespan": True},
        {"log": {"level": "loud"}},
    ],
)
def test_the_schema_refuses_what_we_refuse(section):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"hornbeam": section}, SCHEMA)


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="has no"):
        docs.render("# Configuration\n", TABLE)


def test_the_examples_of_the_docs_are_one(tmp_path):
    page = (ROOT / "docs/configuration.md").read_text()
    blocks = dict(re.findall(r"```(toml|yaml|erlang)\n(.*?)```", page, re.DOTALL))
    toml, yaml, eterms = (
        formats.read(blocks[name], f"x.{suffix}").data
        for name, suffix in (("toml", "toml"), ("yaml", "yaml"), ("erlang", "config"))
    )
    assert toml == yaml == eterms
