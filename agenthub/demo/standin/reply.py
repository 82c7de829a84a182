"""What a request is answered: the checks that providers make, the script's word, and the endpoint's format."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from agenthub.demo.standin import answers, media, messages, responses
from agenthub.demo.standin.dialects import AZURE
from agenthub.demo.standin.files import FileStore
from agenthub.demo.standin.multipart import Form, is_multipart
from agenthub.demo.standin.protocol import JSON, Ask, Events, Refused, Whole
from agenthub.demo.standin.request import Request
from agenthub.demo.standin.script import Script, raw

_OBJECT = msgspec.json.Decoder(dict[str, Any])


class Endpoint(NamedTuple):
    """How POSTs to one endpoint are answered."""

    answer: Callable[[Ask], bytes]
    events: Callable[[Ask], Events] | None = None  # where a request may ask for a stream
    takes_form: bool = False
    always_streams: bool = False
    content_type: str = JSON  # of an answer that is sent whole


_ENDPOINTS = {
    "chat/completions": Endpoint(answers.chat_answer, answers.chat_events),
    "completions": Endpoint(answers.text_answer, answers.text_events),
    "embeddings": Endpoint(answers.embeddings_answer),
    "messages": Endpoint(messages.message_answer, messages.MessageEvents),
    "messages/count_tokens": Endpoint(messages.count_answer),
    "responses": Endpoint(responses.response_answer, responses.ResponseEvents),
    "images/generations": Endpoint(media.images_answer),
    "images/edits": Endpoint(media.edited_images_answer, takes_form=True),
    "images/variations": Endpoint(media.edited_images_answer, takes_form=True),
    "audio/speech": Endpoint(media.speech_answer, media.SpeechPieces, always_streams=True, content_type=media.SPEECH),
    "audio/transcriptions": Endpoint(media.transcription_answer, takes_form=True),
    "audio/translations": Endpoint(media.transcription_answer, takes_form=True),
    "moderations": Endpoint(media.moderation_answer),
    "rerank": Endpoint(media.rerank_answer),
}
_FILES = "files"
_OF_DEPLOYMENTS = ("chat/completions", "completions", "embeddings")


def reply(request: Request, script: Script, files: FileStore) -> Whole | Events:
    """The answer to a request, in the dialect that it was put in."""
    dialect = request.route.dialect
    try:
        if request.method == "POST":
            return _post(request, script, files)
        return _read_or_delete(request, files)
    except Refused as no:
        return Whole(no.status, dialect.error_body(no.status, no.code if dialect.openai_codes else "", str(no)))


def _read_or_delete(request: Request, files: FileStore) -> Whole:
    backend, endpoint = request.route.backend, request.route.endpoint
    if request.method == "GET" and endpoint == "models":
        return Whole(200, answers.models_answer())
    collection, _, below = endpoint.partition("/")
    if collection == _FILES and request.method == "GET":
        return files.read(backend, below)
    if collection == _FILES and request.method == "DELETE":
        return files.delete(backend, below)
    raise _unknown(request)


def _post(request: Request, script: Script, files: FileStore) -> Whole | Events:
    endpoint, dialect = _endpoint(request, files), request.route.dialect
    if script.api_key and not dialect.carries_key(request.headers, script.api_key):
        raise Refused(401, "invalid_api_key", "The request does not carry the API key of this backend.")
    ask = _ask(request, script, takes_form=endpoint.takes_form)
    if script.status >= 400:
        usual = dialect.error_body(script.status, script.error_code, script.error_message)
        return Whole(script.status, usual if script.body is None else raw(script.body))
    if script.rejects_stream_options and "stream_options" in ask.body:
        raise Refused(400, "", "Unrecognized request argument supplied: stream_options")
    if script.body is not None:
        return Whole(script.status, raw(script.body), endpoint.content_type)
    # With a length, be it a wrong one, an answer is sent whole.
    always = endpoint.always_streams and script.content_length is None
    if endpoint.events is not None and (always or ask.body.get("stream")):
        return endpoint.events(ask)
    return Whole(script.status, endpoint.answer(ask), endpoint.content_type)


def _endpoint(request: Request, files: FileStore) -> Endpoint:
    route = request.route
    if route.dialect is AZURE:
        known = route.deployment and route.endpoint in _OF_DEPLOYMENTS
        if not known or "api-version" not in parse_qs(request.query):
            raise _unknown(request)
    if route.endpoint == _FILES:
        return Endpoint(partial(files.keep, route.backend), takes_form=True)
    found = _ENDPOINTS.get(route.endpoint)
    if found is None:
        raise _unknown(request)
    return found


def _unknown(request: Request) -> Refused:
    if request.route.dialect is AZURE:
        return Refused(404, "", "Resource not found")
    return Refused(404, "unknown_url", f"There is nothing at {request.path}.")


def _ask(request: Request, script: Script, *, takes_form: bool) -> Ask:
    if takes_form:
        return Ask(script, dict(_form(request).fields), request.form)
    try:
        body = _OBJECT.decode(request.body)
    except (msgspec.MsgspecError, RecursionError):
        raise Refused(400, "", "The body is not a JSON object.") from None
    if request.route.deployment:
        body.setdefault("model", request.route.deployment)
    return Ask(script, body, request.form)


def _form(request: Request) -> Form:
    if request.malformed:
        raise Refused(400, "", f"The form can't be read. {request.malformed}")
    if not is_multipart(request.headers.get("content-type", "")):
        raise Refused(400, "", "The body is not multipart/form-data.")
    return request.form
