"""Content blocks of the Messages format as content parts of chat completions.

Left out, since they say nothing about the content: `cache_control`, which is about price only.
"""

from proxy.wire.anthropic.members import (
    Json,
    as_flag,
    as_list,
    as_name,
    as_object,
    as_text,
    at,
    only,
    optional_list,
    optional_object,
    optional_text,
    refuse,
)

PDF = "application/pdf"
_BETWEEN_BLOCKS = "\n\n"


def blocks_of(content: object, field: str) -> list[tuple[Json, str]]:
    """The blocks of a content that is a string or a list, each with its path."""
    if isinstance(content, str):
        return [({"type": "text", "text": content}, field)]
    blocks = as_list(content, field)
    return [(as_object(block, at(field, n)), at(field, n)) for n, block in enumerate(blocks)]


def chat_content(parts: list[Json]) -> str | list[Json]:
    """Parts as the content of a chat message: one string where all is text, since not every backend takes lists."""
    said = [part for part in parts if part["type"] != "text" or part["text"]]
    return joined(said) if all(part["type"] == "text" for part in said) else said


def text_of(blocks: list[tuple[Json, str]]) -> str:
    """Blocks that may only be text, as one string."""
    return joined([_text(block, field) for block, field in blocks])


def joined(texts: list[Json]) -> str:
    """Text parts as one string."""
    return _BETWEEN_BLOCKS.join(part["text"] for part in texts if part["text"])


def chat_parts(block: Json, field: str) -> list[Json]:
    """The chat parts of a text, image or document block. Raises Untranslatable for every other kind."""
    kind = block.get("type")
    if kind == "document":
        return _document(block, field)
    return [_text_or_image(block, field)]


def _text_or_image(block: Json, field: str) -> Json:
    if block.get("type") == "image":
        return _image(block, field)
    return _text(block, field)


def _text(block: Json, field: str) -> Json:
    if block.get("type") != "text":
        raise refuse(at(field, "type"), "this kind of block has no place here in chat completions.")
    only(block, {"type", "text", "cache_control", "citations"}, field)
    if optional_list(block.get("citations"), at(field, "citations")):
        raise refuse(at(field, "citations"), "has no place in chat completions.")
    return {"type": "text", "text": as_text(block.get("text"), at(field, "text"))}


def _image(block: Json, field: str) -> Json:
    only(block, {"type", "source", "cache_control", "transformations"}, field)
    if optional_object(block.get("transformations"), at(field, "transformations")):
        raise refuse(at(field, "transformations"), "has no place in chat completions.")
    path = at(field, "source")
    source = as_object(block.get("source"), path)
    if source.get("type") == "base64":
        only(source, {"type", "media_type", "data"}, path)
        url = _data_url(source, as_name(source.get("media_type"), at(path, "media_type")), path)
    elif source.get("type") == "url":
        only(source, {"type", "url"}, path)
        url = as_name(source.get("url"), at(path, "url"))
    else:
        raise refuse(path, "an image must be given as base64 or by its address.")
    return {"type": "image_url", "image_url": {"url": url}}


def _data_url(source: Json, media_type: str, path: str) -> str:
    return f"data:{media_type};base64,{as_name(source.get('data'), at(path, 'data'))}"


def _document(block: Json, field: str) -> list[Json]:
    only(block, {"type", "source", "title", "context", "citations", "cache_control"}, field)
    citations = optional_object(block.get("citations"), at(field, "citations"))
    if citations.get("enabled") is not None and as_flag(citations["enabled"], at(field, "citations.enabled")):
        raise refuse(at(field, "citations"), "citing has no place in chat completions.")
    title = optional_text(block.get("title"), at(field, "title"))
    context = optional_text(block.get("context"), at(field, "context"))
    path = at(field, "source")
    source = as_object(block.get("source"), path)
    if source.get("type") == "base64":
        return [*_texts(context), _pdf(source, title, path)]
    return [*_texts(title, context), *_document_text(source, path)]


def _texts(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts if text]


def _pdf(source: Json, title: str, path: str) -> Json:
    only(source, {"type", "media_type", "data"}, path)
    if source.get("media_type") != PDF:
        raise refuse(at(path, "media_type"), f"must be {PDF}.")
    return {
        "type": "file",
        "file": {"filename": title or "document.pdf", "file_data": _data_url(source, PDF, path)},
    }


def _document_text(source: Json, path: str) -> list[Json]:
    if source.get("type") == "text":
        only(source, {"type", "media_type", "data"}, path)
        return [{"type": "text", "text": as_text(source.get("data"), at(path, "data"))}]
    if source.get("type") == "content":
        only(source, {"type", "content"}, path)
        blocks = blocks_of(source.get("content"), at(path, "content"))
        return [_text_or_image(block, inner) for block, inner in blocks]
    raise refuse(path, "a document must be given as text or as a PDF in base64.")
