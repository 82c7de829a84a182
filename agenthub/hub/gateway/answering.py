"""What senders are told of their frames: ACK and ERROR, or, of a plain client, the people who look after it."""

import asyncio
from typing import Any

from agenthub.core.clock import utc_now
from agenthub.hub.gateway.connection import Connection
from agenthub.hub.gateway.gateway import Gateway
from agenthub.hub.rules.closing import Close
from agenthub.hub.rules.envelope import frame_text
from agenthub.hub.rules.frames import LOG_BYTES, FrameRefused
from agenthub.hub.rules.limits import NOTES
from agenthub.hub.rules.rate import Bucket, Patience
from agenthub.hub.rules.rights import Role
from agenthub.hub.services.logs import Report

RETRY_MS = 1000


class Answers:
    """Answers of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()

    def acknowledge(self, connection: Connection, local_id: str | None, number: Any, **more: Any) -> None:
        """What was sent is on the disk."""
        if not connection.legacy:
            ack = {"v": 1, "type": "ACK", "local_id": local_id, "id": number, "dup": False}
            connection.control(frame_text(ack | more))

    def away(self, connection: Connection, local_id: str | None) -> None:
        """It could not be stored; the same may go well in a moment."""
        message = "The database is away; send it again."
        self.refuse(connection, FrameRefused("internal", message, local_id=local_id, retry_after_ms=RETRY_MS))

    def refuse(self, connection: Connection, problem: FrameRefused) -> None:
        """A frame is not acted on. Who sends too many of those has to leave."""
        now = self._loop.time()
        if connection.legacy:
            self._note(connection, problem, now)
        else:
            connection.error(
                problem.code, problem.message, local_id=problem.local_id, retry_after_ms=problem.retry_after_ms
            )
        if problem.code in ("bad_frame", "too_big"):
            connection.bad = connection.bad or Patience()
            if connection.bad.ends(now):
                connection.close(Close.BAD_FRAMES)
        elif problem.code == "rate_limited" and not connection.legacy:
            connection.floods = connection.floods or Patience(spaced=1.0)
            if connection.floods.ends(now):
                connection.close(Close.RATE_LIMIT)

    def _note(self, connection: Connection, problem: FrameRefused, now: float) -> None:
        """A plain client knows no errors: people are told instead, and not too often."""
        bucket = connection.buckets.setdefault("notes", Bucket(*NOTES))
        if connection.sender.role is Role.AGENT and not bucket.take(now):
            self._gateway.report(
                Report(
                    agent_id=connection.sender.id,
                    level="WARNING",
                    content=f"A frame was refused ({problem.code}): {problem.message}"[:LOG_BYTES],
                    created_at=utc_now(),
                )
            )
