"""The items of a response while they are being written, each with the events that tell of it."""

from proxy.wire.responses.fields import Json
from proxy.wire.responses.output import call_item, message_item, message_part, reasoning_item

_IN_PROGRESS = "in_progress"


def _added(output_index: int, item: Json) -> Json:
    return {"type": "response.output_item.added", "output_index": output_index, "item": item}


def _done(output_index: int, item: Json) -> Json:
    return {"type": "response.output_item.done", "output_index": output_index, "item": item}


class Reasoning:
    """What the model thinks, told as the one part of a summary."""

    def __init__(self, core: str, output_index: int) -> None:
        self.output_index = output_index
        self._id = f"rs_{core}_{output_index}"
        self._text: list[str] = []

    def item(self, status: str) -> Json:
        """The item as it stands."""
        return reasoning_item(self._id, "".join(self._text), status)

    def open(self) -> list[Json]:
        """The events of its beginning."""
        part = {"type": "summary_text", "text": ""}
        return [
            _added(self.output_index, reasoning_item(self._id, None, _IN_PROGRESS)),
            self._event("response.reasoning_summary_part.added", part=part),
        ]

    def add(self, text: str) -> list[Json]:
        """The events of more text."""
        self._text.append(text)
        return [self._event("response.reasoning_summary_text.delta", delta=text)]

    def close(self, status: str) -> list[Json]:
        """The events of its end."""
        text = "".join(self._text)
        return [
            self._event("response.reasoning_summary_text.done", text=text),
            self._event("response.reasoning_summary_part.done", part={"type": "summary_text", "text": text}),
            _done(self.output_index, self.item(status)),
        ]

    def _event(self, kind: str, **members: object) -> Json:
        return {
            "type": kind,
            "item_id": self._id,
            "output_index": self.output_index,
            "summary_index": 0,
            **members,
        }


class Message:
    """What the model says: parts that are text or refusal, one after the other."""

    def __init__(self, core: str, output_index: int) -> None:
        self.output_index = output_index
        self._id = f"msg_{core}_{output_index}"
        self._content: list[Json] = []  # the parts that are whole
        self._kind = ""
        self._text: list[str] = []

    def item(self, status: str) -> Json:
        """The item as it stands, once it is closed."""
        return message_item(self._id, self._content, status)

    def open(self) -> list[Json]:
        """The events of its beginning."""
        return [_added(self.output_index, message_item(self._id, [], _IN_PROGRESS))]

    def add(self, kind: str, text: str) -> list[Json]:
        """The events of more text of a kind: output_text or refusal."""
        out: list[Json] = []
        if kind != self._kind:
            out += self._end_part()
            self._kind = kind
            out.append(self._event("response.content_part.added", part=message_part(kind, "")))
        self._text.append(text)
        return [*out, self._event(f"response.{kind}.delta", delta=text, **_extra(kind))]

    def close(self, status: str) -> list[Json]:
        """The events of its end."""
        return [*self._end_part(), _done(self.output_index, self.item(status))]

    def _end_part(self) -> list[Json]:
        kind, self._kind = self._kind, ""
        if not kind:
            return []
        text, self._text = "".join(self._text), []
        part = message_part(kind, text)
        said = {"refusal": text} if kind == "refusal" else {"text": text}
        out = [
            self._event(f"response.{kind}.done", **said, **_extra(kind)),
            self._event("response.content_part.done", part=part),
        ]
        self._content.append(part)
        return out

    def _event(self, kind: str, **members: object) -> Json:
        return {
            "type": kind,
            "item_id": self._id,
            "output_index": self.output_index,
            "content_index": len(self._content),
            **members,
        }


def _extra(kind: str) -> Json:
    return {"logprobs": []} if kind == "output_text" else {}


class Call:
    """A call of a function. It is told of once its name is known."""

    def __init__(self, core: str, output_index: int) -> None:
        self.output_index = output_index
        self.call_id = ""
        self._core = f"{core}_{output_index}"
        self._name = ""
        self._arguments: list[str] = []
        self._is_open = False

    def item(self, status: str) -> Json:
        """The item as it stands."""
        return self._item("".join(self._arguments), status)

    def add(self, call_id: str, name: str, arguments: str) -> list[Json]:
        """The events of more that is known of it."""
        out: list[Json] = []
        if not self._is_open:
            self.call_id = self.call_id or call_id
            self._name = name
            if name:
                out += self._open()
        if arguments:
            self._arguments.append(arguments)
            if self._is_open:
                out.append(self._event("response.function_call_arguments.delta", delta=arguments))
        return out

    def close(self, status: str) -> list[Json]:
        """The events of its end."""
        out = [] if self._is_open else self._open()
        arguments = "".join(self._arguments)
        return [
            *out,
            self._event("response.function_call_arguments.done", arguments=arguments, name=self._name),
            _done(self.output_index, self.item(status)),
        ]

    def _open(self) -> list[Json]:
        self._is_open = True
        self.call_id = self.call_id or f"call_{self._core}"
        out = [_added(self.output_index, self._item("", _IN_PROGRESS))]
        if self._arguments:
            early = "".join(self._arguments)
            out.append(self._event("response.function_call_arguments.delta", delta=early))
        return out

    def _item(self, arguments: str, status: str) -> Json:
        return call_item(f"fc_{self._core}", self.call_id, self._name, arguments, status)

    def _event(self, kind: str, **members: object) -> Json:
        return {"type": kind, "item_id": f"fc_{self._core}", "output_index": self.output_index, **members}
