"""Taking a request in: its body once, and what must be known of it before anything else is done."""

from collections.abc import Mapping

import msgspec

from agenthub.core.errors import BadRequest, ModelNotAllowed, ModelNotFound, RequestTooLarge
from providers.rules.tokens import estimate_prompt_tokens
from proxy.attempt import Outcome
from proxy.exchange import Exchange
from proxy.form import Form
from proxy.rules import verdict as verdicts
from proxy.rules.endpoints import EVERY_KIND, Format
from proxy.rules.routing import candidates_for, near_misses
from proxy.wire.openai import Intake, read_request

MULTIPART = b"multipart/"


async def read_in(exchange: Exchange) -> None:
    """Read the body, JSON or a form. Raises Refused for what is none, or too large."""
    endpoint, settings = exchange.endpoint, exchange.runtime.snapshot.settings
    announced = _announced_length(exchange.header)
    content_type = exchange.header.get(b"content-type", b"")
    if endpoint.form and content_type[: len(MULTIPART)].lower() == MULTIPART:
        if announced > settings.max_upload_bytes:
            raise _too_large(settings.max_upload_bytes)
        exchange.form = await Form.taken_in(
            exchange.client.body_pieces(),
            content_type=content_type,
            folder=exchange.runtime.uploads_dir,
            most_bytes=settings.max_upload_bytes,
        )
        exchange.intake = Intake({}, exchange.form.model or exchange.caller.default_model, False, False)
        return
    body = None
    if announced <= settings.max_body_bytes:
        body = await exchange.client.read_body(settings.max_body_bytes)
    if body is None:
        raise _too_large(settings.max_body_bytes)
    exchange.body = body
    exchange.intake = read_request(
        body,
        may_stream=endpoint.streams,
        default_model=exchange.caller.default_model,
        needs_model=endpoint.service is None,
    )


def _too_large(most: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request body is larger than {most} bytes.")


def _announced_length(header: Mapping[bytes, bytes]) -> int:
    try:
        return int(header.get(b"content-length", 0))
    except ValueError:
        raise BadRequest("Content-Length is not a number.") from None


def check_model(exchange: Exchange) -> None:
    """See whether the key may use the model, or the service where no model is named, and whether anybody serves it.

    Raises ModelNotAllowed, ModelNotFound.
    """
    model, endpoint = exchange.intake.model, exchange.endpoint
    if not model:
        _check_service(exchange)
        return
    if not exchange.caller.may_use(model):
        raise ModelNotAllowed(f"The client key may not use the model {model!r}.", param="model")
    if exchange.pools():
        return
    # Tokens can be counted, by estimate, for every model that there is.
    routing = exchange.runtime.snapshot.routing
    if endpoint.format is not Format.COUNT or not candidates_for(routing, model, EVERY_KIND):
        raise _model_not_found(exchange, model)


def _check_service(exchange: Exchange) -> None:
    service = exchange.endpoint.service
    # What names no model is named by its service in a key's list of what it may use.
    if service is None or not exchange.caller.may_use(service):
        raise ModelNotAllowed(
            f"The client key may only use some models, and {exchange.endpoint.path} without a model is none of them; "
            f"its operator can add {str(service)!r} to them.",
            param="model",
        )
    if not exchange.pools():
        raise ModelNotFound(
            f"No backend serves {exchange.endpoint.path} without a model. Name one, or have an operator flag a backend "
            f"for {str(service)!r}.",
            param="model",
        )


def _model_not_found(exchange: Exchange, model: str) -> ModelNotFound:
    routing = exchange.runtime.snapshot.routing
    if candidates_for(routing, model, EVERY_KIND):
        return ModelNotFound(f"No backend serves the model {model!r} at {exchange.endpoint.path}.", param="model")
    near = near_misses(routing, exchange.caller, model)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return ModelNotFound(f"No backend serves the model {model!r}.{hint}", param="model")


def estimated_count(exchange: Exchange) -> Outcome:
    """The hub's own count of a prompt's tokens, where no backend can count them."""
    exchange.own_headers.append((b"x-agenthub-estimated", b"true"))
    body = msgspec.json.encode({"input_tokens": max(1, estimate_prompt_tokens(exchange.body))})
    return Outcome(verdicts.ANSWERED, 200, [(b"content-type", b"application/json")], body)
