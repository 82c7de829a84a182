"""Which checkpoints of an agent count: the newest epoch, and of older ones what came before they were left.

A restore begins an epoch at the checkpoint that was restored. What the epoch before had saved after that one is left
behind: it can be looked at and restored, but is never the latest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_STRETCHES = 100


@dataclass(frozen=True, slots=True)
class Turn:
    """A restore: the epoch that it began, and the checkpoint that it began at."""

    epoch: int
    from_epoch: int
    from_sequence: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The checkpoints of an epoch up to a sequence; None: all of them."""

    epoch: int
    until: int | None


def lineage(epoch: int, turns: Sequence[Turn]) -> tuple[Stretch, ...]:
    """The stretches that lead to the newest checkpoint of an epoch, newest first.

    Of very many restores only the last ones are followed, since what lies before can't be newer.
    """
    by_epoch = {turn.epoch: turn for turn in turns}
    found = [Stretch(epoch, None)]
    while (turn := by_epoch.get(epoch)) is not None and len(found) < MOST_STRETCHES and turn.from_epoch < epoch:
        epoch, until = turn.from_epoch, turn.from_sequence
        found.append(Stretch(epoch, until))
    return tuple(found)


def on_line(stretches: Sequence[Stretch], epoch: int, sequence: int) -> bool:
    """Whether a checkpoint is on the line."""
    return any(part.epoch == epoch and (part.until is None or sequence <= part.until) for part in stretches)
