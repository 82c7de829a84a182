"""Gates hold answers back until somebody lets them go on, so that a test decides what happens before what."""

import asyncio

WIDE_OPEN = 1 << 60


class Gate:
    """Lets answers take their first so many steps: the head is step 1, the first chunk step 2, and so on."""

    def __init__(self) -> None:
        self._open_until = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def passed(self, step: int) -> None:
        """Wait until the gate is open for this step."""
        if step > self._open_until:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((step, future))
            await future

    def open(self, steps: int = WIDE_OPEN) -> None:
        """Open the gate up to and with this step. It never closes again. To be called on the stand-in's loop."""
        self._open_until = max(self._open_until, steps)
        waiting, self._waiting = self._waiting, []
        for step, future in waiting:
            if step > self._open_until:
                self._waiting.append((step, future))
            elif not future.done():
                future.set_result(None)
