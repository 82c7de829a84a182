"""The order of a waiting line: first come, first served for each client key, and the keys take turns. Pure."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")


class FairLine(Generic[Waiting]):
    """Who waits for one model. A key with a hundred requests in the line gets no more turns than one with a single."""

    __slots__ = ("_by_key", "_count")

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, deque[Waiting]] = OrderedDict()  # the key whose turn is next comes first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def join(self, key: str, who: Waiting) -> None:
        """Stand behind all others of the same key; a key that was not waiting stands behind all other keys."""
        self._by_key.setdefault(key, deque()).append(who)
        self._count += 1

    def served(self, key: str, who: Waiting) -> None:
        """It was its turn: the other keys come first now."""
        self.leave(key, who)
        if key in self._by_key:
            self._by_key.move_to_end(key)

    def leave(self, key: str, who: Waiting) -> None:
        """Give up a place; no turn is used up by it."""
        own = self._by_key.get(key)
        if own is None or who not in own:
            return
        own.remove(who)
        self._count -= 1
        if not own:
            del self._by_key[key]

    def in_turn(self) -> Iterator[tuple[str, Waiting]]:
        """Everybody in the order in which they would be served if nobody came or left."""
        for place in range(max(map(len, self._by_key.values()), default=0)):
            for key, own in self._by_key.items():
                if place < len(own):
                    yield key, own[place]
