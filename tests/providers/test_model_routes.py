"""Aliases, fallbacks and options of model names: rules, service, API, admin, and what the proxy is told."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from agenthub.core import versions
from providers.models import ModelRoute
from providers.rules import table
from providers.rules.routes import MOST_FALLBACKS, route_refusals
from providers.selectors import model_route_warnings, model_routes
from providers.services.routes import model_route_delete, model_route_save
from proxy import snapshot
from tests.factories import make_backend
from tests.management import TOKEN, Management, with_environment
from tests.providers.test_backend_admin import signed_in, told

LIST = "/admin/providers/modelroute/"


@pytest.fixture
def api() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def refused(
    name: str = "fast", target: str = "", fallbacks: list[Any] | None = None, pointing: tuple[str, ...] = ()
) -> dict[str, str]:
    return route_refusals(name, target, fallbacks or [], aliases={"cheap": "small"}, pointing=pointing)


def test_these_may_be_said() -> None:
    assert refused("fast", "small", ["large", "team/huge"]) == {}
    assert refused("small", "", ["large"]) == {}
    assert refused("small", "", pointing=("fast",)) == {}
    assert refused("x" * 200, "y" * 200, [f"m{number}" for number in range(MOST_FALLBACKS)]) == {}


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"name": ""}, "name", "1 to 200"),
        ({"name": "x" * 201}, "name", "1 to 200"),
        ({"name": "a\nb"}, "name", "printed"),
        ({"name": " a"}, "name", "no space"),
        ({"target": "fast"}, "target", "can't stand for itself"),
        ({"target": "a\x00"}, "target", "printed"),
        ({"target": "cheap"}, "target", "cheap is an alias itself"),
        ({"target": "cheap"}, "target", "name small instead"),
        ({"target": "small", "pointing": ("other",)}, "name", "let other point to small first"),
        ({"fallbacks": ["fast"]}, "fallbacks", "can't fall back to itself"),
        ({"target": "small", "fallbacks": ["small"]}, "fallbacks", "already"),
        ({"fallbacks": ["a", "b", "a"]}, "fallbacks", "a is named twice"),
        ({"fallbacks": ["a", "cheap"]}, "fallbacks", "cheap is an alias itself"),
        ({"fallbacks": ["a", ""]}, "fallbacks", "Fallback 2"),
        ({"fallbacks": ["a", 5]}, "fallbacks", "Fallback 2"),
        ({"fallbacks": [f"m{n}" for n in range(MOST_FALLBACKS + 1)]}, "fallbacks", "at most"),
    ],
)
def test_what_may_not_be_said_is_named_with_its_reason(given: dict[str, Any], field: str, words: str) -> None:
    refusals = refused(**given)
    assert list(refusals) == [field]
    assert words in refusals[field]


@pytest.mark.django_db
def test_a_route_is_saved_for_all_processes_and_told_to_the_proxy() -> None:
    before = versions.read_all()["routing"]
    model_route_save(ModelRoute(name="fast", target="small", fallbacks=["b", "a"], resume=True, cache_seconds=60))
    model_route_save(ModelRoute(name="big"))
    assert versions.read_all()["routing"] == before + 2
    assert model_routes() == (
        table.ModelRoute("big"),
        table.ModelRoute("fast", "small", ("b", "a"), resume=True, cache_seconds=60),
    )
    model_route_delete(ModelRoute.objects.get(name="big"))
    assert versions.read_all()["routing"] == before + 3
    assert [route.name for route in model_routes()] == ["fast"]


@pytest.mark.django_db
def test_an_alias_is_served_and_falls_back_in_order() -> None:
    one, two = make_backend("one", models={"small": {}}), make_backend("two", models={"large": {}})
    model_route_save(ModelRoute(name="fast", target="small", fallbacks=["large"]))
    routing = snapshot.load().routing
    snapshot.forget()
    served = [candidate.backend.id for pool in routing.by_model["fast"] for candidate in pool.candidates]
    assert served == [one.id, two.id]
    assert routing.routes["fast"].target == "small"


@pytest.mark.django_db
def test_no_chain_comes_about_from_either_end() -> None:
    model_route_save(ModelRoute(name="a", target="b"))
    for wrong in (
        ModelRoute(name="c", target="a"),
        ModelRoute(name="c", fallbacks=["a"]),
        ModelRoute(name="b", target="c"),
    ):
        with pytest.raises(ValidationError, match="chains of aliases are not followed"):
            model_route_save(wrong)
    # The model that an alias stands for may have fallbacks of its own name.
    model_route_save(ModelRoute(name="b", fallbacks=["c"]))
    assert ModelRoute.objects.count() == 2


@pytest.mark.django_db
def test_the_database_refuses_it_too() -> None:
    model_route_save(ModelRoute(name="a"))
    for wrong in (ModelRoute(name="a"), ModelRoute(name="b", cache_seconds=2_592_001)):
        with pytest.raises(IntegrityError), transaction.atomic():
            wrong.save()
    with pytest.raises(ValidationError):
        model_route_save(ModelRoute(name="a"))


@pytest.mark.django_db
def test_models_that_nobody_maps_are_warned_of() -> None:
    make_backend(models={"small": {}})
    assert model_route_warnings(ModelRoute(name="fast", target="small")) == []
    (first, second) = model_route_warnings(ModelRoute(name="fast", target="large", fallbacks=["small", "huge"]))
    assert ("large" in first, "huge" in second) == (True, True)
    assert "fast" in model_route_warnings(ModelRoute(name="fast", resume=True))[0]
    (hidden,) = model_route_warnings(ModelRoute(name="small", target="small-2", fallbacks=[]))[1:]
    assert "Backends map small themselves" in hidden


@pytest.mark.django_db
def test_the_life_of_a_route(api: Management) -> None:
    given = {"name": "team/fast", "target": "vendor/small", "fallbacks": ["large"], "resume": True, "cache_seconds": 60}
    created = api.good("POST", "model-routes", given)
    assert {name: created[name] for name in given} == given
    assert len(created["warnings"]) == 2
    assert api.good("GET", "model-routes/team/fast")["target"] == "vendor/small"
    assert [route["name"] for route in api.good("GET", "model-routes")] == ["team/fast"]
    changed = api.good("PATCH", "model-routes/team/fast", {"fallbacks": ["b", "a"], "resume": False})
    assert (changed["fallbacks"], changed["resume"], changed["cache_seconds"]) == (["b", "a"], False, 60)
    assert api.good("PATCH", "model-routes/team/fast", {"name": "a b%?#/ü"})["name"] == "a b%?#/ü"
    path = "model-routes/a%20b%25%3F%23/%C3%BC"
    assert api.good("DELETE", path) == {"status": "deleted", "id": "a b%?#/ü"}
    for method in ("GET", "PATCH", "DELETE"):
        assert api.error(404, method, path)["param"] == "name"
    trail = LogEntry.objects.filter(content_type__model="modelroute")
    assert [entry.get_action_display() for entry in trail.order_by("id")] == ["create", "update", "update", "delete"]
    assert json.loads(json.dumps(trail.order_by("id")[1].changes))["resume"] == ["True", "False"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "nul\0"}, "name"),
        ({"name": "taken"}, "name"),
        ({"target": "fast"}, "target"),
        ({"target": "taken"}, "target"),
        ({"fallbacks": "large"}, "fallbacks"),
        ({"fallbacks": {"a": 1}}, "fallbacks"),
        ({"fallbacks": ["a", "a"]}, "fallbacks"),
        ({"fallbacks": ["a", ""]}, "fallbacks.1"),
        ({"fallbacks": ["a"] * 21}, "fallbacks"),
        ({"cache_seconds": -1}, "cache_seconds"),
        ({"cache_seconds": 2_592_001}, "cache_seconds"),
        ({"cache_seconds": "soon"}, "cache_seconds"),
        ({"resume": "perhaps"}, "resume"),
    ],
)
def test_a_wrong_field_is_named(api: Management, change: dict[str, Any], param: str) -> None:
    model_route_save(ModelRoute(name="taken", target="small"))
    error = api.error(400, "POST", "model-routes", {"name": "fast"} | change)
    assert error["param"].startswith(param.partition(".")[0])
    assert ModelRoute.objects.count() == 1


@pytest.mark.django_db
def test_roles_are_those_of_pools(api: Management) -> None:
    assert Management(signed_in("Operators")).good("POST", "model-routes", {"name": "fast"})["name"] == "fast"
    viewers = Management(signed_in("Viewers"))
    assert viewers.good("GET", "model-routes/fast")["cache_seconds"] == 0
    for method, path in (("POST", "model-routes"), ("PATCH", "model-routes/fast"), ("DELETE", "model-routes/fast")):
        viewers.error(403, method, path, {"name": "x"})


@pytest.mark.django_db
def test_the_admin_saves_warns_and_refuses() -> None:
    admin = signed_in("Administrators")
    make_backend(models={"small": {}})
    fields = {"name": "fast", "target": "small", "fallbacks": "large\n\n huge \n", "cache_seconds": "0"}
    before = versions.read_all()["routing"]
    response = admin.post(f"{LIST}add/", fields)
    assert response.status_code == 302, response.context["errors"]
    assert "No backend maps the model large yet" in told(response)
    route = ModelRoute.objects.get()
    assert (route.target, route.fallbacks) == ("small", ["large", "huge"])
    assert versions.read_all()["routing"] > before
    assert b"large, huge" in admin.get(LIST).content
    path = f"{LIST}{route.pk}/change/"
    assert b"large\nhuge" in admin.get(path).content
    for change, field in (({"target": "fast"}, "target"), ({"fallbacks": "a\na"}, "fallbacks"), ({"name": ""}, "name")):
        page = admin.post(path, fields | change)
        assert field in page.context["adminform"].form.errors
    page = admin.post(f"{LIST}add/", fields | {"name": "chained", "target": "fast"})
    assert "is an alias itself" in page.content.decode()
    admin.post(f"{LIST}{route.pk}/delete/", {"post": "yes"})
    assert not ModelRoute.objects.exists()
    assert signed_in("Viewers").post(f"{LIST}add/", fields).status_code == 403


@pytest.mark.django_db
def test_rows_are_deleted_together() -> None:
    for name in ("a", "b"):
        model_route_save(ModelRoute(name=name))
    before = versions.read_all()["routing"]
    ids = list(ModelRoute.objects.values_list("pk", flat=True))
    signed_in("Administrators").post(LIST, {"action": "delete_selected", "_selected_action": ids, "post": "yes"})
    assert not ModelRoute.objects.exists()
    assert versions.read_all()["routing"] > before
