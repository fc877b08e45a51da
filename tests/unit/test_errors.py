"""The tree in the docstring of errors.py is the tree of its classes."""

import inspect
import re

from hornbeamd import errors


def test_the_tree_is_as_drawn():
    drawn, path = {}, {}
    for line in errors.__doc__.splitlines():
        if match := re.match(r"(?P<lead>[ │├└─]*)(?P<name>[A-Z]\w+)(  |$)", line):
            depth = len(match["lead"]) // 4 - 1
            path[depth] = match["name"]
            drawn[match["name"]] = path.get(depth - 1)
    members = inspect.getmembers(errors, inspect.isclass)
    classes = {name: kind for name, kind in members if kind.__module__ == errors.__name__}
    assert drawn == {
        name: kind.__bases__[0].__name__ if kind is not errors.HornbeamError else None for name, kind in classes.items()
    }


def test_two_are_what_others_catch_as_well():
    """ASGI has ``send`` raise OSError when the client is gone; frameworks catch it by that."""
    assert issubclass(errors.ClientGone, OSError)
    assert issubclass(errors.ResponseError, RuntimeError)
