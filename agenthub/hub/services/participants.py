"""Everybody who can be written to: people get their place when they first come, the Butler has one always."""

import secrets

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction

from agenthub.core.access import ADMINISTRATORS, MEMBERS, OPERATORS, VIEWERS
from agenthub.core.versions import bump
from agenthub.hub.models import HubState, Participant
from agenthub.hub.rules.rights import Role, Sender

NAME_CHARACTERS = 150


def butler() -> Participant:
    """The Butler."""
    found = Participant.objects.filter(kind=Participant.Kind.BUTLER).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return Participant.objects.create(kind=Participant.Kind.BUTLER, name="Butler")
    except IntegrityError:  # another process was faster
        return Participant.objects.get(kind=Participant.Kind.BUTLER)


def epoch() -> str:
    """The word that changes when the numbers of inboxes have gone back."""
    found = HubState.objects.filter(id=1).first()
    return found.epoch if found is not None else _epoch_first()


def _epoch_first() -> str:
    state, _ = HubState.objects.get_or_create(id=1, defaults={"epoch": secrets.token_hex(4)})
    return state.epoch


@transaction.atomic
def epoch_renew() -> str:
    """Begin a new epoch: to be called when the database was restored from a backup."""
    state, _ = HubState.objects.update_or_create(id=1, defaults={"epoch": secrets.token_hex(4)})
    bump("agents")
    return state.epoch


def participant_of(user: User) -> Participant:
    """A person's place, made when they have none."""
    found = Participant.objects.filter(user=user).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            made = Participant.objects.create(
                kind=Participant.Kind.PERSON, user=user, name=person_name(user)[:NAME_CHARACTERS]
            )
            bump("agents")
            return made
    except IntegrityError:  # another process was faster
        return Participant.objects.get(user=user)


GROUPS = {"ADMIN": ADMINISTRATORS, "OPERATOR": OPERATORS, "VIEWER": VIEWERS, "MEMBER": MEMBERS}
"""What the API calls the roles of people."""


@transaction.atomic
def person_create(*, username: str, password: str, role: str) -> Participant:
    """A new person with one of the roles of `GROUPS`, and their place. All but Members may use the admin.

    Raises ValidationError for a name or a password that will not do, and IntegrityError for a name that is taken.
    """
    user = User(username=username, is_staff=role != "MEMBER")
    user.clean_fields(exclude=["password"])
    validate_password(password, user)
    user.set_password(password)
    user.save()
    user.groups.add(Group.objects.get(name=GROUPS[role]))
    return participant_of(user)


def person_name(user: User) -> str:
    """What people call a person."""
    return user.get_full_name() or user.get_username()


def sender_of(user: User, participant_id: int) -> Sender:
    """What a person is and may do, by their groups at this moment."""
    groups = set(user.groups.values_list("name", flat=True))
    admin = user.is_superuser or ADMINISTRATORS in groups
    operator = OPERATORS in groups
    return Sender(
        id=participant_id,
        name=person_name(user),
        role=Role.ADMIN if admin else Role.MEMBER,
        user_id=user.pk,
        operator=admin or operator,
        writes=admin or operator or MEMBERS in groups,
        sees_agents=admin or user.has_perm("hub.view_agent"),
    )


def butler_sender() -> Sender:
    """The Butler as a sender."""
    row = butler()
    return Sender(id=row.pk, name=row.name, role=Role.BUTLER, sees_agents=True)
