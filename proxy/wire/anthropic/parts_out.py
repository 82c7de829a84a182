"""Content parts of chat messages as content blocks of the Messages format.

Left out: breakpoints of the prompt cache, which are about price only, and the wish for an image in full detail, since
the format looks at every image in full.
"""

from proxy.wire.anthropic.members import Json, as_list, as_name, as_object, as_text, at, only, optional_text, refuse

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
_HINT = "prompt_cache_breakpoint"


def text_blocks(content: object, field: str) -> list[Json]:
    """The text blocks of a content that may hold nothing else: a string, a list of parts, or null."""
    return _blocks(content, field, only_text=True)


def content_blocks(content: object, field: str) -> list[Json]:
    """The blocks of a user's content: text, images and files. Empty text is left out, for the format refuses it."""
    return _blocks(content, field, only_text=False)


def text_block(text: str) -> Json:
    """A block of text."""
    return {"type": "text", "text": text}


def _blocks(content: object, field: str, *, only_text: bool) -> list[Json]:
    if content is None:
        return []
    if isinstance(content, str):
        return [text_block(content)] if content else []
    blocks = []
    for n, found in enumerate(as_list(content, field)):
        path = at(field, n)
        block = _block(as_object(found, path), path, only_text=only_text)
        if block.get("text") != "":
            blocks.append(block)
    return blocks


def _block(part: Json, field: str, *, only_text: bool) -> Json:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        only(part, {"type", kind, _HINT}, field)
        return text_block(as_text(part.get(kind), at(field, kind)))
    if kind == "image_url" and not only_text:
        return _image(part, field)
    if kind == "file" and not only_text:
        return _file(part, field)
    raise refuse(at(field, "type"), "this kind of part has no place here in the Messages format.")


def _image(part: Json, field: str) -> Json:
    only(part, {"type", "image_url", _HINT}, field)
    path = at(field, "image_url")
    image = as_object(part.get("image_url"), path)
    only(image, {"url", "detail"}, path)
    if image.get("detail") not in (None, "auto", "high", "original"):
        raise refuse(at(path, "detail"), "has no place in the Messages format.")
    url = as_name(image.get("url"), at(path, "url"))
    if url.startswith(("https://", "http://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    media_type, data = _data_of(url, at(path, "url"))
    if media_type not in _IMAGES:
        raise refuse(at(path, "url"), "must be a JPEG, PNG, GIF or WebP.")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _data_of(url: str, field: str) -> tuple[str, str]:
    """Media type and base64 of a data URL."""
    head, comma, data = url.partition(",")
    head = head[:100].lower()
    if not comma or not data or not head.startswith("data:") or not head.endswith(";base64"):
        raise refuse(field, "must be a web address, or a data URL in base64.")
    return head.removeprefix("data:").partition(";")[0], data


def _file(part: Json, field: str) -> Json:
    only(part, {"type", "file", _HINT}, field)
    path = at(field, "file")
    file = as_object(part.get("file"), path)
    only(file, {"file_data", "filename"}, path)
    media_type, data = _data_of(as_name(file.get("file_data"), at(path, "file_data")), at(path, "file_data"))
    if media_type != _PDF:
        raise refuse(at(path, "file_data"), "only PDF files have a place in the Messages format.")
    block: Json = {"type": "document", "source": {"type": "base64", "media_type": _PDF, "data": data}}
    title = optional_text(file.get("filename"), at(path, "filename"))
    return {**block, "title": title} if title else block
