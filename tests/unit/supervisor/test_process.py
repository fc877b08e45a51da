"""What is sent to a process arrives, however large it is and however late it is read."""

from __future__ import annotations

import anyio
from anyio import to_thread

from hornbeamd.jsonlines import encode
from hornbeamd.supervisor.process import WorkerProcess


def test_a_message_that_the_channel_does_not_take_at_once_arrives_as_a_whole() -> None:
    modules = [f"application.of.many.modules.{number}" for number in range(20_000)]

    async def send() -> None:
        process = WorkerProcess(1, 1, "")
        process.their_end.settimeout(10)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(process.listen, lambda message: None)
                message = {"do": "prove", "modules": modules}
                process.send(message)
                with process.their_end.makefile("rb") as reader:
                    assert await to_thread.run_sync(reader.readline) == encode(message)
                group.cancel_scope.cancel()
        finally:
            process.close()

    anyio.run(send)
