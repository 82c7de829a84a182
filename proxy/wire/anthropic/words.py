"""Ids and reasons to stop, which both formats have and each calls by names of its own."""

_STOPS_FROM_CHAT = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_STOPS_TO_CHAT = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_CHAT_PREFIX = "chatcmpl-"
_PREFIX = "msg_"


def message_id(found: object) -> str:
    """The id of a message out of that of a chat answer."""
    return _PREFIX + (_text(found).removeprefix(_CHAT_PREFIX) or "unnamed")


def chat_id(found: object) -> str:
    """The id of a chat answer out of that of a message."""
    return _CHAT_PREFIX + (_text(found).removeprefix(_PREFIX) or "unnamed")


def tool_use_id(found: object, answer_id: str, n: int) -> str:
    """The id of a call: the one that it has, else one made of the answer's and its place."""
    return _text(found) or f"toolu_{answer_id.removeprefix(_PREFIX)}_{n}"


def stop_reason(found: object, *, has_calls: bool) -> str:
    """Why a message ends. Some backends say stop although they call tools, and clients look for tool_use."""
    reason = _STOPS_FROM_CHAT.get(_text(found), "end_turn")
    return "tool_use" if has_calls and reason == "end_turn" else reason


def finish_reason(found: object) -> str:
    """Why a chat answer ends."""
    return _STOPS_TO_CHAT.get(_text(found), "stop")


def _text(found: object) -> str:
    return found if isinstance(found, str) else ""
