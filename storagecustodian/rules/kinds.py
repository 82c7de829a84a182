"""Why a checkpoint was made."""

from enum import StrEnum


class Kind(StrEnum):
    """Why a checkpoint was made."""

    AUTO = "auto"
    MANUAL = "manual"
    PAUSE = "pause"
    LIMIT = "limit"
    STOP = "stop"
    CRASH = "crash"
    TASK = "task"  # a CHECKPOINT frame
    PRE_RESTORE = "pre_restore"
    RESTORED = "restored"  # brought here from another agent
    IMPORTED = "imported"


AUTOMATIC = frozenset(
    {Kind.AUTO, Kind.PAUSE, Kind.LIMIT, Kind.STOP, Kind.CRASH, Kind.TASK, Kind.PRE_RESTORE, Kind.RESTORED}
)
"""Those that retention may delete."""

GIVEN = (Kind.MANUAL, Kind.AUTO, Kind.PAUSE, Kind.LIMIT, Kind.STOP, Kind.CRASH)
"""Those that a caller may name."""

LASTING = tuple(sorted(set(Kind) - AUTOMATIC))


def auto_due(iteration: int, last: int, every: int) -> bool:
    """Whether an agent that has reached `iteration` is due, `last` being that of its last automatic checkpoint.

    After a restore `last` is the iteration that was restored. An agent that began anew by itself counts from 0.
    """
    return iteration - (last if iteration >= last else 0) >= every
