"""Pools: ordered groups of backends."""

from django.core.validators import RegexValidator
from django.db import models

from providers.rules.table import Strategy


class Pool(models.Model):
    """An ordered group of backends; `primary` and `fallback` exist from the start."""

    name = models.CharField(
        max_length=64,
        validators=[RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "Use letters, digits, dots, dashes, underscores.")],
        help_text="The word by which backends and the API name this pool.",
    )
    order = models.PositiveIntegerField(default=0, help_text="Pools with smaller numbers are tried first.")
    strategy = models.CharField(
        max_length=20,
        choices=[(strategy.value, strategy.value.replace("_", " ")) for strategy in Strategy],
        default=Strategy.LEAST_UTILISED.value,
        help_text="How the backends of this pool are ordered for a request.",
    )

    class Meta:
        ordering = ("order", "name")
        constraints = [
            # The API and the environment name pools, so a name must lead to one pool.
            models.UniqueConstraint(fields=["name"], name="pool_name_unique"),
        ]

    def __str__(self) -> str:
        return self.name
