"""A rolling restart under connected agents: they are asked over to another process, and lose no message."""

from pathlib import Path

from tests.faults.conversation import Conversation
from tests.gateway.people import new_agent
from tests.gateway.wire import welcomed
from tests.hub import Hub, wait_until
from tests.up.test_reload import reload


def test_agents_go_over_to_the_next_process(tmp_path: Path) -> None:
    with Hub(tmp_path / "hub", environ={"AGENTHUB_WORKERS": "2"}) as hub:
        agent = new_agent(hub)
        conversation = Conversation(hub, tmp_path)
        conversation.start()
        try:
            wait_until(lambda: len(conversation.acked()) > 5, "They talk")
            with welcomed(hub, agent) as wire:
                code, _ = reload(hub)
                assert code == 0
                assert wire.until("RECONNECT")["after_ms"] >= 0
                assert wire.closed() == 4003
            before = len(conversation.acked())
            wait_until(lambda: len(conversation.acked()) > before + 5, "They talk on")
            conversation.assert_kept()
        finally:
            conversation.stop()
        with welcomed(hub, agent) as wire:
            hub.stop()
            assert wire.closed() == 4003
