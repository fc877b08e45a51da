"""What the load generators say, as counts."""

import pytest

from benchmarks.clients import counted_by_h2load
from benchmarks.processes import ServerFailed

SUMMARY = """
finished in 1.01s, 5286.00 req/s, 234.54KB/s
requests: 5286 total, 5542 started, 5286 done, 5286 succeeded, {failed} failed, 0 errored, {timeout} timeout
status codes: 5378 2xx, 0 3xx, 0 4xx, {broken} 5xx
traffic: 240.17KB (245934) total, 51.91KB (53154) headers (space savings 89.36%), 67.11KB (68718) data
"""


def test_h2load_counts_each_answer_that_the_server_gave():
    said = SUMMARY.format(failed=0, timeout=0, broken=0)
    assert counted_by_h2load(said) == {"requests": 5378, "seconds": 1.01, "errors": 0}


def test_whatever_is_not_a_good_answer_is_an_error():
    assert counted_by_h2load(SUMMARY.format(failed=1, timeout=2, broken=4))["errors"] == 7


def test_a_summary_that_is_not_understood_is_no_figure():
    with pytest.raises(ServerFailed, match="h2load: finished"):
        counted_by_h2load("finished early")
