import pytest

from hornbeamd.reload.debounce import Debounce


@pytest.fixture
def debounce():
    return Debounce(quiet=0.5, longest=2.0)


def test_nothing_is_due_before_something_changes(debounce):
    assert debounce.due_in(100.0) is None


def test_changes_are_due_once_they_rest(debounce):
    debounce.note(100.0)
    assert debounce.due_in(100.0) == 0.5
    debounce.note(100.25)
    assert debounce.due_in(100.5) == 0.25
    assert debounce.due_in(100.75) == 0
    assert debounce.due_in(200.0) == 0


def test_changes_that_never_rest_are_due_all_the_same(debounce):
    for step in range(8):
        debounce.note(100.0 + step / 4)
    assert debounce.due_in(101.75) == 0.25
    debounce.note(101.9)
    assert debounce.due_in(102.0) == 0


def test_what_is_seen_to_is_due_no_more(debounce):
    debounce.note(100.0)
    debounce.take()
    assert debounce.due_in(101.0) is None
    debounce.note(200.0)
    assert debounce.due_in(200.0) == 0.5
