"""The functions of the configuration (worker/functions.py)."""

import math

import pytest

from hornbeamd.config.options import Options
from hornbeamd.errors import AppLoadError
from hornbeamd.node.offers import Offers
from hornbeamd.worker.functions import register


def test_each_is_registered_by_its_name():
    offers = Offers()
    register(Options(functions=(("root", "math:sqrt"), ("a name", "collections:OrderedDict.fromkeys"))), offers)
    assert offers.find("function:root").function(None) is math.sqrt
    assert offers.find("function:a name").function(None)("a") == {"a": None}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("no_such_module:f", "functions.broken: there is no module 'no_such_module'"),
        ("math:sqr", "functions.broken: 'math' has no attribute 'sqr'; did you mean 'sqrt'?"),
        ("math:pi", "functions.broken: 'math:pi' is of type float, not a callable"),
    ],
)
def test_one_that_cannot_be_loaded_is_named(spec, text):
    with pytest.raises(AppLoadError, match=r"functions\.broken") as caught:
        register(Options(functions=(("fine", "math:sqrt"), ("broken", spec))), Offers())
    assert str(caught.value).startswith(text)
