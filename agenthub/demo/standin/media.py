"""Images, speech, moderations and rankings, as backends with OpenAI's endpoints answer them. Pure."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from agenthub.demo.standin import content
from agenthub.demo.standin.content import CREATED
from agenthub.demo.standin.protocol import Ask, Refused
from agenthub.demo.standin.script import Script

SPEECH = "audio/mpeg"
_MOST_IMAGES = 10
_MODERATION_MODEL = "standin-moderation"  # where the request names none, which it need not
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def images_answer(ask: Ask) -> bytes:
    """As many images as were asked for."""
    image = {"b64_json": base64.b64encode(content.binary(ask.script.binary_bytes)).decode()}
    answer: dict[str, Any] = {"created": CREATED, "data": [image] * _image_count(ask)}
    if ask.script.usage:
        details = {"image_tokens": 0, "text_tokens": ask.script.prompt_tokens}
        answer["usage"] = _usage(ask.script) | {"input_tokens_details": details}
    return msgspec.json.encode(answer)


def edited_images_answer(ask: Ask) -> bytes:
    """Images made from one that was sent along."""
    _require_file(ask, "image")
    return images_answer(ask)


def transcription_answer(ask: Ask) -> bytes:
    """What was heard in the file, in its own or another language."""
    _require_file(ask, "file")
    answer: dict[str, Any] = {"text": content.whole_text(ask.script)}
    if ask.script.usage:
        answer["usage"] = {"type": "tokens"} | _usage(ask.script)
    return msgspec.json.encode(answer)


def moderation_answer(ask: Ask) -> bytes:
    """A judgement on each input; nothing is ever flagged."""
    given = ask.body.get("input")
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.001),
        "category_applied_input_types": {category: ["text"] for category in _CATEGORIES},
    }
    results = [result] * (len(given) if isinstance(given, list) else 1)
    return msgspec.json.encode(
        {"id": "modr-standin", "model": ask.body.get("model") or _MODERATION_MODEL, "results": results}
    )


def rerank_answer(ask: Ask) -> bytes:
    """The documents by relevance: the longest first, since some order must be."""
    documents = ask.body.get("documents")
    if not isinstance(documents, list):
        raise Refused(400, "", "The body has no list of documents.")
    sizes = [len(msgspec.json.encode(document)) for document in documents]
    order = sorted(range(len(documents)), key=lambda index: (-sizes[index], index))
    top = _whole(ask.body.get("top_n"), len(documents))
    results = [{"index": index, "relevance_score": sizes[index] / (sizes[index] + 10)} for index in order]
    answer = {"id": "rerank-standin", "model": ask.body.get("model"), "results": results[: max(0, top)]}
    if ask.script.usage:
        answer["usage"] = {"total_tokens": ask.script.prompt_tokens}
    return msgspec.json.encode(answer)


def speech_answer(ask: Ask) -> bytes:
    """What is spoken, whole."""
    return content.binary(ask.script.binary_bytes)


class SpeechPieces:
    """What is spoken, in pieces of about the same size."""

    content_type = SPEECH

    def __init__(self, ask: Ask) -> None:
        self.chunks = max(1, ask.script.chunks)
        self._spoken = speech_answer(ask)

    def opening(self) -> Iterator[bytes]:
        """Nothing: the first byte is of the first piece."""
        yield from ()

    def chunk(self, number: int) -> bytes:
        """One piece."""
        size = len(self._spoken)
        return self._spoken[number * size // self.chunks : (number + 1) * size // self.chunks]

    def closing(self) -> Iterator[bytes]:
        """Nothing: the last byte is of the last piece."""
        yield from ()


def _usage(script: Script) -> dict[str, Any]:
    prompt, completion = script.prompt_tokens, content.completion_tokens(script)
    return {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}


def _image_count(ask: Ask) -> int:
    asked = _whole(ask.body.get("n"), 1)
    if not 1 <= asked <= _MOST_IMAGES:
        raise Refused(400, "", f"n is {asked}, and may be from 1 to {_MOST_IMAGES}.")
    return asked


def _whole(value: object, usual: int) -> int:
    """A number of a JSON object or of a form, where it is text."""
    if value is None:
        return usual
    if isinstance(value, int | str):
        try:
            return int(value)
        except ValueError:
            pass
    raise Refused(400, "", f"{value!r} is no whole number.")


def _require_file(ask: Ask, name: str) -> None:
    # Clients write the names of fields that may come more than once with brackets.
    if not any(part.name in {name, f"{name}[]"} for part in ask.form.files):
        raise Refused(400, "", f"The form has no file {name!r}.")
