"""Section ``hornbeam.admin``."""

from __future__ import annotations

from dataclasses import dataclass

from hornbeamd.config.address import Address
from hornbeamd.config.declare import Apply, option
from hornbeamd.config.kinds import Bind, ListOf

LIVE = Apply.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminOptions:
    """Section ``hornbeam.admin``: where the daemon tells orchestrators and Prometheus how it is."""

    bind: tuple[Address, ...] = option(
        (),
        ListOf(Bind(inherited=False)),
        LIVE,
        """Where /livez, /readyz and /metrics are answered: an address, or a list of them, as in bind; off when empty.
It is plain HTTP without passwords, for a network that clients are not in. Only while it is on requests are timed.""",
    )
