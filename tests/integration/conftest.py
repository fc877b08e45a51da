"""What several of these tests share."""

import pytest


@pytest.fixture(params=["native", "h2"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine of HTTP/2."""
    return request.param
