import os

import pytest


@pytest.fixture
def full(monkeypatch):
    """Writing to descriptors can be made to fail, or to stop short: `full.room = 5`."""
    real = os.write

    class Full:
        room: int | None = None
        writes = 0

        def write(self, descriptor, data):
            self.writes += 1
            if self.room is None:
                return real(descriptor, data)
            if self.room == 0:
                raise OSError(28, "No space left on device")
            taken, self.room = data[: self.room], max(0, self.room - len(data))
            return real(descriptor, taken)

    double = Full()
    monkeypatch.setattr(os, "write", double.write)
    return double
