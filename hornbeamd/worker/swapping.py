"""What the supervisor asks of a process in a reload in place, and what it answers.

=========== ====================================== =============================================================
question    about                                  answer
=========== ====================================== =============================================================
``look``    ``everything``                         ``modules`` that would be loaded anew
``prepare`` ``generation``, ``everything``,        ``modules`` that were: the new code is loaded and started up,
            ``options``                            beside what serves; ``signs`` of all texts by module
``commit``                                         nothing: what begins from now on runs on the new code
``revert``                                         nothing, and nothing of the new code is left
=========== ====================================== =============================================================

The first two may be answered with ``unable`` and the reason: nothing has happened then. To ``look`` it comes with the
``modules`` as far as they are known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from hornbeamd.errors import CannotSwap
from hornbeamd.worker.answers import Subject
from hornbeamd.worker.channel import Message, unpacked
from hornbeamd.worker.generations import Generation, Generations
from hornbeamd.worker.tracebacks import blame

log = logging.getLogger("hornbeamd.worker")


class Swapping:
    """Carries them out on *generations*; *adopt* has the process serve a new one."""

    def __init__(self, generations: Generations, adopt: Callable[[Generation], None]) -> None:
        self._generations = generations
        self._adopt = adopt
        self._preparing: asyncio.Task[tuple[str, ...]] | None = None

    @property
    def subjects(self) -> dict[str, Subject]:
        """The questions."""
        return {"look": self._look, "prepare": self._prepare, "commit": self._commit, "revert": self._revert}

    def give_up(self) -> None:
        """The process is about to end."""
        if self._preparing is not None:
            self._preparing.cancel()

    async def _look(self, message: Message) -> dict[str, Any]:
        try:
            return {"modules": await self._generations.look(everything=message["everything"])}
        except CannotSwap as error:
            return {"unable": str(error), "modules": error.modules}

    async def _prepare(self, message: Message) -> dict[str, Any]:
        options = unpacked(message["options"])
        work = self._generations.prepare(message["generation"], options, everything=message["everything"])
        self._preparing = asyncio.get_running_loop().create_task(work)
        await asyncio.wait([self._preparing])
        try:
            return {"modules": self._preparing.result(), "signs": self._generations.signs}
        except CannotSwap as error:
            return {"unable": str(error)}
        except asyncio.CancelledError:
            return {"unable": "a process was told to end"}
        except Exception as error:
            # It was tried in a process of its own before: what fails is to have it beside the old.
            log.warning("the new code fails beside the old", extra={"fields": {"traceback": blame(error)}})
            return {"unable": f"the new code fails beside the old: {type(error).__name__}: {error}"}

    async def _commit(self, message: Message) -> dict[str, Any]:
        self._adopt(self._generations.commit())
        return {}

    async def _revert(self, message: Message) -> dict[str, Any]:
        if self._preparing is not None and not self._preparing.done():
            self._preparing.cancel()
            await asyncio.wait([self._preparing])
        await self._generations.revert()
        return {}
