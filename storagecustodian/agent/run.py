"""`agenthub custodian`: the Storage-Custodian, an agent that looks after a folder.

Written to be read: it uses nothing but the client library, as your own agent would.
"""

import asyncio
import os
import sys
from pathlib import Path

import httpx

from agenthub.client.agent import Agent, Message
from agenthub.client.frames import Stopped
from agenthub.client.memory import MemoryInUse
from storagecustodian.agent import replies
from storagecustodian.agent.folder import Folder, NotAFile

REPORT_SECONDS = 300.0
LLM_SECONDS = 60.0


def custodian(folder: Folder, *, token: str, url: str | None = None, report_seconds: float = REPORT_SECONDS) -> Agent:
    """The agent; `run` it."""
    agent = Agent(url, token, name="Storage-Custodian", version="1", capabilities=("storage",))
    beginning = asyncio.Event()

    @agent.command("get_status", help="How many files and bytes there are.")
    def get_status(_: Message) -> str:
        return _reported(replies.status(folder.figures()))

    @agent.command("list_files", args="[recursive]", help="The names of the files.")
    def list_files(_: Message, *words: str) -> str:
        return _reported(replies.listing(folder.files(recursive="recursive" in words)))

    @agent.command("get_file", args="NAME [OFFSET]", help="The content of a file.")
    def get_file(_: Message, name: str = "", offset: str = "0") -> str:
        if not name:
            return "get_file needs the name of a file; list_files shows what there is."
        if not offset.isdecimal() or len(offset) > 15:
            return "The offset is a number of bytes."
        try:
            piece = folder.piece(name, offset=int(offset), most=replies.PIECE_BYTES)
        except NotAFile as refusal:
            return str(refusal)
        return _reported(replies.content(name, piece))

    @agent.message
    async def anything_else(message: Message) -> str:
        figures = await asyncio.to_thread(folder.figures)
        return _reported(await _asked(message.text, replies.status(figures)) or replies.HELP)

    @agent.connected
    async def report() -> None:
        """Say at the start what there is, then from time to time how it stands."""
        if beginning.is_set():
            return
        beginning.set()
        agent.log("SUCCESS", replies.started(folder.name, len(await asyncio.to_thread(folder.files))))
        count = int(agent.state.get("reports", 0))
        while True:
            figures = await asyncio.to_thread(folder.figures)
            warning, agent.state["told"] = replies.disk_warning(figures.disk_percent, agent.state.get("told", 0.0))
            if warning:
                agent.log("WARNING", warning)
            count += 1
            agent.state["reports"] = count
            state = {"files": figures.total_files, "bytes": figures.total_size, "told": agent.state["told"]}
            await agent.checkpoint("watch", count, state, replies.status(figures))
            await asyncio.sleep(report_seconds)
            agent.log("INFO", replies.status(figures), disk_percent=round(figures.disk_percent, 1))

    def _reported(answer: str) -> str:
        agent.log("INFO", f"Answered: {answer.splitlines()[0][:200]}" if answer else "Answered with nothing.")
        return answer

    return agent


async def _asked(question: str, figures: str) -> str:
    """What a model says over the real figures; "" where none is set up, or it does not answer."""
    model, key = os.environ.get("AGENTHUB_CUSTODIAN_MODEL"), os.environ.get("AGENTHUB_CUSTODIAN_KEY", "")
    if not model or not question:
        return ""
    url = os.environ.get("AGENTHUB_URL") or "http://127.0.0.1:9190"
    told = f"You look after a folder of files. {figures}. Answer shortly, from these figures alone. {replies.HELP}"
    messages = [{"role": "system", "content": told}, {"role": "user", "content": question}]
    try:
        async with httpx.AsyncClient(timeout=LLM_SECONDS) as client:
            answer = await client.post(
                f"{url.rstrip('/')}/v1/chat/completions",
                headers={"authorization": f"Bearer {key}"},
                json={"model": model, "messages": messages},
            )
        answer.raise_for_status()
        return str(answer.json()["choices"][0]["message"]["content"] or "")
    except (httpx.HTTPError, LookupError, ValueError, TypeError):
        return ""


def main() -> int:
    """Serve until SIGTERM; 1 when the hub does not want this agent."""
    token = os.environ.get("AGENTHUB_AGENT_TOKEN") or os.environ.get("STORAGE_CUSTODIAN_TOKEN")
    if not token:
        sys.stderr.write("agenthub custodian needs the agent's token in AGENTHUB_AGENT_TOKEN.\n")
        return 2
    data_dir = Path(os.environ.get("AGENTHUB_DATA_DIR") or "data")
    folder = Folder(Path(os.environ.get("STORAGE_DIR") or data_dir / "hive_storage"))
    try:
        custodian(folder, token=token).run()
    except (Stopped, MemoryInUse) as problem:
        sys.stderr.write(f"The custodian stops: {problem}\n")
        return 1
    return 0
