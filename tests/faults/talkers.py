"""Two agents that are killed as they talk: one sends numbers, the other keeps them in its state.

`python -m tests.faults.talkers send|receive FOLDER [TARGET]`; the hub and the token come by the environment.
"""

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from agenthub.client.agent import Agent, Message

MOST_OPEN = 32


def receive(folder: Path) -> None:
    """Keep every number that comes, in the order in which they come."""
    agent = Agent(state_dir=folder)

    @agent.message
    async def keep(message: Message) -> None:
        agent.state.setdefault("seen", []).append(int(message.text))

    agent.run()


def send(folder: Path, target: int) -> None:
    """Send number after number, and write down those that the hub has acknowledged."""
    agent = Agent(state_dir=folder)
    acked = folder / "acked"
    first = max(map(int, acked.read_text().split()), default=0) + 1 if acked.exists() else 1
    started = asyncio.Event()

    async def one(number: int, room: asyncio.Semaphore, before: "asyncio.Task[None] | None") -> None:
        await agent.send(target, str(number), local_id=f"number.{number}", wait=True)
        if before is not None:
            await before
        with acked.open("a") as file:
            file.write(f"{number}\n")
        room.release()

    async def all_of_them() -> None:
        room, last = asyncio.Semaphore(MOST_OPEN), None
        for number in count(first):
            await room.acquire()
            last = asyncio.create_task(one(number, room, last))
            await asyncio.sleep(0)

    @agent.connected
    async def begin() -> None:
        if not started.is_set():
            started.set()
            await all_of_them()

    agent.run()


if __name__ == "__main__":
    where = Path(sys.argv[2])
    os.makedirs(where, exist_ok=True)
    if sys.argv[1] == "send":
        send(where, int(sys.argv[3]))
    else:
        receive(where)
