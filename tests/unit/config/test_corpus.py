"""The files of tests/corpus/config: three spellings with one result, and broken files with their problems."""

import json
import sys
from pathlib import Path

import pytest

from hornbeamd.config import formats
from hornbeamd.config.resolve import load
from hornbeamd.errors import ConfigError

CORPUS = Path(__file__).parents[2] / "corpus/config"
GOOD = sorted(path.stem for path in (CORPUS / "good").glob("*.json"))
BROKEN = sorted(path for path in (CORPUS / "broken").iterdir() if path.suffix != ".expected")


def same(one, other):
    """Equal, and of equal types all the way down: 1 is not True."""
    if isinstance(one, dict):
        return type(other) is dict and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return type(other) is list and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("suffix", [".toml", ".config", ".yaml"])
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("by", ["name", "content"])
def test_three_spellings_have_one_result(name, suffix, by):
    path = CORPUS / "good" / (name + suffix)
    document = formats.read(path.read_text(), str(path) if by == "name" else "sys")
    assert same(document.data, json.loads((CORPUS / "good" / f"{name}.json").read_text()))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_a_broken_file_is_told_with_every_problem(path):
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    told = [
        problem.replace(str(path), "FILE").replace(str(path.parent), "FOLDER").replace(python, "PYTHON")
        for problem in caught.value.problems
    ]
    assert told == path.with_name(path.name + ".expected").read_text().splitlines()
