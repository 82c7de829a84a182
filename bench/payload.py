"""What the bench asks and what the upstream answers."""

import json

JSON_MODEL = "bench-json"
STREAM_MODEL = "bench-stream"
PATH = "/v1/chat/completions"

_SENTENCE = "The harbour was quiet that morning and the boats lay still upon the water. "
_MESSAGES = (("system", 2), ("user", 3), ("assistant", 4), ("user", 3))

JSON_ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "native-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": _SENTENCE * 4},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 210, "completion_tokens": 64, "total_tokens": 274},
    },
    separators=(",", ":"),
)


def json_body(*, least_bytes: int = 0) -> str:
    """A chat request with four messages, of about 1 kB or of at least `least_bytes`."""
    messages = [{"role": role, "content": _SENTENCE * times} for role, times in _MESSAGES]
    missing = least_bytes - sum(len(message["content"]) for message in messages)
    if missing > 0:
        messages[1]["content"] += _SENTENCE * (missing // len(_SENTENCE) + 1)
    return json.dumps({"model": JSON_MODEL, "temperature": 0.7, "messages": messages}, separators=(",", ":"))


def stream_body(*, chunks: int, interval_us: int) -> str:
    """A chat request whose last message tells the upstream how to stream."""
    messages = [{"role": role, "content": _SENTENCE * times} for role, times in _MESSAGES]
    messages[-1]["content"] += f"chunks={chunks} interval={interval_us}us"
    return json.dumps({"model": STREAM_MODEL, "stream": True, "messages": messages}, separators=(",", ":"))


def wrk_script(body: str, key: str) -> str:
    """What wrk sends, and its findings as one line of JSON."""
    return f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.body = [==[{body}]==]
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{{"requests": %d, "seconds": %.6f, "errors": %d, "p50_us": %.1f, "p99_us": %.1f}}\\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""
