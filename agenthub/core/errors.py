"""Every refusal of the house: a class with a status and a code.

    Refused
    ├── BadRequest 400 ┬─ InvalidJson
    │                  └─ StateNotStorable
    ├── InvalidKey 401
    ├── NotSignedIn 401
    ├── ModelNotAllowed 403
    ├── RoleNotAllowed 403
    ├── CheckpointForbidden 403
    ├── NotFound 404 ┬─ ModelNotFound
    │                └─ CheckpointNotFound
    ├── MethodNotAllowed 405
    ├── RequestTimeout 408
    ├── Conflict 409 ┬─ IdempotencyAnswerNotKept
    │                ├─ CheckpointCorrupt
    │                ├─ UnsupportedVersion
    │                └─ StaleEpoch
    ├── RequestTooLarge 413 ── CheckpointTooLarge
    ├── IdempotencyKeyReused 422
    ├── RateLimited 429
    ├── BudgetExceeded 429
    ├── AllPoolsExhausted 503
    ├── QueueFull 503
    ├── ShuttingDown 503
    ├── JournalFull 503
    ├── SpoolFull 503
    ├── CheckpointsFull 503
    ├── UpstreamCredentialsRejected 502
    ├── StreamBroken 502
    └── UpstreamTimeout 504

One function per wire format turns a `Refused` into bytes (`proxy/wire/errors.py`); nothing else writes an error body.
"""


class Refused(Exception):
    """A request that will not be served, and why, in words meant for the caller."""

    status = 500
    code = "internal_error"
    type = "server_error"
    retrying_helps: bool | None = None  # what official clients are told of it; None: they decide by the status

    def __init__(self, message: str, *, param: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_seconds = retry_after_seconds


class BadRequest(Refused):
    """The request itself is wrong; sending it again unchanged will fail again."""

    status, code, type = 400, "invalid_request", "invalid_request_error"


class InvalidJson(BadRequest):
    """The body is not a JSON object."""

    code = "invalid_json"


class InvalidKey(Refused):
    """No key, an unknown key, or one that is disabled or expired."""

    status, code, type = 401, "invalid_api_key", "authentication_error"


class NotSignedIn(Refused):
    """A page's data, asked for by nobody that the hub knows."""

    status, code, type = 401, "not_authenticated", "authentication_error"


class StateNotStorable(BadRequest):
    """A state holds what JSON can't hold, or a name that no row can hold."""

    code = "state_not_storable"


class ModelNotAllowed(Refused):
    """The key is good but may not use this model."""

    status, code, type = 403, "model_not_allowed", "permission_error"


class RoleNotAllowed(Refused):
    """The caller is known, but its role does not allow this."""

    status, code, type = 403, "permission_denied", "permission_error"


class CheckpointForbidden(Refused):
    """The checkpoint is another agent's."""

    status, code, type = 403, "checkpoint_forbidden", "permission_error"


class NotFound(Refused):
    """No such route."""

    status, code, type = 404, "not_found", "invalid_request_error"


class ModelNotFound(NotFound):
    """No enabled backend maps the model."""

    code = "model_not_found"


class CheckpointNotFound(NotFound):
    """There is no such checkpoint, or none at all."""

    code = "checkpoint_not_found"


class MethodNotAllowed(Refused):
    """The route exists, but not for this method."""

    status, code, type = 405, "method_not_allowed", "invalid_request_error"


class Conflict(Refused):
    """The request is well formed, but what stands already does not allow it."""

    status, code, type = 409, "conflict", "invalid_request_error"


class IdempotencyAnswerNotKept(Conflict):
    """The request was answered before, but the answer was too large to be kept."""

    code = "idempotency_answer_not_kept"
    retrying_helps = False


class CheckpointCorrupt(Conflict):
    """What is stored is not what was saved: its hash is another one, or it is no document."""

    code = "checkpoint_corrupt"


class UnsupportedVersion(Conflict):
    """A checkpoint of a major version that this hub does not know."""

    code = "unsupported_version"


class StaleEpoch(Conflict):
    """A write of a time before the last restore: the agent has to load its state anew."""

    code = "stale_epoch"
    retrying_helps = False


class RequestTimeout(Refused):
    """The caller was too slow to send its request."""

    status, code, type = 408, "request_timeout", "invalid_request_error"
    retrying_helps = False


class RequestTooLarge(Refused):
    """The body is larger than the hub accepts."""

    status, code, type = 413, "request_too_large", "invalid_request_error"


class CheckpointTooLarge(RequestTooLarge):
    """A state is larger than checkpoint_max_bytes, or than a frame may be."""

    code = "checkpoint_too_large"


class RateLimited(Refused):
    """The client key has used up what it may do at the moment."""

    status, code, type = 429, "rate_limit_exceeded", "rate_limit_error"


class BudgetExceeded(Refused):
    """The client key has spent what it may spend in this period."""

    status, code, type = 429, "budget_exceeded", "rate_limit_error"
    retrying_helps = False


class IdempotencyKeyReused(Refused):
    """The Idempotency-Key came with another request before."""

    status, code, type = 422, "idempotency_key_reused", "invalid_request_error"
    retrying_helps = False


class AllPoolsExhausted(Refused):
    """Every backend of every pool was passed over or has failed."""

    status, code, type = 503, "all_pools_exhausted", "AllPoolsExhausted"


class QueueFull(Refused):
    """As many requests wait already as may wait."""

    status, code, type = 503, "queue_full", "AllPoolsExhausted"


class ShuttingDown(Refused):
    """The hub is stopping and takes no new requests."""

    status, code, type = 503, "shutting_down", "server_error"


class JournalFull(Refused):
    """Usage can no longer be recorded, and the hub is set to refuse rather than to lose count."""

    status, code, type = 503, "journal_full", "server_error"


class SpoolFull(Refused):
    """The disk has no room for a request body that is too large for memory."""

    status, code, type = 503, "spool_full", "server_error"


class CheckpointsFull(Refused):
    """The disk has no room for a checkpoint; nothing of it was kept."""

    status, code, type = 503, "checkpoints_full", "server_error"


class UpstreamCredentialsRejected(Refused):
    """Every backend that serves the model has refused the hub's own credentials."""

    status, code, type = 502, "upstream_credentials_rejected", "upstream_error"


class StreamBroken(Refused):
    """A stream broke off after content had gone to the client: the last event of it."""

    status, code, type = 502, "stream_broken", "upstream_error"


class UpstreamTimeout(Refused):
    """No backend answered within its time."""

    status, code, type = 504, "upstream_timeout", "upstream_error"
