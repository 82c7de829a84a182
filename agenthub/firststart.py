"""What a hub needs before anybody can use it: one administrator and one client key."""

import secrets
from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from proxy.services import client_key_create

PASSWORD_BYTES = 12
FIRST_KEY_NAME = "first key"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What was made; the password is None where the operator has given it."""

    user: str
    password: str | None = field(repr=False)
    client_key: str = field(repr=False)


@transaction.atomic
def first_start() -> FirstStart | None:
    """Make the administrator and the first client key where nobody can sign in yet; None where somebody can."""
    if User.objects.exists():
        return None
    environment = settings.ENVIRONMENT
    generated = None if environment.admin_password is not None else secrets.token_urlsafe(PASSWORD_BYTES)
    user = User.objects.create_superuser(environment.admin_user, password=environment.admin_password or generated)
    created = client_key_create(name=FIRST_KEY_NAME, owner=user)
    return FirstStart(user=user.get_username(), password=generated, client_key=created.key)
