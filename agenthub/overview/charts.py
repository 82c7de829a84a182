"""The charts' points as JSON, read once for all who look at them within a few seconds."""

import threading
from datetime import datetime, timedelta

import orjson

from agenthub.overview.rules.series import SPANS
from agenthub.overview.selectors import usage_series


class Charts:
    """One answer per span, kept while it is fresh. Called from worker threads."""

    FRESH = timedelta(seconds=5)

    def __init__(self) -> None:
        # A lock per span: whoever comes while a reading is under way waits for it instead of starting another.
        self._locks = {name: threading.Lock() for name in SPANS}
        self._kept: dict[str, tuple[datetime, bytes]] = {}

    def points_json(self, name: str, now: datetime) -> bytes:
        """`{span, bucket_seconds, points}` of the span `name` of SPANS, at most FRESH old."""
        with self._locks[name]:
            kept = self._kept.get(name)
            if kept is not None and timedelta(0) <= now - kept[0] < self.FRESH:
                return kept[1]
            answer = {
                "span": name,
                "bucket_seconds": int(SPANS[name].bucket.total_seconds()),
                "points": usage_series(name, now),
            }
            body = orjson.dumps(answer)
            self._kept[name] = (now, body)
            return body


usage_charts = Charts()
"""Those of this process."""
