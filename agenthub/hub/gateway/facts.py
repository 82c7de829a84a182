"""What a gateway knows out of the database."""

from dataclasses import dataclass, field

from agenthub.core.origins import origins
from agenthub.core.settings_store import runtime_settings
from agenthub.core.versions import read_all
from agenthub.hub.rules.rights import Cards
from agenthub.hub.selectors import cards
from agenthub.hub.services.participants import epoch


@dataclass(frozen=True, slots=True)
class Facts:
    """Read anew when it has changed, and swapped as a whole."""

    cards: Cards = field(default_factory=Cards)  # everybody who can be written to
    epoch: str = ""
    origins: frozenset[str] = frozenset()  # of pages that may connect beside the hub's own
    counted: tuple[int, int] = (-1, -1)  # changes of agents and of settings that are in it


def facts() -> Facts:
    """What is in the database now."""
    numbers = counted()  # first: what changes meanwhile is read once more
    return Facts(cards(), epoch(), origins(runtime_settings().cors_allowed_origins), numbers)


def counted() -> tuple[int, int]:
    """How many changes there have been of what a gateway knows."""
    numbers = read_all()
    return numbers["agents"], numbers["settings"]
