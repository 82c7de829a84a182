"""What operators say of a model name, beside the mappings."""

from django.core.validators import MaxValueValidator
from django.db import models

LONGEST_CACHE_SECONDS = 2_592_000  # 30 days


class ModelRoute(models.Model):
    """A model name that clients use: an alias, its fallbacks, and how it is served. Models are canonical names."""

    name = models.CharField(max_length=200, help_text="The model name that clients use.")
    target = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="The canonical model that the name stands for; empty: itself, to give it fallbacks or options.",
    )
    fallbacks = models.JSONField(
        default=list,
        blank=True,
        help_text="Canonical models that serve, in this order, when every backend of the first is out.",
    )
    resume = models.BooleanField(default=False, help_text="A stream that is cut goes on at another backend.")
    cache_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(LONGEST_CACHE_SECONDS)],
        help_text="How long equal requests get the same answer, up to 2592000 (30 days); 0: never.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            # A request asks for one name, and finds one route.
            models.UniqueConstraint(fields=["name"], name="model_route_name_unique"),
            # A time that no cache keeps would look like one that it does.
            models.CheckConstraint(
                condition=models.Q(cache_seconds__range=(0, LONGEST_CACHE_SECONDS)),
                name="model_route_cache_seconds_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name
