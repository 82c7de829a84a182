"""Rows that belong to the house as a whole."""

from django.db import models


class SystemConfig(models.Model):
    """A run-time setting that someone has set; unset ones have no row. `core/params.py` says which there are."""

    key = models.CharField(max_length=64, primary_key=True)
    value = models.TextField(help_text="The value as JSON.")
    description = models.TextField(blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "setting"
        ordering = ("key",)

    def __str__(self) -> str:
        return self.key


class ChangeCounter(models.Model):
    """Grows with every change of one kind, so that processes see by one small read whether they are out of date."""

    name = models.CharField(max_length=16, primary_key=True)
    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.number}"
