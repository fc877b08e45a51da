from __future__ import annotations

import os
import subprocess
import sys

from hornbeamd.admin.usage import usage
from tests.support.waiting import wait_until


def test_our_own_is_what_the_system_says() -> None:
    found = usage(os.getpid())
    assert found is not None
    assert found.cpu > 0
    assert found.memory > 1 << 20
    before = found.descriptors
    assert before is not None
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    try:
        after = usage(os.getpid())
        assert after is not None
        assert after.descriptors == before + 3
    finally:
        for fd in opened:
            os.close(fd)


def test_a_name_with_brackets_and_spaces_confuses_nobody() -> None:
    script = "import time; open('/proc/self/comm', 'w').write('a) S 1 (b'); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = usage(process.pid)
        process.kill()
    assert found is not None
    assert found.memory > 1 << 20


def test_who_is_gone_takes_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    wait_until(lambda: usage(process.pid) is None)
