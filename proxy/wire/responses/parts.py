"""What messages are made of: text, images, files and sound, in both formats."""

from typing import Any

from proxy.wire.responses.fields import Json, as_list, as_object, as_text, at, no_place, refuse_unknown

_TEXTS = frozenset({"input_text", "output_text", "text"})
# Marks on a part that change nothing of what it says.
_MARKS = frozenset({"type", "annotations", "logprobs", "prompt_cache_breakpoint"})


def chat_content(content: object, path: str) -> str | list[Json]:
    """A user's words for chat. A lone text is a plain string, which every backend takes."""
    if isinstance(content, str):
        return content
    parts = [_chat_part(as_object(part, at(path, i)), at(path, i)) for i, part in enumerate(as_list(content, path))]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def chat_texts(content: object, path: str) -> list[str]:
    """Words where chat has no place for anything else."""
    if isinstance(content, str):
        return [content]
    return [_text(part, at(path, i)) for i, part in enumerate(as_list(content, path))]


def spoken(content: object, path: str) -> tuple[str, str]:
    """What an assistant said, and what it refused with, in either format."""
    if content is None or isinstance(content, str):
        return content or "", ""
    texts, refusals = [], []
    for i, part in enumerate(as_list(content, path)):
        where = at(path, i)
        if as_object(part, where).get("type") == "refusal":
            refuse_unknown(part, {"type", "refusal"}, where)
            refusals.append(as_text(part.get("refusal"), at(where, "refusal")))
        else:
            texts.append(_text(part, where))
    return "".join(texts), "".join(refusals)


def input_content(content: object, path: str) -> str | list[Json]:
    """A user's words for the Responses format."""
    if isinstance(content, str):
        return content
    return [_input_part(as_object(part, at(path, i)), at(path, i)) for i, part in enumerate(as_list(content, path))]


def input_texts(content: object, path: str) -> str | list[Json]:
    """Words for the Responses format, where chat has only text."""
    texts = chat_texts(content, path)
    if isinstance(content, str) or len(texts) == 1:
        return texts[0]
    return [{"type": "input_text", "text": text} for text in texts]


def _text(part: object, path: str) -> str:
    found = as_object(part, path)
    if found.get("type") not in _TEXTS:
        raise no_place(at(path, "type"))
    refuse_unknown(found, _MARKS | {"text"}, path)
    return as_text(found.get("text"), at(path, "text"))


def _chat_part(part: Json, path: str) -> Json:
    match part.get("type"):
        case "input_image":
            refuse_unknown(part, _MARKS | {"image_url", "detail"}, path)
            image = {"url": as_text(part.get("image_url"), at(path, "image_url"))}
            return {"type": "image_url", "image_url": image | _detail(part, path)}
        case "input_file":
            refuse_unknown(part, _MARKS | {"file_data", "filename", "detail"}, path)
            if part.get("detail") not in (None, "auto"):
                raise no_place(at(path, "detail"))
            return {"type": "file", "file": _file(part, path)}
        case "input_audio":
            return _audio(part, path)
    return {"type": "text", "text": _text(part, path)}


def _input_part(part: Json, path: str) -> Json:
    match part.get("type"):
        case "image_url":
            refuse_unknown(part, _MARKS | {"image_url"}, path)
            where = at(path, "image_url")
            image = as_object(part.get("image_url"), where)
            refuse_unknown(image, {"url", "detail"}, where)
            found = {"type": "input_image", "image_url": as_text(image.get("url"), at(where, "url"))}
            return {**found, "detail": "auto"} | _detail(image, where)
        case "file":
            refuse_unknown(part, _MARKS | {"file"}, path)
            where = at(path, "file")
            file = as_object(part.get("file"), where)
            refuse_unknown(file, {"file_data", "filename"}, where)
            return {"type": "input_file", **_file(file, where)}
    return {"type": "input_text", "text": _text(part, path)}


def _detail(found: Json, path: str) -> Json:
    detail = found.get("detail")
    return {} if detail is None else {"detail": as_text(detail, at(path, "detail"))}


def _file(found: Json, path: str) -> Json:
    file: dict[str, Any] = {"file_data": as_text(found.get("file_data"), at(path, "file_data"))}
    if found.get("filename") is not None:
        file["filename"] = as_text(found["filename"], at(path, "filename"))
    return file


def _audio(part: Json, path: str) -> Json:
    refuse_unknown(part, _MARKS | {"input_audio"}, path)
    where = at(path, "input_audio")
    audio = as_object(part.get("input_audio"), where)
    refuse_unknown(audio, {"data", "format"}, where)
    return {
        "type": "input_audio",
        "input_audio": {name: as_text(audio.get(name), at(where, name)) for name in ("data", "format")},
    }
