"""The management API of alerts."""

from typing import ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, page_asked, text_asked
from agenthub.core.errors import BadRequest, NotFound
from agenthub.core.serializer_fields import JsonObjectField
from heartbeat.models import Alert
from heartbeat.rules.alerting import AlertState, Severity
from heartbeat.selectors import alerts
from heartbeat.services.alerts import alert_acknowledge, alert_close

STATES = [state.value for state in AlertState]


class AlertAnswer(serializers.ModelSerializer[Alert]):
    """An alert."""

    severity = serializers.ChoiceField(choices=[severity.value for severity in Severity])
    state = serializers.ChoiceField(choices=STATES)
    details = JsonObjectField()

    class Meta:
        model = Alert
        exclude = ("fingerprint",)


class AlertsView(ManagementView):
    """All alerts."""

    permission_model = Alert
    operations: ClassVar = {
        "get": Operation(
            "alerts_list",
            "List alerts, those that were seen last first",
            answer=AlertAnswer,
            many=True,
            query=(Query("state", help=f"Only those that are {', '.join(STATES[:-1])} or {STATES[-1]}."),),
        )
    }

    def get(self, request: Request) -> Response:
        """They, of one state where it is named."""
        state = text_asked(request, "state")
        if state and state not in STATES:
            raise BadRequest(f"state must be one of {', '.join(STATES)}.", param="state")
        page = page_asked(request, alerts(state=state))
        return Response(AlertAnswer(page.rows, many=True).data, headers=page.headers)


class AlertAcknowledgeView(ManagementView):
    """Seen."""

    permission_model = Alert
    actions = True
    operations: ClassVar = {
        "post": Operation("alerts_acknowledge", "Note that an alert was seen", answer=AlertAnswer, errors=(404,)),
    }

    def post(self, request: Request, alert_id: str) -> Response:
        """Acknowledge it; one that was acknowledged or resolved before stays as it is."""
        alert_acknowledge(alert_id=_alert(alert_id).id, by=str(request.user))
        return Response(AlertAnswer(_alert(alert_id)).data)


class AlertResolveView(ManagementView):
    """Over."""

    permission_model = Alert
    actions = True
    operations: ClassVar = {
        "post": Operation("alerts_resolve", "Say that an alert is over", answer=AlertAnswer, errors=(404,)),
    }

    def post(self, request: Request, alert_id: str) -> Response:
        """Resolve it; one that was resolved before stays as it is. What goes on makes a new one."""
        alert_close(alert_id=_alert(alert_id).id, by=str(request.user))
        return Response(AlertAnswer(_alert(alert_id)).data)


def _alert(alert_id: str) -> Alert:
    alert = alerts().filter(id=alert_id).first()
    if alert is None:
        raise NotFound(f"There is no alert {alert_id[:40]}; GET /api/admin/alerts lists them.", param="id")
    return alert
