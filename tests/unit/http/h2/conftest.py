"""The engines that the rules of HTTP/2 are proved for."""

import pytest

from hornbeamd.http.h2.engines import engine_factory
from tests.support.h2frames import Client, EngineFactory


@pytest.fixture(params=["native", "h2"])
def engine(request: pytest.FixtureRequest) -> EngineFactory:
    """Makes an engine of each kind."""
    return engine_factory(request.param)


@pytest.fixture
def client(engine: EngineFactory) -> Client:
    """A client that has sent the preface and its settings."""
    return Client(engine)
