"""Each test has a node of its own."""

import pytest

from hornbeamd.node import alone, install


@pytest.fixture(autouse=True)
def node():
    node = alone()
    install(node)
    yield node
    install(None)
