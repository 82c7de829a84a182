"""What is wrong with the hub's own account at a provider: a spent quota, a rejected key, a model that it has not."""

import httpx
import pytest

from agenthub.demo.standin.script import Script
from tests.hub import Hub
from tests.proxy.conftest import MakeRoute
from tests.proxy.wires import CHAT, MESSAGES, TEXT, WIRES, Wire

ALL = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])

SPENT = {
    "402": Script(status=402),
    "429": Script(status=429, error_code="insufficient_quota", headers={"retry-after": "1"}),
}


@ALL
@pytest.mark.parametrize("script", SPENT.values(), ids=SPENT.keys())
def test_a_spent_quota_ends_the_backend(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire, script: Script
) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", script)
    for stream in (True, False):
        assert wire.said(client, two.model, stream=stream) == TEXT
    assert two.asked() == {"first": 1, "second": 2}
    backend = two.backend_when("first", status="error", error_kind="quota")
    assert str(script.status) in backend["error_reason"]
    assert two.cooldowns("first") == []


@pytest.mark.parametrize("wire", [CHAT, MESSAGES], ids=lambda wire: wire.name)
def test_a_credit_balance_that_is_too_low_is_a_spent_quota(client: httpx.Client, route: MakeRoute, wire: Wire) -> None:
    two = MESSAGES.route(route, "first", "second")
    what = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
    two.script("first", Script(status=400, error_message=what))
    for _ in range(2):
        assert wire.said(client, two.model, stream=True) == TEXT
    assert two.asked() == {"first": 1, "second": 2}
    backend = two.backend_when("first", status="error", error_kind="quota")
    assert "credit balance" in backend["error_reason"]


@ALL
@BOTH
def test_keys_that_are_rejected_everywhere_are_a_502(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire, stream: bool
) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", Script(status=401))
    two.script("second", Script(status=403))
    for _ in range(2):  # found out, and known
        answer = wire.post(client, two.model, stream=stream)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_credentials_rejected")
    assert two.asked() == {"first": 1, "second": 1}
    for name in two.ids:
        two.backend_when(name, status="error", error_kind="credentials")
    assert [record["status"] for record in hub.records(two.model, count=2)] == [502, 502]


@ALL
@BOTH
def test_a_model_that_is_not_there_flags_the_mapping(
    hub: Hub, client: httpx.Client, route: MakeRoute, wire: Wire, stream: bool
) -> None:
    two = wire.route(route, "first", "second")
    two.script("first", Script(status=404, error_message="model: native-first"))
    assert wire.said(client, two.model, stream=stream) == TEXT
    assert two.asked() == {"first": 1, "second": 1}
    two.standin.wait(lambda _: two.backend("first")["model_mappings"][two.model]["flagged_at"])
    assert not two.backend("second")["model_mappings"][two.model]["flagged_at"]
    assert two.backend("first")["status"] == "healthy"
    assert two.cooldowns("first") == []
