from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.ledger import ended_row, interrupted_row
from proxy.rules.record import Attempt
from tests.proxy.entries import NOON_US, begun, ended

NOON = datetime(2025, 11, 21, 12, tzinfo=UTC)
LARGEST = 2**63 - 1

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)
numbers = st.integers(-(2**63), 2**64 - 1)


@given(
    st.builds(
        ended,
        texts,
        started_at_us=numbers,
        model=texts,
        error_type=texts,
        status=numbers,
        attempts=numbers,
        input_tokens=numbers,
        cost_picousd=st.none() | numbers,
        latency_us=numbers,
        ttft_us=st.none() | numbers,
        trail=st.lists(st.builds(Attempt, texts, texts, numbers, numbers, numbers), max_size=2).map(tuple),
    )
)
def test_whatever_stands_in_the_journal_fits_its_columns(entry: object) -> None:
    row = ended_row(entry)  # type: ignore[arg-type]

    assert all("\0" not in value and len(value) <= 200 for value in row if isinstance(value, str))
    assert all(0 <= value <= LARGEST for value in row if isinstance(value, int))
    assert 0 <= row.status < 2**31
    assert 0 <= row.attempts < 2**31
    assert 1970 <= row.started_at.year <= row.ended_at.year <= 2100


def test_a_request_ends_its_latency_after_it_started() -> None:
    row = ended_row(ended(latency_us=1_500_000))

    assert row.started_at == NOON
    assert row.ended_at == datetime(2025, 11, 21, 12, 0, 1, 500_000, tzinfo=UTC)


def test_an_unpriced_request_stays_unpriced() -> None:
    assert ended_row(ended(cost_picousd=None)).cost_usd is None
    assert ended_row(ended(cost_picousd=0)).cost_usd == 0


def test_an_interrupted_request_has_no_status_no_price_and_an_estimated_prompt() -> None:
    row = interrupted_row(begun("a", started_at_us=NOON_US, input_tokens_estimate=9), now=NOON)

    assert (row.id, row.started_at, row.ended_at) == ("a", NOON, NOON)
    assert (row.status, row.error_type, row.cost_usd) == (0, "interrupted", None)
    assert (row.input_tokens, row.estimated, row.partial) == (9, True, True)
