"""The blocks of a streamed message: one is open at a time, the others wait their turn and lose nothing."""

from collections import deque

from proxy.wire.anthropic.members import Json, json_object

_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}


class Block:
    """One block, with what has come for it and not gone out yet."""

    __slots__ = ("_written", "call_id", "done", "kind", "name", "started", "waiting")

    def __init__(self, kind: str, call_id: str = "") -> None:
        self.kind = kind
        self.call_id = call_id
        self.name = ""
        self.waiting: list[str] = []
        self.started = False
        self.done = False
        self._written: list[str] = []  # the arguments of a call that went out, to see whether they are complete

    @property
    def nameable(self) -> bool:
        """Whether it can be started: a call can't before its name has come."""
        return self.kind != "tool_use" or bool(self.name)

    def opening(self) -> Json:
        """The `content_block` that starts it."""
        if self.kind == "tool_use":
            return {"type": "tool_use", "id": self.call_id, "name": self.name, "input": {}}
        if self.kind == "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        return {"type": "text", "text": ""}

    def delta(self) -> Json | None:
        """What waits, as one delta; None if nothing does."""
        text = "".join(self.waiting)
        self.waiting.clear()
        if not text:
            return None
        if self.kind == "tool_use":
            self._written.append(text)
        kind, member = _DELTAS[self.kind]
        return {"type": kind, member: text}

    def complete(self) -> bool:
        """Whether nothing more can come: text ends where something else begins, a call with the end of its JSON."""
        if self.kind != "tool_use":
            return True
        written = "".join(self._written)
        return bool(written.strip()) and json_object(written) is not None


class BlockLine:
    """The blocks of one message in the order of their beginning. The first is open, and goes out as it comes."""

    def __init__(self) -> None:
        self._line: deque[Block] = deque()
        self._index = 0
        self._stuck = False  # the open call was looked at and is not complete: what follows waits for the end

    @property
    def last(self) -> Block | None:
        """The block that began last, if it has not ended."""
        return self._line[-1] if self._line else None

    def begin(self, block: Block) -> list[Json]:
        """Put a new block at the end. Returns the events that follow from it."""
        self._line.append(block)
        events: list[Json] = []
        # Each call is looked at once at most: looking again at every delta would take quadratic time.
        while len(self._line) > 1 and not self._stuck:
            events += self._flow()
            if not (self._line[0].started and self._line[0].complete()):
                self._stuck = True
                break
            events.append(self._close())
        return events

    def add(self, block: Block, text: str) -> list[Json]:
        """More of a block. Returns the events that follow from it: none while it waits, or when it had ended."""
        if block.done:
            return []
        if text:
            block.waiting.append(text)
        return self._flow() if block is self._line[0] else []

    def end(self) -> list[Json]:
        """Whatever waits, and the end of every block."""
        events: list[Json] = []
        while self._line:
            events += self._flow(at_once=True)
            events.append(self._close())
        return events

    def _flow(self, *, at_once: bool = False) -> list[Json]:
        block = self._line[0]
        events: list[Json] = []
        if not block.started:
            if not block.nameable and not at_once:
                return []
            block.started = True
            start = {"type": "content_block_start", "index": self._index, "content_block": block.opening()}
            events.append(start)
        delta = block.delta()
        if delta is not None:
            events.append({"type": "content_block_delta", "index": self._index, "delta": delta})
        return events

    def _close(self) -> Json:
        self._line.popleft().done = True
        event = {"type": "content_block_stop", "index": self._index}
        self._index += 1
        return event
