"""Streams of text on their way: pieces in order, the text so far, and what comes after the end."""

from dataclasses import dataclass, field

TEXT_BYTES = 256 * 1024
IDLE_SECONDS = 600.0
LOST_SECONDS = 30.0
MOST_STREAMS = 32
"""Open streams of one sender; the oldest makes room."""

REMEMBERED = 256
"""Ends that are remembered of one sender, so that a late piece is refused."""


@dataclass(slots=True)
class Stream:
    """One stream that has begun."""

    target_id: int
    thread_id: int | None
    reply_to: int | None
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    next_idx: int = 0
    chat_sent: bool = False
    cut: bool = False  # the text is longer than what is kept
    at: float = 0.0

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Piece:
    """How a piece travels on."""

    idx: int
    gap: bool


class StreamClosed(Exception):
    """A piece of a stream that has ended."""


class Streams:
    """The streams of one sender."""

    def __init__(self) -> None:
        self._open: dict[str, Stream] = {}
        self._ended: dict[str, None] = {}

    def piece(
        self,
        stream_id: str,
        text: str,
        *,
        target_id: int,
        idx: int | None,
        now: float,
        thread_id: int | None = None,
        reply_to: int | None = None,
    ) -> Piece:
        """Take a piece; a gap is told on, no number (plain agents) is numbered here. Raises StreamClosed."""
        if stream_id in self._ended:
            raise StreamClosed(stream_id)
        stream = self._open.get(stream_id)
        if stream is None:
            stream = self._begin(stream_id, Stream(target_id, thread_id, reply_to))
        if stream.chat_sent or stream.target_id != target_id:
            raise StreamClosed(stream_id)
        number = stream.next_idx if idx is None else idx
        gap = number != stream.next_idx
        stream.next_idx = max(stream.next_idx, number + 1)
        stream.at = now
        size = len(text.encode())
        if stream.size + size <= TEXT_BYTES:
            stream.pieces.append(text)
            stream.size += size
        else:
            stream.cut = True
        return Piece(number, gap)

    def _begin(self, stream_id: str, stream: Stream) -> Stream:
        while len(self._open) >= MOST_STREAMS:
            self._end(next(iter(self._open)))
        self._open[stream_id] = stream
        return stream

    def chat(self, stream_id: str) -> None:
        """The final CHAT of a stream has come: it is the text now."""
        stream = self._open.get(stream_id)
        if stream is not None:
            stream.chat_sent = True
        elif stream_id not in self._ended:
            self._note_end(stream_id)

    def end(self, stream_id: str) -> Stream | None:
        """End a stream; the stream if its text must be stored since no CHAT has come. Raises StreamClosed when it has
        ended and its end was told already."""
        stream = self._open.pop(stream_id, None)
        if stream is None:
            if stream_id not in self._ended:
                self._note_end(stream_id)
            return None
        self._note_end(stream_id)
        return None if stream.chat_sent or not stream.pieces else stream

    def lost(self) -> list[tuple[str, Stream]]:
        """End all, since their sender is gone; those whose text must be stored."""
        left = [(name, stream) for name, stream in self._open.items() if not stream.chat_sent and stream.pieces]
        for name in list(self._open):
            self._end(name)
        return left

    def idle(self, now: float) -> list[tuple[str, Stream]]:
        """End those that have been still for too long; those whose text must be stored."""
        still = [(name, stream) for name, stream in self._open.items() if now - stream.at > IDLE_SECONDS]
        for name, _ in still:
            self._end(name)
        return [(name, stream) for name, stream in still if not stream.chat_sent and stream.pieces]

    def towards(self, target_id: int) -> list[tuple[str, Stream]]:
        """The open streams to somebody who has just come."""
        return [
            (name, stream)
            for name, stream in self._open.items()
            if stream.target_id == target_id and not stream.chat_sent
        ]

    def is_open(self, stream_id: str) -> bool:
        """Whether pieces of a stream may still go out."""
        stream = self._open.get(stream_id)
        return stream is not None and not stream.chat_sent

    @property
    def any(self) -> bool:
        """Whether any is open."""
        return bool(self._open)

    def _end(self, stream_id: str) -> None:
        self._open.pop(stream_id, None)
        self._note_end(stream_id)

    def _note_end(self, stream_id: str) -> None:
        self._ended[stream_id] = None
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
