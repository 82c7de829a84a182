"""A segment that ends anywhere: what was whole is recorded, what was open is interrupted, nothing is double."""

from pathlib import Path

import pytest

from providers.models import DailyStats, UsageRecord
from proxy.flusher import Flusher
from proxy.rules.frames import HEADER, frame
from proxy.rules.record import RequestBegun, RequestEnded
from tests.proxy.entries import begun, ended


@pytest.mark.django_db
def test_a_segment_cut_at_every_byte(tmp_path: Path) -> None:
    entries: list[RequestBegun | RequestEnded] = [begun("a"), begun("b"), ended("a"), begun("c"), ended("c")]
    frames = [frame(entry) for entry in entries]
    data = HEADER + b"".join(frames)
    ends = [len(HEADER) + sum(map(len, frames[: count + 1])) for count in range(len(frames))]

    for cut in range(len(HEADER), len(data) + 1):
        (tmp_path / f"{cut:032x}.journal").write_bytes(data[:cut])
        flusher = Flusher(tmp_path)
        flusher.flush()
        flusher.close()

        whole = entries[: sum(end <= cut for end in ends)]
        finished = {entry.id for entry in whole if isinstance(entry, RequestEnded)}
        interrupted = {entry.id for entry in whole} - finished
        assert set(UsageRecord.objects.filter(error_type="").values_list("id", flat=True)) == finished
        assert set(UsageRecord.objects.filter(error_type="interrupted").values_list("id", flat=True)) == interrupted
        assert sum(DailyStats.objects.values_list("request_count", flat=True)) == len(finished | interrupted)
        assert list(tmp_path.iterdir()) == []
        for model in (UsageRecord, DailyStats):
            model.objects.all().delete()
