"""The management API of pools."""

from typing import ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, json_object
from agenthub.core.errors import NotFound
from providers.api.backends import DeletedAnswer
from providers.api.serializers import BackendAnswer
from providers.models import Pool
from providers.selectors import PoolState, pool_states
from providers.services.pools import pool_delete, pool_save


class PoolInput(serializers.ModelSerializer[Pool]):
    """A pool in a request."""

    class Meta:
        model = Pool
        fields = ("name", "order", "strategy")


class PoolAnswer(serializers.Serializer[PoolState]):
    """A pool and how its backends are."""

    name = serializers.CharField()
    order = serializers.IntegerField()
    strategy = serializers.CharField()
    total = serializers.IntegerField()
    enabled = serializers.IntegerField()
    healthy = serializers.IntegerField()
    cooling = serializers.IntegerField()
    error = serializers.IntegerField()
    backends = BackendAnswer(many=True)


class PoolsView(ManagementView):
    """All pools, and adding one."""

    permission_model = Pool
    operations: ClassVar = {
        "get": Operation("pools_list", "List pools with their backends, by name", answer=PoolAnswer, keyed=True),
        "post": Operation("pools_create", "Add a pool", answer=PoolAnswer, body=PoolInput, status=201),
    }

    def get(self, _request: Request) -> Response:
        """The pools in their order, by name."""
        return Response({state.name: PoolAnswer(state).data for state in pool_states()})

    def post(self, request: Request) -> Response:
        """Add one."""
        given = PoolInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        pool = pool_save(Pool(**given.validated_data))
        return Response(PoolAnswer(pool_state_named(pool.name)).data, status=201)


def pool_state_named(name: str) -> PoolState:
    """One pool. Raises NotFound."""
    state = next((state for state in pool_states() if state.name == name), None)
    if state is None:
        raise NotFound(f"There is no pool {name[:64]}; GET /api/admin/pools lists them.", param="pool")
    return state


class PoolView(ManagementView):
    """One pool."""

    permission_model = Pool
    operations: ClassVar = {
        "get": Operation("pools_read", "Read a pool", answer=PoolAnswer, errors=(404,)),
        "put": Operation("pools_replace", "Change a pool", answer=PoolAnswer, body=PoolInput, errors=(404,)),
        "patch": Operation("pools_change", "Change a pool", answer=PoolAnswer, body=PoolInput, errors=(404,)),
        "delete": Operation("pools_delete", "Take an empty pool away", answer=DeletedAnswer, errors=(404, 409)),
    }

    def get(self, _request: Request, name: str) -> Response:
        """Read it."""
        return Response(PoolAnswer(pool_state_named(name)).data)

    def put(self, request: Request, name: str) -> Response:
        """Change it; as with PATCH, what is not given stays as it is."""
        return self.patch(request, name)

    def patch(self, request: Request, name: str) -> Response:
        """Change what is given."""
        given = PoolInput(_pool(name), data=json_object(request), partial=True)
        given.is_valid(raise_exception=True)
        pool = _pool(name)
        for column, value in given.validated_data.items():
            setattr(pool, column, value)
        return Response(PoolAnswer(pool_state_named(pool_save(pool).name)).data)

    def delete(self, _request: Request, name: str) -> Response:
        """Take it away, if no backend is in it."""
        pool_delete(_pool(name))
        return Response({"status": "deleted", "id": name})


def _pool(name: str) -> Pool:
    pool = Pool.objects.filter(name=pool_state_named(name).name).first()
    if pool is None:
        raise NotFound(f"The pool {name[:64]} is gone.", param="pool")
    return pool
