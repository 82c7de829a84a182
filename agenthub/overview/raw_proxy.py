"""The proxy's own endpoints, described by hand in OpenAPI: they never come to Django REST framework."""

from typing import Any

_ERROR = {"$ref": "#/components/schemas/ErrorAnswer"}
_JSON = "application/json"

_WHY = {
    "400": "invalid_json, or the upstream's own refusal of the request.",
    "401": "invalid_api_key: no key, an unknown one, or one that is disabled or expired.",
    "403": "model_not_allowed: the key is good, but not for this model.",
    "404": "model_not_found; the message names near misses.",
    "413": "request_too_large.",
    "409": "idempotency_answer_not_kept.",
    "422": "idempotency_key_reused, or the upstream's own refusal of the request.",
    "429": "rate_limit_exceeded or budget_exceeded: the key's own limits; Retry-After says when.",
    "502": "upstream_credentials_rejected or upstream_invalid_response.",
    "503": "all_pools_exhausted, queue_full, shutting_down or journal_full; with Retry-After where a time is known.",
    "504": "upstream_timeout.",
}

_ROUTING_HEADERS: dict[str, Any] = {
    name: {"schema": {"type": "string"}, "description": description}
    for name, description in {
        "x-request-id": "The id of the request, also of its usage record.",
        "x-agenthub-backend": "The backend that answered.",
        "x-agenthub-pool": "Its pool.",
        "x-agenthub-attempts": "How many attempts it took.",
        "x-agenthub-cache": "hit or miss, where the response cache was asked.",
        "x-ratelimit-remaining-requests": "Of the key's requests per minute, where it has such a limit.",
        "x-ratelimit-remaining-tokens": "Of the key's tokens per minute, where it has such a limit.",
    }.items()
}


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: {"description": _WHY[status], "content": {_JSON: {"schema": _ERROR}}} for status in statuses}


def _completion(name: str, summary: str, body: str, answer: str, *, streams: bool) -> dict[str, Any]:
    content: dict[str, Any] = {_JSON: {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    if streams:
        content["text/event-stream"] = {
            "schema": {"type": "string", "description": "Events `data: {…}`, the last one `data: [DONE]`."}
        }
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "tags": ["proxy"],
            "security": [{"clientKey": []}],
            "requestBody": {
                "required": True,
                "content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{body}"}}},
            },
            "responses": {
                "200": {"description": "The upstream's answer.", "headers": _ROUTING_HEADERS, "content": content},
                **_errors(*_WHY),
            },
        }
    }


def _passed(name: str, summary: str, *, form: bool = False, json: bool = True, answer: str = _JSON) -> dict[str, Any]:
    """An endpoint of which the proxy understands the model alone."""
    anything: dict[str, Any] = {"type": "object", "additionalProperties": {}}
    body = ({_JSON: {"schema": anything}} if json else {}) | (
        {"multipart/form-data": {"schema": anything}} if form else {}
    )
    schema = anything if answer == _JSON else {"type": "string", "format": "binary"}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["proxy"],
        "security": [{"clientKey": []}],
        **({"requestBody": {"required": True, "content": body}} if body else {}),
        "responses": {
            "200": {
                "description": "The upstream's answer.",
                "headers": _ROUTING_HEADERS,
                "content": {answer: {"schema": schema}},
            },
            **_errors(*_WHY),
        },
    }


def _of_file(operation: dict[str, Any]) -> dict[str, Any]:
    parameter = {"name": "file_id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {**operation, "parameters": [parameter]}


def _request(*required: str, **properties: Any) -> dict[str, Any]:
    model = {"type": "string", "description": "A canonical model."}
    return {
        "type": "object",
        "description": "As the provider's own; fields that are not named here go to the upstream as they are.",
        "required": ["model", *required],
        "properties": {"model": model, **properties},
        "additionalProperties": {},
    }


def _answer(kind: str, listed: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "As the upstream gives it.",
        "properties": {
            "id": {"type": "string"},
            "object": {"type": "string", "examples": [kind]},
            "model": {"type": "string"},
            listed: {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
            "usage": {"type": "object", "additionalProperties": {}},
        },
        "additionalProperties": {},
    }


_STREAM = {"type": "boolean", "default": False, "description": "Answer in server-sent events."}

PROXY_SCHEMAS: dict[str, Any] = {
    "ChatCompletionRequest": _request(
        "messages",
        messages={"type": "array", "items": {"type": "object", "additionalProperties": {}}},
        stream=_STREAM,
        stream_options={"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
    ),
    "ChatCompletion": _answer("chat.completion", "choices"),
    "CompletionRequest": _request("prompt", prompt={}, stream=_STREAM),
    "Completion": _answer("text_completion", "choices"),
    "EmbeddingRequest": _request("input", input={}),
    "EmbeddingList": _answer("list", "data"),
    "MessageRequest": _request(
        "messages",
        "max_tokens",
        messages={"type": "array", "items": {"type": "object", "additionalProperties": {}}},
        max_tokens={"type": "integer"},
        system={},
        stream=_STREAM,
    ),
    "Message": _answer("message", "content"),
    "TokenCount": {
        "type": "object",
        "required": ["input_tokens"],
        "properties": {"input_tokens": {"type": "integer"}},
        "additionalProperties": {},
    },
    "ResponseRequest": _request("input", input={}, instructions={"type": ["string", "null"]}, stream=_STREAM),
    "Response": _answer("response", "output"),
}

PROXY_PATHS: dict[str, Any] = {
    "/v1/chat/completions": _completion(
        "chat_completions", "Complete a chat", "ChatCompletionRequest", "ChatCompletion", streams=True
    ),
    "/v1/completions": _completion("completions", "Complete a text", "CompletionRequest", "Completion", streams=True),
    "/v1/embeddings": _completion("embeddings", "Embed texts", "EmbeddingRequest", "EmbeddingList", streams=False),
    "/v1/messages": _completion(
        "messages", "Answer a message (Anthropic's format)", "MessageRequest", "Message", streams=True
    ),
    "/v1/messages/count_tokens": _completion(
        "messages_count_tokens", "Count the tokens of a message", "MessageRequest", "TokenCount", streams=False
    ),
    "/v1/responses": _completion(
        "responses", "Respond (OpenAI's newer format)", "ResponseRequest", "Response", streams=True
    ),
    "/v1/images/generations": {"post": _passed("images_generations", "Make images")},
    "/v1/images/edits": {"post": _passed("images_edits", "Change images", form=True)},
    "/v1/images/variations": {"post": _passed("images_variations", "Vary an image", form=True, json=False)},
    "/v1/audio/speech": {"post": _passed("audio_speech", "Speak a text", answer="audio/mpeg")},
    "/v1/audio/transcriptions": {"post": _passed("audio_transcriptions", "Write sound down", form=True, json=False)},
    "/v1/audio/translations": {"post": _passed("audio_translations", "Translate sound", form=True, json=False)},
    "/v1/moderations": {"post": _passed("moderations", "Judge texts")},
    "/v1/rerank": {"post": _passed("rerank", "Rank documents")},
    "/v1/files": {
        "get": _passed("files_list", "List files", json=False),
        "post": _passed("files_create", "Keep a file", form=True, json=False),
    },
    "/v1/files/{file_id}": {
        "get": _of_file(_passed("files_read", "Read about a file", json=False)),
        "delete": _of_file(_passed("files_delete", "Delete a file", json=False)),
    },
    "/v1/files/{file_id}/content": {
        "get": _of_file(_passed("files_content", "Read a file", json=False, answer="application/octet-stream"))
    },
}
