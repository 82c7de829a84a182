"""What happens to routes of model names."""

from django.core.exceptions import ValidationError
from django.db import transaction

from agenthub.core.versions import bump
from providers.models import ModelRoute
from providers.rules.routes import route_refusals


def model_route_refusals(route: ModelRoute) -> dict[str, str]:
    """What is wrong with a route beside the others that there are, by field."""
    others = list(ModelRoute.objects.exclude(pk=route.pk).order_by("name"))
    return route_refusals(
        route.name,
        route.target,
        route.fallbacks,
        aliases={other.name: other.target for other in others if other.target},
        pointing=[other.name for other in others if route.name in (other.target, *other.fallbacks)],
    )


@transaction.atomic
def model_route_save(route: ModelRoute) -> ModelRoute:
    """Add or change a route. Raises ValidationError of Django, naming the field."""
    route.full_clean()
    refusals = model_route_refusals(route)
    if refusals:
        raise ValidationError(refusals)
    route.save()
    bump("routing")
    return route


@transaction.atomic
def model_route_delete(route: ModelRoute) -> None:
    """Take a route away; the models that it names stay."""
    route.delete()
    bump("routing")
