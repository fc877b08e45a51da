"""The rows: what is measured, in which unit, and how good it has to be."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row. `must` and `aim` are ceilings, or floors where more is better; `times` asks for a distance to Redis."""

    name: str
    title: str
    unit: str = "µs"
    digits: int = 1
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False
    times: tuple[float, float] | None = None


ALONE = (
    Figure(name="get", title="`state_get` of a small dict, p50", must=5, aim=2, times=(8, 15)),
    Figure(name="set", title="`state_set` of a small dict, p50"),
    Figure(name="incr", title="`state_incr`, p50", must=8, aim=4, times=(8, 15)),
    Figure(
        name="incr-two",
        title="two workers incrementing one key, against one",
        unit="times the rate",
        digits=2,
        must=0.5,
        aim=0.8,
        more_is_better=True,
    ),
    Figure(
        name="deliveries",
        title="deliveries, 1 publisher, 10 subscribers in 2 workers",
        unit="per second",
        digits=0,
        must=100_000,
        aim=300_000,
        more_is_better=True,
    ),
    Figure(name="cached-list", title="`cached_inference` hit, a list of 384 floats, p50", must=15, aim=5),
    Figure(name="cached-array", title="the same, a numpy array", must=15, aim=5),
)

WAKING = (
    Figure(name="bare", title="a message to another process and back over a pair of sockets, p50"),
    Figure(name="publish", title="`publish` with its count, from a thread, p50"),
    Figure(name="deliver-p50", title="`aio.publish` until a coroutine in another worker has it, p50", must=100, aim=60),
    Figure(name="deliver-p99", title="the same, p99", must=500, aim=200),
    Figure(name="deliver-thread-p50", title="`publish` in a thread, when all have been asleep, p50"),
    Figure(name="deliver-thread-p99", title="the same, p99"),
    Figure(name="thread-echo_soon", title="`call` of a coroutine function in another process, p50", must=150, aim=80),
    Figure(name="coroutine-echo_soon", title="the same by `aio.call`", must=150, aim=80),
    Figure(name="thread-echo", title="`call` of a plain function in another process, p50", must=150, aim=80),
    Figure(name="coroutine-echo", title="the same by `aio.call`", must=150, aim=80),
)

FIGURES = (
    *ALONE,
    *WAKING,
    *(replace(figure, name=f"resting-{figure.name}", title=f"resting cores: {figure.title}") for figure in WAKING),
)
