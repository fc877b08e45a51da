from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import modules
from tests.support.modules import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with modules.project(tmp_path) as project:
        yield project
