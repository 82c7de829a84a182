"""`agenthub rotate-keys`: seal every stored secret again under the first key of AGENTHUB_ENCRYPTION_KEY."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from agenthub.core.commands import HouseCommand
from providers.services.keys import keys_rotate


class Command(HouseCommand):
    """Safe while serving, and to be run again when it was stopped half-way."""

    help = (
        "Seal every stored provider secret again under the first key of AGENTHUB_ENCRYPTION_KEY. "
        "Give every process the new key ring (new key first, old ones after it) before; "
        "take the old keys out after it has reported nothing unreadable."
    )

    def act(self, **options: Any) -> None:
        """Rotate, and report."""
        report = keys_rotate()
        self.say(
            asdict(report),
            f"Sealed {report.rotated} values under key {report.key_id}; {report.already_current} were already.",
            as_json=options["json"],
        )
        if report.unreadable:
            raise CommandError(
                "\n".join(
                    [f"{len(report.unreadable)} values do not open and were left as they are:", *report.unreadable]
                )
            )
