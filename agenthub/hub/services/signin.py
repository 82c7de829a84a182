"""How people, their pages and the Butler show who they are on a WebSocket and in the API of people."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction

from agenthub.core.clock import utc_now
from agenthub.hub.models import Participant, Ticket
from agenthub.hub.rules.rights import Sender
from agenthub.hub.services.participants import butler, butler_sender, participant_of, sender_of

PERSON_PREFIX, BUTLER_PREFIX = "ahu_", "ahb_"
TOKEN_SECONDS = 24 * 3600
TICKET_SECONDS = 30

_SALT = "agenthub.hub.signin"
_HASH_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person, or the Butler, who has shown who they are, until a time."""

    sender: Sender
    ends_at: datetime | None
    session_hash: str


def person_sign_in(username: str, password: str) -> tuple[User, str] | None:
    """The person and a token for a day; None for a wrong name or password."""
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        return None
    return user, person_token(user)


def person_token(user: User) -> str:
    """A token of a person for a day; it ends with their password, too."""
    place = participant_of(user)
    return PERSON_PREFIX + signing.dumps({"p": place.pk, "h": _hash(user)}, salt=_SALT, compress=True)


def butler_token() -> str:
    """A token for a day with which a program is the Butler."""
    return BUTLER_PREFIX + signing.dumps({"p": butler().pk}, salt=_SALT, compress=True)


def signed_in(token: str) -> SignedIn | None:
    """Who shows a token; None for one that is none, has run out, or whose person is not here any more."""
    prefix, rest = token[:4], token[4:]
    if prefix not in (PERSON_PREFIX, BUTLER_PREFIX) or len(token) > 1_000:
        return None
    signer = signing.TimestampSigner(salt=_SALT)
    try:
        said = signing.loads(rest, salt=_SALT, max_age=TOKEN_SECONDS)
        made_at = signing.b62_decode(rest.rsplit(signer.sep, 2)[1])
    except (signing.BadSignature, ValueError, IndexError):
        return None
    ends_at = datetime.fromtimestamp(made_at, tz=utc_now().tzinfo) + timedelta(seconds=TOKEN_SECONDS)
    if prefix == BUTLER_PREFIX:
        sender = butler_sender()
        return SignedIn(sender, ends_at, "") if said.get("p") == sender.id else None
    return person_is_here(said["p"], said["h"], ends_at=ends_at)


def person_is_here(participant_id: int, session_hash: str, *, ends_at: datetime | None) -> SignedIn | None:
    """A person by their number, as long as they are active and have the same password."""
    row = Participant.objects.select_related("user").filter(id=participant_id).first()
    if row is None or row.user is None or not row.user.is_active:
        return None
    if not secrets.compare_digest(_hash(row.user), session_hash):
        return None
    return SignedIn(sender_of(row.user, row.pk), ends_at, session_hash)


@transaction.atomic
def ticket_create(user: User) -> tuple[str, datetime]:
    """A ticket for one WebSocket of a person, and when it ends."""
    now = utc_now()
    Ticket.objects.filter(ends_at__lt=now).delete()
    ticket, ends_at = secrets.token_urlsafe(32), now + timedelta(seconds=TICKET_SECONDS)
    place = participant_of(user)
    Ticket.objects.create(digest=_digest(ticket), participant_id=place.pk, session_hash=_hash(user), ends_at=ends_at)
    return ticket, ends_at


def ticket_take(ticket: str) -> SignedIn | None:
    """Who was given a ticket; it works this once."""
    row = Ticket.objects.filter(digest=_digest(ticket)).first()
    # Whoever deletes it has it: two that come at once can't both.
    if row is None or not Ticket.objects.filter(id=row.pk).delete()[0] or row.ends_at <= utc_now():
        return None
    return person_is_here(row.participant_id, row.session_hash, ends_at=utc_now() + timedelta(seconds=TOKEN_SECONDS))


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode()).digest()


def _hash(user: User) -> str:
    return user.get_session_auth_hash()[:_HASH_CHARACTERS]
