"""The check-ins of outside jobs. Open to strangers: the UUID is the secret."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from agenthub.core.clock import utc_now
from heartbeat.services.checkins import Signal, check_in

LONGEST_BODY = 10_000
"""What is read of a check-in; the rest is left out."""

_WORDS = {"": Signal.OK, "start": Signal.START, "fail": Signal.FAIL, "log": Signal.LOG}


@never_cache
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def ping(request: HttpRequest, ping_id: UUID, word: str = "") -> HttpResponse:
    """A sign of an outside job: it is well, has begun, has failed, or has ended with an exit code (0 is well)."""
    signal, error = _meaning(word)
    if signal is None:
        return _say("What is that? After the id comes nothing, /start, /fail, /log or an exit code from 0 to 255.", 404)
    try:
        output = request.read(LONGEST_BODY).decode("utf-8", "replace") if request.method == "POST" else ""
    except OSError:
        return _say("The body broke off.", 400)
    if not check_in(ping_id=ping_id, signal=signal, now=utc_now(), output=output, error=error):
        return _say("There is no such check-in.", 404)
    return _say("OK", 200)


def _meaning(word: str) -> tuple[Signal | None, str]:
    if word in _WORDS:
        return _WORDS[word], "It said that it failed." if word == "fail" else ""
    if len(word) <= 3 and word.isascii() and word.isdigit() and int(word) <= 255:
        code = int(word)
        return (Signal.OK, "") if code == 0 else (Signal.FAIL, f"It ended with exit code {code}.")
    return None, ""


def _say(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
