"""What the gateway counts; handed over once a second, so that a message costs nothing for it."""

from prometheus_client import Counter, Gauge

from agenthub.hub.gateway.gateway import Gateway

connections = Gauge("agenthub_hub_connections", "Open WebSockets.", ["kind"], multiprocess_mode="livesum")
messages = Counter("agenthub_hub_messages", "Messages stored and acknowledged.")
reports_lost = Counter("agenthub_hub_reports_lost", "Reports of agents that could not be stored.")


def show(gateway: Gateway) -> None:
    """Bring them up to date."""
    people = sum(connection.sender.is_person for connection in gateway.all())
    connections.labels("people").set(people)
    connections.labels("agents").set(len(gateway.all()) - people)
    messages.inc(gateway.messages_stored)
    reports_lost.inc(gateway.reports_lost)
    gateway.messages_stored = gateway.reports_lost = 0
