"""What is answered outside Django REST framework, described by hand in OpenAPI: the probes and SSE, and the proxy."""

from typing import Any

from agenthub.overview.raw_proxy import PROXY_PATHS, PROXY_SCHEMAS
from agenthub.overview.rules.series import SPANS, Point

_ERROR = {"$ref": "#/components/schemas/ErrorAnswer"}
_JSON = "application/json"


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


RAW_SCHEMAS: dict[str, Any] = {
    **PROXY_SCHEMAS,
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
    **PROXY_PATHS,
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
