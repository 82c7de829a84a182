"""What is answered outside Django REST framework, described by hand in OpenAPI: the proxy's POSTs, the probes, SSE."""

from typing import Any

from agenthub.overview.rules.series import SPANS, Point

_ERROR = {"$ref": "#/components/schemas/ErrorAnswer"}
_JSON = "application/json"

_WHY = {
    "400": "invalid_json, or the upstream's own refusal of the request.",
    "401": "invalid_api_key: no key, an unknown one, or one that is disabled or expired.",
    "403": "model_not_allowed: the key is good, but not for this model.",
    "404": "model_not_found; the message names near misses.",
    "413": "request_too_large.",
    "429": "The upstream's or the key's limit; Retry-After says when.",
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


def _open(name: str, summary: str, schema: dict[str, Any], *, unavailable: bool = False) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "Well.", "content": {_JSON: {"schema": schema}}}}
    if unavailable:
        responses["503"] = {"description": "A part is away.", "content": {_JSON: {"schema": schema}}}
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "tags": ["health"],
            "security": [{}],
            "responses": responses,
        }
    }


def _dashboard(name: str, summary: str, description: str, content: dict[str, Any], **more: Any) -> dict[str, Any]:
    refused = {"401": "Not signed in as a member of the staff.", "403": "The role does not allow to see backends."}
    if "parameters" in more:
        refused["400"] = "A parameter that is not known."
    errors = {status: {"description": why, "content": {_JSON: {"schema": _ERROR}}} for status, why in refused.items()}
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "tags": ["dashboard"],
            "security": [{"adminToken": []}, {"staffSession": []}],
            "responses": {"200": {"description": description, "content": content}, **errors},
            **more,
        }
    }


def _request(*required: str, **properties: Any) -> dict[str, Any]:
    model = {"type": "string", "description": "A canonical model."}
    return {
        "type": "object",
        "description": "As OpenAI's own; fields that are not named here go to the upstream as they are.",
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

RAW_SCHEMAS: dict[str, Any] = {
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
    "Alive": {
        "type": "object",
        "required": ["status", "version", "uptime_seconds"],
        "properties": {
            "status": {"type": "string"},
            "version": {"type": "string"},
            "uptime_seconds": {"type": "number"},
        },
    },
    "UsageSeries": {
        "type": "object",
        "required": ["span", "bucket_seconds", "points"],
        "properties": {
            "span": {"type": "string"},
            "bucket_seconds": {"type": "integer"},
            "points": {"type": "array", "items": {"$ref": "#/components/schemas/UsagePoint"}},
        },
    },
    "UsagePoint": {
        "type": "object",
        "required": list(Point.__annotations__),
        "properties": {
            "at": {"type": "string", "format": "date-time"},
            "requests": {"type": "integer"},
            "errors": {"type": "integer"},
            "prompt_tokens": {"type": "integer"},
            "completion_tokens": {"type": "integer"},
            "cost_usd": {"type": ["string", "null"], "description": "Null where nothing had a price."},
            "latency_ms": {"type": ["number", "null"], "description": "Mean; null where no request ended well."},
            "ttft_ms": {"type": ["number", "null"], "description": "Mean; null where there was no content."},
        },
    },
    "Ready": {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string"}},
        "additionalProperties": {"type": "string"},
    },
}

RAW_PATHS: dict[str, Any] = {
    "/v1/chat/completions": _completion(
        "chat_completions", "Complete a chat", "ChatCompletionRequest", "ChatCompletion", streams=True
    ),
    "/v1/completions": _completion("completions", "Complete a text", "CompletionRequest", "Completion", streams=True),
    "/v1/embeddings": _completion("embeddings", "Embed texts", "EmbeddingRequest", "EmbeddingList", streams=False),
    "/health": _open("health", "Whether the process lives", {"$ref": "#/components/schemas/Alive"}),
    "/ready": _open(
        "ready", "Whether all its parts are there", {"$ref": "#/components/schemas/Ready"}, unavailable=True
    ),
    "/dashboard/sse": _dashboard(
        "dashboard_sse",
        "The live dashboard as server-sent events",
        'Events `data: {"type": "snapshot", "pool", "total", "backends", …}`, until the process stops.',
        {"text/event-stream": {"schema": {"type": "string"}}},
    ),
    "/dashboard/series": _dashboard(
        "dashboard_series",
        "The points of the dashboard's charts, oldest first",
        "`{span, bucket_seconds, points}`.",
        {_JSON: {"schema": {"$ref": "#/components/schemas/UsageSeries"}}},
        parameters=[
            {
                "name": "span",
                "in": "query",
                "description": "How far back, the running bucket included.",
                "schema": {"type": "string", "enum": list(SPANS), "default": "1h"},
            }
        ],
    ),
}
