"""Settings that are each allowed, but not together."""

from dataclasses import dataclass

from agenthub.core.params import RuntimeSettings


@dataclass(frozen=True, slots=True)
class Impossible:
    """Two settings that contradict each other."""

    id: str
    message: str
    hint: str


def impossible(settings: RuntimeSettings) -> list[Impossible]:
    """Every contradiction in `settings`."""
    found = []
    if settings.cooldown_base_seconds > settings.cooldown_max_seconds:
        found.append(
            Impossible(
                "agenthub.E001",
                f"cooldown_base_seconds ({settings.cooldown_base_seconds:g}) is larger than cooldown_max_seconds "
                f"({settings.cooldown_max_seconds:g}).",
                "The first cooldown can't be longer than the longest; lower the one or raise the other.",
            )
        )
    if 0 < settings.stream_total_timeout_seconds < settings.first_token_timeout_seconds:
        found.append(
            Impossible(
                "agenthub.E002",
                f"stream_total_timeout_seconds ({settings.stream_total_timeout_seconds:g}) is smaller than "
                f"first_token_timeout_seconds ({settings.first_token_timeout_seconds:g}).",
                "A stream would end before its first content may come; raise it, or set it to 0 for no limit.",
            )
        )
    return found
