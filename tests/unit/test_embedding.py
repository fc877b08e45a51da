"""What start() refuses before it starts anything."""

import pytest

import hornbeamd
from hornbeamd import node
from hornbeamd.config.options import Options
from hornbeamd.node import Place


@pytest.fixture
def worker(tmp_path):
    """This process is one of a server."""
    joined = node.joined(Place(str(tmp_path), str(tmp_path / "state")), Options(), "worker 1")
    node.install(joined)
    yield
    node.install(None)
    joined.store.close()
    joined.cache.close()


def test_a_worker_starts_no_server(worker):
    with pytest.raises(RuntimeError, match="__main__"):
        hornbeamd.start("app:application")
