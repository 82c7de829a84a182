"""The management API of routes of model names."""

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agenthub.core.api import ManagementView, Operation, json_object, page_asked
from agenthub.core.errors import NotFound
from providers.api.backends import DeletedAnswer
from providers.models import ModelRoute
from providers.models.route import LONGEST_CACHE_SECONDS
from providers.rules.routes import LONGEST_NAME, MOST_FALLBACKS
from providers.selectors import model_route_warnings
from providers.services.routes import model_route_delete, model_route_save


class ModelRouteInput(serializers.Serializer[ModelRoute]):
    """A route in a request. What is not given stays as it is."""

    name = serializers.CharField(max_length=LONGEST_NAME, help_text="The model name that clients use.")
    target = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=LONGEST_NAME,
        help_text="The canonical model that the name stands for; empty: itself.",
    )
    fallbacks = serializers.ListField(
        required=False,
        child=serializers.CharField(max_length=LONGEST_NAME),
        max_length=MOST_FALLBACKS,
        allow_empty=True,
        help_text="Canonical models that serve, in this order, when every backend of the first is out.",
    )
    resume = serializers.BooleanField(required=False, help_text="A stream that is cut goes on at another backend.")
    cache_seconds = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_CACHE_SECONDS,
        help_text="How long equal requests get the same answer; 0: never.",
    )


class ModelRouteAnswer(serializers.ModelSerializer[ModelRoute]):
    """A route."""

    fallbacks = serializers.ListField(child=serializers.CharField())
    warnings = serializers.SerializerMethodField(help_text="What looks wrong, such as a model that no backend maps.")

    class Meta:
        model = ModelRoute
        fields = (
            "name",
            "target",
            "fallbacks",
            "resume",
            "cache_seconds",
            "created_at",
            "updated_at",
            "warnings",
        )

    def get_warnings(self, route: ModelRoute) -> list[str]:
        """Empty but in the answer to a write."""
        return model_route_warnings(route) if self.context.get("warn") else []


class ModelRoutesView(ManagementView):
    """All routes, and adding one."""

    permission_model = ModelRoute
    operations: ClassVar = {
        "get": Operation("model_routes_list", "List routes of models by name", answer=ModelRouteAnswer, many=True),
        "post": Operation(
            "model_routes_create", "Add a route of a model", answer=ModelRouteAnswer, body=ModelRouteInput, status=201
        ),
    }

    def get(self, request: Request) -> Response:
        """The routes."""
        page = page_asked(request, ModelRoute.objects.order_by("name"))
        return Response(ModelRouteAnswer(page.rows, many=True).data, headers=page.headers)

    def post(self, request: Request) -> Response:
        """Add one."""
        given = ModelRouteInput(data=json_object(request))
        given.is_valid(raise_exception=True)
        return _written(ModelRoute(**given.validated_data), status=201)


class ModelRouteView(ManagementView):
    """One route; its name may hold slashes."""

    permission_model = ModelRoute
    operations: ClassVar = {
        "get": Operation("model_routes_read", "Read a route of a model", answer=ModelRouteAnswer, errors=(404,)),
        "patch": Operation(
            "model_routes_change",
            "Change a route of a model",
            answer=ModelRouteAnswer,
            body=ModelRouteInput,
            errors=(404,),
        ),
        "delete": Operation("model_routes_delete", "Take a route of a model away", answer=DeletedAnswer, errors=(404,)),
    }

    def get(self, _request: Request, name: str) -> Response:
        """Read it."""
        return Response(ModelRouteAnswer(_route(name)).data)

    def patch(self, request: Request, name: str) -> Response:
        """Change what is given."""
        route = _route(name)
        given = ModelRouteInput(route, data=json_object(request), partial=True)
        given.is_valid(raise_exception=True)
        for column, value in given.validated_data.items():
            setattr(route, column, value)
        return _written(route)

    def delete(self, _request: Request, name: str) -> Response:
        """Take it away; backends and mappings stay."""
        model_route_delete(_route(name))
        return Response({"status": "deleted", "id": name})


def _written(route: ModelRoute, status: int = 200) -> Response:
    answer: dict[str, Any] = dict(ModelRouteAnswer(model_route_save(route), context={"warn": True}).data)
    return Response(answer, status=status)


def _route(name: str) -> ModelRoute:
    route = None if "\0" in name else ModelRoute.objects.filter(name=name).first()
    if route is None:
        raise NotFound(
            f"There is no route {name[:LONGEST_NAME]}; GET /api/admin/model-routes lists them.", param="name"
        )
    return route
