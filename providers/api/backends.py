"""The management API of backends and pools."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, Query, json_object, page_asked, text_asked
from agenthub.core.errors import NotFound
from agenthub.core.settings_store import runtime_settings
from providers.api.serializers import BackendAnswer, BackendInput, CostSerializer
from providers.models import Backend, Pool
from providers.probes import backend_discover, backend_test, reach_warning
from providers.rules import price_list
from providers.rules.base_url import base_url_warnings
from providers.rules.table import ApiKind, ErrorKind
from providers.selectors import backends_with_mappings
from providers.services.backends import (
    backend_create,
    backend_delete,
    backend_error_clear,
    backend_update,
    mappings_add,
)
from providers.services.cooldowns import cooldown_clear


class DeletedAnswer(serializers.Serializer[Any]):
    """What was taken away."""

    status = serializers.CharField()
    id = serializers.CharField()


class BackendsView(ManagementView):
    """All backends, and adding one."""

    permission_model = Backend
    operations: ClassVar = {
        "get": Operation(
            "backends_list",
            "List backends by name",
            answer=BackendAnswer,
            many=True,
            query=(Query("pool", help="Only those of this pool."), Query("model", help="Only those that serve it.")),
        ),
        "post": Operation("backends_create", "Add a backend", answer=BackendAnswer, body=BackendInput, status=201),
    }

    def get(self, request: Request) -> Response:
        """The backends, of one pool or model where one is named."""
        backends = backends_with_mappings().order_by("name", "id")
        if pool := text_asked(request, "pool"):
            backends = backends.filter(pool__name=pool)
        if model := text_asked(request, "model"):
            backends = backends.filter(mappings__canonical=model)
        page = page_asked(request, backends)
        return Response(BackendAnswer(page.rows, many=True).data, headers=page.headers)

    def post(self, request: Request) -> Response:
        """Add one."""
        given = BackendInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        data = given.backend_data()
        backend = backend_create(data=data.with_defaults(_defaults(data.values)))
        return _written(request, backend.id, status=201)


def _defaults(given: Any) -> dict[str, Any]:
    settings = runtime_settings()
    defaults: dict[str, Any] = {
        "rpm_limit": settings.default_rpm_limit,
        "timeout_seconds": settings.default_request_timeout_seconds,
    }
    if "pool" not in given:
        pool = Pool.objects.order_by("order", "name").first()
        if pool is None:
            raise NotFound("There is no pool; add one first.", param="pool")
        defaults["pool"] = pool
    return defaults


class BackendView(ManagementView):
    """One backend."""

    permission_model = Backend
    operations: ClassVar = {
        "get": Operation("backends_read", "Read a backend", answer=BackendAnswer, errors=(404,)),
        "put": Operation(
            "backends_replace", "Change a backend", answer=BackendAnswer, body=BackendInput, errors=(404,)
        ),
        "patch": Operation(
            "backends_change", "Change a backend", answer=BackendAnswer, body=BackendInput, errors=(404,)
        ),
        "delete": Operation("backends_delete", "Take a backend away", answer=DeletedAnswer, errors=(404,)),
    }

    def get(self, _request: Request, backend_id: str) -> Response:
        """Read it."""
        return Response(BackendAnswer(backend_named(backend_id)).data)

    def put(self, request: Request, backend_id: str) -> Response:
        """Change it; as with PATCH, what is not given stays as it is."""
        return self.patch(request, backend_id)

    def patch(self, request: Request, backend_id: str) -> Response:
        """Change what is given."""
        backend = backend_named(backend_id)
        given = BackendInput(backend, data=json_object(request), partial=True)
        given.is_valid(raise_exception=True)
        backend_update(backend_id=backend_id, data=given.backend_data())
        return _written(request, backend_id)

    def delete(self, _request: Request, backend_id: str) -> Response:
        """Take it away; usage and cooldown log stay."""
        backend_named(backend_id)
        backend_delete(backend_id)
        return Response({"status": "deleted", "id": backend_id})


def backend_named(backend_id: str) -> Backend:
    """The backend with this id. Raises NotFound."""
    backend = backends_with_mappings().filter(id=backend_id).first()
    if backend is None:
        raise NotFound(f"There is no backend {backend_id[:40]}; GET /api/admin/backends lists them.", param="id")
    return backend


_CONNECTING = {"api_base_url", "outgoing_proxy", "ca_bundle", "client_certificate"}
"""What a connection depends on."""


def _written(request: Request, backend_id: str, status: int = 200) -> Response:
    backend = backend_named(backend_id)
    warnings = [
        f"{name[:50]} is not a field of a backend and was ignored."
        for name in request.data
        if name not in BackendInput().fields and name not in BackendAnswer().fields
    ]
    if _CONNECTING & set(request.data):
        warnings += base_url_warnings(backend.api_base_url, ApiKind(backend.api))
        unreachable = reach_warning(backend)
        warnings += [unreachable] if unreachable else []
    answer = BackendAnswer(backend, context={"warnings": warnings})
    headers = {"Location": f"/api/admin/backends/{backend_id}"} if status == 201 else None
    return Response(answer.data, status=status, headers=headers)


class TestInput(serializers.Serializer[Any]):
    """How to test."""

    completion = serializers.BooleanField(
        default=False, help_text="Try the smallest completion, which the upstream bills, instead of its list of models."
    )


class DiagnosisAnswer(serializers.Serializer[Any]):
    """What a call to the upstream has shown."""

    status = serializers.ChoiceField(choices=["ok", "failed"])
    diagnosis = serializers.CharField(
        help_text="A word: ok, dns_failed, tls_expired, timeout, unauthorized, not_found …; the reference lists them."
    )
    message = serializers.CharField(help_text="The same as a sentence, with what to do.")


class TestAnswer(DiagnosisAnswer):
    """The outcome of a test."""

    status_code = serializers.IntegerField(allow_null=True, help_text="Null where no answer came.")
    latency_ms = serializers.FloatField(allow_null=True)
    models = serializers.ListField(child=serializers.CharField())
    response = serializers.CharField(help_text="The beginning of the upstream's refusal, secrets removed.")
    error_cleared = serializers.BooleanField(help_text="Whether the success has ended an error of the backend.")


class BackendTestView(ManagementView):
    """A real call to the upstream."""

    permission_model = Backend
    actions = True
    operations: ClassVar = {
        "post": Operation("backends_test", "Test a backend", answer=TestAnswer, body=TestInput, errors=(404,)),
    }

    def post(self, request: Request, backend_id: str) -> Response:
        """Call it and say how it went. The answer is 200 also when the upstream fails: the test was made."""
        backend = backend_named(backend_id)
        given = TestInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        tested = backend_test(backend, completion=given.validated_data["completion"])
        return Response(
            {
                "status": "ok" if tested.ok else "failed",
                "diagnosis": tested.diagnosis.code,
                "message": tested.diagnosis.message,
                "status_code": tested.status_code,
                "latency_ms": tested.latency_ms,
                "models": list(tested.models),
                "response": tested.response,
                "error_cleared": tested.error_cleared,
            }
        )


class DiscoverInput(serializers.Serializer[Any]):
    """What to do with what is found."""

    apply = serializers.BooleanField(default=False, help_text="Add a mapping for every model that is not mapped yet.")
    list_prices = serializers.BooleanField(
        default=False,
        help_text="Give what is added the prices of the list that ships with AgentHub where the upstream gives none. "
        "They are those of the day prices_as_of; check them against the provider's own page.",
    )


class ProposalAnswer(serializers.Serializer[Any]):
    """One model that the upstream lists."""

    canonical = serializers.CharField()
    native_id = serializers.CharField()
    context_window = serializers.IntegerField(allow_null=True)
    cost = CostSerializer(help_text="The prices that the upstream gives, USD per token.")
    list_prices = CostSerializer(help_text="What the shipped price list says where the upstream gives no price.")
    known = serializers.BooleanField(help_text="Whether it is mapped already.")


class DiscoverAnswer(DiagnosisAnswer):
    """What the upstream offers."""

    models = ProposalAnswer(many=True)
    prices_as_of = serializers.DateField(help_text="The day whose prices list_prices are.")
    added = serializers.ListField(child=serializers.CharField(), help_text="The mappings that were added.")


class BackendDiscoverView(ManagementView):
    """Mappings out of the upstream's own list of models."""

    permission_model = Backend
    actions = True
    operations: ClassVar = {
        "post": Operation(
            "backends_discover", "Discover models", answer=DiscoverAnswer, body=DiscoverInput, errors=(404,)
        ),
    }

    def post(self, request: Request, backend_id: str) -> Response:
        """Propose them, and add the missing ones where that is asked for."""
        backend = backend_named(backend_id)
        given = DiscoverInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        found = backend_discover(backend)
        wanted = found.proposals
        if given.validated_data["list_prices"]:
            wanted = tuple(each.with_list_prices() for each in wanted)
        added = mappings_add(backend_id=backend_id, found=wanted) if given.validated_data["apply"] else []
        answer = {
            "status": "ok" if found.diagnosis.ok else "failed",
            "diagnosis": found.diagnosis.code,
            "message": found.diagnosis.message,
            "models": found.proposals,
            "prices_as_of": price_list.AS_OF,
            "added": added,
        }
        return Response(DiscoverAnswer(answer).data)


class BackendClearView(ManagementView):
    """Back to work."""

    permission_model = Backend
    actions = True
    operations: ClassVar = {
        "post": Operation(
            "backends_clear_cooldown",
            "End a cooldown, and an error that an operator may clear",
            answer=BackendAnswer,
            errors=(404,),
        ),
    }

    def post(self, _request: Request, backend_id: str) -> Response:
        """End it now."""
        backend_named(backend_id)
        cooldown_clear(backend_id)
        backend_error_clear(backend_id, kinds=(ErrorKind.CREDENTIALS, ErrorKind.QUOTA))
        return Response(BackendAnswer(backend_named(backend_id)).data)
