"""Who is let in, how those who are not are told, and who has to leave."""

import base64
from contextlib import ExitStack

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.gateway.people import People, Someone, agents, new_agent
from tests.gateway.wire import Wire, connected, plain, welcomed
from tests.hub import Hub


def address(hub: Hub, query: str = "") -> str:
    return hub.base_url.replace("http", "ws") + f"/api/ws{query}"


def test_a_browser_shows_its_token_as_a_subprotocol_and_only_the_other_is_echoed(hub: Hub, agent: Someone) -> None:
    token = "ahtok." + base64.urlsafe_b64encode(agent.token.encode()).decode().rstrip("=")
    with connect(address(hub), subprotocols=["agenthub.v1", token], proxy=None) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "agenthub.v1"
        assert Wire(socket).hello()["you"]["id"] == agent.id


def test_the_header_wins_over_the_address(hub: Hub, agent: Someone, people: People) -> None:
    headers = {"Authorization": f"Bearer {agent.token}"}
    with connect(address(hub, "?token=nonsense"), additional_headers=headers, proxy=None) as socket:
        assert Wire(socket).hello()["you"]["role"] == "AGENT"
    with welcomed(hub, people.viewer) as wire:
        assert wire.welcome["you"] == {"id": people.viewer.id, "name": people.viewer.name, "role": "MEMBER"}


def test_a_late_hello_turns_a_plain_connection_into_one_of_version_1(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.admin) as person, plain(hub, agent) as wire:
        person.chat(agent.id, "before", f"late-{agent.id}")
        assert "epoch" not in wire.until("CHAT")
        assert wire.hello()["you"]["id"] == agent.id
        wire.beats()


@pytest.mark.parametrize("token", ["", "nonsense", "aht_1_" + "x" * 43, "ahu_nonsense", "ahb_a.b.c"])
def test_a_wrong_token_is_told_by_a_code_to_those_who_speak_version_1(hub: Hub, token: str) -> None:
    with connected(hub, token) as wire:
        assert wire.closed() == 4500


def test_no_token_at_all(hub: Hub) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(address(hub), proxy=None):
        pass
    assert refused.value.response.status_code == 401


def test_who_says_no_hello_in_time_has_to_leave(hub: Hub, agent: Someone) -> None:
    with connected(hub, agent) as wire:
        assert wire.closed() == 4006
    with connected(hub, agent) as wire:
        wire.send("CHAT", target_id=1, payload="too early")
        assert wire.error()["code"] == "bad_frame"
        assert wire.closed() == 4006


def test_another_version_is_not_spoken_here(hub: Hub, agent: Someone) -> None:
    with connected(hub, agent) as wire:
        wire.send("HELLO", v=2)
        assert wire.closed() == 4504


def test_a_token_that_is_revoked_ends_its_connections_within_a_moment(hub: Hub, agent: Someone) -> None:
    with welcomed(hub, agent) as wire, connected(hub, agent) as half:
        agents(hub, "PATCH", f"/{agent.id}/token", {"overlap_seconds": 0})
        assert wire.closed() == 4501
        assert half.closed() in (4501, 4006)
    with connected(hub, agent) as wire:
        assert wire.closed() == 4501


def test_an_old_token_works_on_while_two_are_out(hub: Hub, agent: Someone) -> None:
    token = agents(hub, "PATCH", f"/{agent.id}/token", {})["token"]
    for each in (agent.token, token):
        with connected(hub, each) as wire:
            assert wire.hello()["you"]["id"] == agent.id


def test_an_agent_that_is_switched_off_or_deleted_has_to_leave(hub: Hub) -> None:
    one, two = new_agent(hub), new_agent(hub)
    with welcomed(hub, one) as off, plain(hub, two) as gone:
        gone.send("SYSTEM_LOG", payload={"level": "INFO", "content": "here"})
        agents(hub, "PATCH", f"/{one.id}", {"enabled": False})
        assert off.closed() == 4502
        agents(hub, "DELETE", f"/{two.id}")
        assert gone.closed() == 4501


def test_pages_of_other_sites_may_not_connect(hub: Hub, agent: Someone) -> None:
    with pytest.raises(InvalidStatus) as refused, connected(hub, agent, origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403
    with connected(hub, agent, origin=hub.base_url) as wire:
        wire.hello()


def test_a_person_may_have_ten_connections(hub: Hub, people: People) -> None:
    with ExitStack() as stack:
        tabs = [stack.enter_context(welcomed(hub, people.other_member)) for _ in range(10)]
        with connected(hub, people.other_member) as one_more:
            assert one_more.closed() == 4506
        tabs[0].beats()


def test_nothing_else_is_a_websocket_here(hub: Hub, agent: Someone) -> None:
    headers = {"Authorization": f"Bearer {agent.token}"}
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(hub.base_url.replace("http", "ws") + "/api/other", additional_headers=headers, proxy=None),
    ):
        pass
    assert refused.value.response.status_code == 404
    assert httpx.get(f"{hub.base_url}/api/ws", trust_env=False).status_code == 404


def test_tokens_in_addresses_are_in_no_log(hub: Hub, agent: Someone) -> None:
    with plain(hub, agent) as wire:
        wire.send("SYSTEM_LOG", payload={"level": "INFO", "content": "hello"})
    assert agent.token not in hub.log()
