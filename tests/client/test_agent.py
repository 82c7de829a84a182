"""An agent against a hub that misbehaves at chosen moments."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agenthub.client.agent import Agent, Message
from agenthub.client.frames import NotTaken, Stopped
from tests.client.scripted_hub import ScriptedHub

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def serving(hub: ScriptedHub, folder: Path) -> AsyncIterator[tuple[Agent, asyncio.Event]]:
    """An agent that keeps the texts of its messages, and the event of its first welcome."""
    agent = Agent(hub.url, "aht_1_test", state_dir=folder)
    welcomed = asyncio.Event()

    @agent.message
    async def keep(message: Message) -> None:
        agent.state.setdefault("seen", []).append(message.text)

    @agent.connected
    async def begun() -> None:
        welcomed.set()

    served = asyncio.create_task(agent.serve())
    try:
        async with asyncio.timeout(10):
            await welcomed.wait()
        yield agent, welcomed
    finally:
        agent.stop()
        await served


async def until_seen(agent: Agent, count: int) -> list[str]:
    async with asyncio.timeout(10):
        while len(agent.state.get("seen", [])) < count:  # noqa: ASYNC110 - the state is a plain dictionary
            await asyncio.sleep(0.01)
    return list(agent.state["seen"])


async def test_what_is_refused_for_the_moment_is_sent_again_and_nothing_is_skipped(tmp_path: Path) -> None:
    async with ScriptedHub().running() as hub:
        left = {"n3": 2, "n4": 1}

        def refuse(frame: dict[str, Any]) -> dict[str, Any] | None:
            if left.get(frame["local_id"], 0) == 0:
                return None
            left[frame["local_id"]] -= 1
            return {"code": "internal", "retry_after_ms": 20}

        hub.refuse = refuse
        async with serving(hub, tmp_path) as (agent, _):
            async with asyncio.timeout(10):
                await asyncio.gather(*(agent.send(2, "x", local_id=f"n{n}", wait=True) for n in range(8)))
        assert sorted(hub.kept) == [f"n{n}" for n in range(8)]


async def test_what_is_refused_for_good_is_told_and_not_sent_again(tmp_path: Path) -> None:
    async with ScriptedHub().running() as hub:
        hub.refuse = lambda frame: {"code": "unknown_target"} if frame["target_id"] == 9 else None
        async with serving(hub, tmp_path) as (agent, _):
            with pytest.raises(NotTaken) as refused:
                await agent.send(9, "x", wait=True)
            assert refused.value.code == "unknown_target"
            await agent.send(2, "x", local_id="good", wait=True)
        assert hub.kept == ["good"]


async def test_messages_that_come_again_have_their_effect_once(tmp_path: Path) -> None:
    async with ScriptedHub().running() as hub:
        hub.inbox = ["one", "two", "three"]
        async with serving(hub, tmp_path) as (agent, _):
            assert await until_seen(agent, 3) == ["one", "two", "three"]
            await hub.hand_out(hub.sockets[-1], 2)
            hub.inbox.append("four")
            await hub.hand_out(hub.sockets[-1], 4)
            assert await until_seen(agent, 4) == ["one", "two", "three", "four"]
        async with serving(hub, tmp_path) as (agent, _):
            assert hub.hellos[-1]["resume"] == {"epoch": "e1", "last_seq": 4}
            assert agent.state["seen"] == ["one", "two", "three", "four"]


async def test_a_missing_number_is_asked_for_anew(tmp_path: Path) -> None:
    async with ScriptedHub().running() as hub:
        hub.inbox = ["one"]
        async with serving(hub, tmp_path) as (agent, _):
            await until_seen(agent, 1)
            hub.inbox += ["two", "three"]
            await hub.hand_out(hub.sockets[-1], 3)
            assert await until_seen(agent, 3) == ["one", "two", "three"]
        assert len(hub.hellos) == 2


async def test_after_a_restore_the_new_numbers_are_taken_from_their_beginning(tmp_path: Path) -> None:
    async with ScriptedHub().running() as hub:
        hub.inbox = ["old"] * 5
        async with serving(hub, tmp_path) as (agent, _):
            await until_seen(agent, 5)
        hub.epoch, hub.resumes, hub.inbox = "e2", False, ["new one", "new two"]
        hub.after_welcome = [{"type": "GAP", "from": 1, "to": 5, "reason": "restored"}]
        async with serving(hub, tmp_path) as (agent, _):
            assert (await until_seen(agent, 7))[5:] == ["new one", "new two"]


async def test_numbers_that_are_gone_are_passed_over_when_the_hub_says_so(tmp_path: Path) -> None:
    async with ScriptedHub().running() as hub:
        hub.inbox = ["one"]
        async with serving(hub, tmp_path) as (agent, _):
            await until_seen(agent, 1)
            await hub._send(hub.sockets[-1], type="GAP", **{"from": 2, "to": 3}, reason="expired")
            hub.inbox += ["two", "three", "four"]
            await hub.hand_out(hub.sockets[-1], 4)
            assert await until_seen(agent, 2) == ["one", "four"]


async def test_a_token_that_was_revoked_ends_the_agent(tmp_path: Path) -> None:
    async with ScriptedHub().running() as hub:
        hub.token_works = False
        with pytest.raises(Stopped, match="new one"):
            await Agent(hub.url, "aht_1_test", state_dir=tmp_path).serve()
