import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.rules.discovery import NoModelList, listed_models, proposals


def listed(*entries: Any) -> list[dict[str, Any]]:
    return listed_models(json.dumps({"data": entries}).encode())


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": [{"id": "m"}]},
        {"models": [{"name": "m", "model": "m"}]},
        {"models": [{"name": "models/m"}]},
        [{"id": "m"}],
    ],
)
def test_the_usual_shapes_are_read(body: Any) -> None:
    (found,) = proposals(listed_models(json.dumps(body).encode()), canonical=(), native=())
    assert (found.canonical, found.native_id) == ("m", "m")


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data": 5}', b'"x"', b"[" * 100_000, b"\xff"])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(NoModelList):
        listed_models(body)


def test_entries_that_can_not_be_stored_are_left_out() -> None:
    assert listed({"id": ""}, {"id": 5}, {"id": "x" * 201}, {"id": "a\0b"}, "m", None, {"id": "good"}) == [
        {"id": "good"}
    ]


def test_what_is_mapped_already_is_known() -> None:
    found = proposals(listed({"id": "b"}, {"id": "a"}, {"id": "c"}), canonical={"a"}, native={"b"})
    assert [(each.native_id, each.known) for each in found] == [("a", True), ("b", True), ("c", False)]


def test_windows_and_prices_are_taken_where_they_are_given() -> None:
    pricing = {"prompt": "0.00000015", "completion": 6e-7, "input_cache_read": "-1", "request": "0"}
    (found,) = proposals(listed({"id": "m", "context_length": 8000, "pricing": pricing}), canonical=(), native=())
    assert found.context_window == 8000
    assert found.cost == {"input": Decimal("1.5e-7"), "output": Decimal("6e-7")}


@given(
    st.dictionaries(st.sampled_from(["id", "pricing", "context_window", "name"]), st.from_type(type(None)) | st.text())
)
def test_odd_entries_break_nothing(entry: dict[str, Any]) -> None:
    proposals(listed(entry), canonical=(), native=())
