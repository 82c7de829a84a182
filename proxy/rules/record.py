"""What the journal says of one request: a beginning before it leaves the hub, an end before its last byte.

The end alone is the whole record, so a beginning matters only when no end follows (the process died): the flusher
then closes it as `interrupted`. Both are msgspec arrays: compact, and fields may be added at the end (with a default)
without breaking journals that an older version wrote.
"""

from enum import StrEnum

import msgspec


class ErrorType(StrEnum):
    """Why a request did not end as its caller wished; empty for success. Stored in `UsageRecord.error_type`."""

    NONE = ""
    CLIENT_GONE = "client_gone"  # status 499
    CLIENT_ERROR = "client_error"  # the upstream's 400, 413 or 422, passed back
    CONTENT_FILTER = "content_filter"
    STREAM_BROKEN = "stream_broken"  # cut after content had been sent
    INTERRUPTED = "interrupted"  # the process died; closed by the replay


class Attempt(msgspec.Struct, array_like=True, frozen=True):
    """One try at one backend, for the request's time line."""

    backend_id: str
    outcome: str  # "ok", "429", "503", "connect_timeout", "refused", …
    status: int  # the upstream's HTTP status, 0 without one
    started_ms: int  # after the request's start
    elapsed_ms: int


class RequestBegun(msgspec.Struct, array_like=True, frozen=True, tag="b"):
    """Written before the request is sent to any backend."""

    id: str  # core.ids.request_id, also the x-request-id
    started_at_us: int  # epoch microseconds
    client_key_id: str  # "" when the proxy is open
    agent_id: str
    work_item_id: str
    endpoint: str  # "chat/completions", "completions", "embeddings"
    model: str
    stream: bool
    input_tokens_estimate: int


class RequestEnded(msgspec.Struct, array_like=True, frozen=True, tag="e"):
    """The whole usage record. Token classes are disjoint: a prompt is input + cache_read + cache_write, a completion
    is output + reasoning."""

    id: str
    started_at_us: int
    client_key_id: str
    agent_id: str
    work_item_id: str
    endpoint: str
    model: str
    native_id: str
    backend_id: str  # the backend that answered, or the last that was tried; "" if none was
    pool: str
    stream: bool
    status: int  # what the client got; 499 if it left
    error_type: str  # an ErrorType or the code of the refusal
    attempts: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_picousd: int | None  # 1e-12 USD; None when the model has no price, never 0 for that reason
    latency_us: int
    ttft_us: int | None  # None when no content was sent
    queue_wait_us: int
    emergency: bool
    partial: bool  # cancelled or cut: the usage is of what was generated until then
    trail: tuple[Attempt, ...] = ()


class Continued(msgspec.Struct, array_like=True, frozen=True, tag="c"):
    """The last entry of a segment whose writer went on to another: the beginnings still open here stand there too."""

    segment_id: str


JournalEntry = RequestBegun | RequestEnded | Continued
