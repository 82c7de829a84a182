"""`agenthub admin reset-password [USER]`: for those who can't sign in any more."""

import secrets
import sys
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password

from agenthub.core.commands import HouseCommand
from agenthub.core.errors import NotFound
from agenthub.firststart import PASSWORD_BYTES


class Command(HouseCommand):
    """A new password ends every session of its user."""

    help = "Give a person a new password, which is shown once; their sessions end."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One word says what to do."""
        super().add_arguments(parser)
        words = parser.add_subparsers(dest="action", required=True, metavar="action")
        one = words.add_parser("reset-password", help=self.help)
        one.add_argument("user", nargs="?", help="Their name; the administrator of the first start unless told.")
        one.add_argument("--stdin", action="store_true", help="Read the password from the first line of the input.")
        # Before the word and after it; the one must not undo the other.
        one.add_argument("--json", action="store_true", default=SUPPRESS, help="Answer in JSON.")

    def act(self, **options: Any) -> None:
        """Set the password."""
        name = options["user"] or settings.ENVIRONMENT.admin_user
        user = User.objects.filter(username=name).first()
        if user is None:
            known = ", ".join(
                User.objects.filter(is_staff=True).order_by("username").values_list("username", flat=True)
            )
            raise NotFound(f"There is no user {name}. Those who may sign in to the admin: {known or 'nobody'}.")
        generated = None if options["stdin"] else secrets.token_urlsafe(PASSWORD_BYTES)
        password = generated or sys.stdin.readline().rstrip("\r\n")
        validate_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
        lines = [f"{name} has a new password" + (f": {generated}" if generated else ".")]
        if not user.is_active:
            lines.append(f"{name} is not active, and can't sign in before somebody activates them in the admin.")
        answer = {"user": name, "password": generated, "active": user.is_active}
        self.say(answer, "\n".join(lines), as_json=options["json"])
