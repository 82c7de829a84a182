"""What a gateway knows out of the database."""

from dataclasses import dataclass, field

from agenthub.core.origins import origins
from agenthub.core.settings_store import runtime_settings
from agenthub.hub.rules.rights import Cards
from agenthub.hub.selectors import cards
from agenthub.hub.services.participants import epoch


@dataclass(frozen=True, slots=True)
class Facts:
    """Read anew when it has changed, and swapped as a whole."""

    cards: Cards = field(default_factory=Cards)  # everybody who can be written to
    epoch: str = ""
    origins: frozenset[str] = frozenset()  # of pages that may connect beside the hub's own


def facts() -> Facts:
    """What is in the database now."""
    return Facts(cards=cards(), epoch=epoch(), origins=origins(runtime_settings().cors_allowed_origins))
