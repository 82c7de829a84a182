"""The API of the hub beside its WebSocket: what came by the one is seen on the other."""

from typing import Any

import httpx

from tests.gateway.people import People, Someone, new_approval
from tests.gateway.wire import plain, welcomed
from tests.hub import Hub


def ask(hub: Hub, who: Someone, method: str, path: str, body: Any = None) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=30) as client:
        headers = {"authorization": f"Bearer {who.token}"}
        return client.request(method, f"{hub.base_url}/api/{path}", json=body, headers=headers)


def good(hub: Hub, who: Someone, method: str, path: str, body: Any = None) -> Any:
    answer = ask(hub, who, method, path, body)
    assert answer.is_success, answer.text
    return answer.json()


def test_what_was_said_on_the_socket_is_read_by_http(hub: Hub, agent: Someone, people: People) -> None:
    thread = good(hub, people.member, "POST", "chat/threads", {"peer_user_id": agent.id, "title": "Plans"})["id"]
    with welcomed(hub, people.member) as person, welcomed(hub, agent) as wire:
        question = person.chat(agent.id, "how goes it 𝄞", f"rest-q-{agent.id}", conversation_id=thread)
        wire.chat(people.member.id, {"text": "well"}, f"rest-a-{agent.id}", reply_to=question["id"])
        person.chat(agent.id, "no thread named", f"rest-d-{agent.id}")
    said = good(hub, people.member, "GET", f"chat/threads/{thread}/messages")
    assert [(row["payload"], row["sender_id"], row["reply_to"]) for row in said] == [
        ({"text": "well"}, agent.id, question["id"]),
        ("how goes it 𝄞", people.member.id, None),
    ]
    history = good(hub, people.member, "GET", f"chat/history/{agent.id}")
    assert [row["payload"] for row in history] == ["no thread named", {"text": "well"}, "how goes it 𝄞"]
    assert good(hub, people.other_member, "GET", f"chat/history/{agent.id}") == []
    assert ask(hub, people.other_member, "GET", f"chat/threads/{thread}/messages").status_code == 404


def test_a_report_by_http_is_shown_to_those_who_watch(hub: Hub, agent: Someone, people: People) -> None:
    with welcomed(hub, people.viewer) as person, plain(hub, people.operator) as old:
        person.beats()
        made = good(hub, agent, "POST", "messages", {"level": "SUCCESS", "content": "all done"})
        seen = person.until("SYSTEM_LOG", sender_id=agent.id)
        assert (seen["id"], seen["payload"]) == (made["id"], {"level": "SUCCESS", "content": "all done"})
        assert old.until("SYSTEM_LOG", sender_id=agent.id)["payload"] == seen["payload"]
    assert good(hub, people.member, "GET", f"messages?agent_id={agent.id}") == [made]


def test_who_is_there_is_told_by_http(hub: Hub, agent: Someone, people: People) -> None:
    def status() -> dict[str, Any]:
        rows = good(hub, people.member, "GET", "users/agents/status")
        return next(row for row in rows if row["id"] == agent.id)

    assert status()["status"] == "offline"
    with welcomed(hub, agent, capabilities=["files"]):
        assert (status()["status"], status()["online"]) == ("online", True)
        shown = good(hub, people.member, "GET", f"users/agents?q={agent.name}")
        assert [(row["username"], row["capabilities"], row["tokens"]) for row in shown] == [(agent.name, ["files"], [])]


def test_an_answer_by_http_is_told_to_approvers_on_the_socket(hub: Hub, agent: Someone, people: People) -> None:
    action = new_approval(hub, agent, people.admin)
    with welcomed(hub, people.admin) as admin, welcomed(hub, people.butler) as butler:
        admin.beats()
        butler.beats()
        body = {"action_id": action, "approved": True}
        assert ask(hub, people.member, "POST", "chat/auth/response", body).status_code == 403
        assert good(hub, people.operator, "POST", "chat/auth/response", body)["status"] == "resolved"
        told = admin.until("AUTH_STATUS_UPDATE")["payload"]
        assert (told["action_id"], told["status"], told["approver_id"]) == (action, "APPROVED", people.operator.id)
        answered = butler.until("AUTH_RESPONSE")
        assert (answered["payload"]["approved"], answered["sender_id"]) == (True, people.operator.id)
    assert ask(hub, people.admin, "POST", "chat/auth/response", body | {"approved": False}).status_code == 409
