"""Pools in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from agenthub.core.admin.base import HouseAdmin
from providers.models import Pool
from providers.rules.table import BackendStatus
from providers.services.pools import pool_delete, pool_save


@admin.register(Pool)
class PoolAdmin(HouseAdmin):
    """Pools in the order in which they are tried."""

    list_display = ("name", "order", "strategy", "backends_total", "healthy", "cooling", "in_error")
    search_fields = ("name",)
    ordering = ("order", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pool]:
        """With the numbers of their backends."""

        def how_many(status: BackendStatus) -> Count:
            return Count("backends", filter=Q(backends__status=status))

        pools: QuerySet[Pool] = super().get_queryset(request)
        return pools.annotate(
            total=Count("backends"),
            healthy=how_many(BackendStatus.HEALTHY),
            cooling=how_many(BackendStatus.COOLING),
            in_error=how_many(BackendStatus.ERROR),
        )

    @display(description="backends", ordering="total")
    def backends_total(self, pool: Any) -> int:
        """All of them."""
        return int(pool.total)

    @display(description="healthy", ordering="healthy")
    def healthy(self, pool: Any) -> int:
        """Those that may be used."""
        return int(pool.healthy)

    @display(description="cooling", ordering="cooling")
    def cooling(self, pool: Any) -> int:
        """Those that are left alone for a while."""
        return int(pool.cooling)

    @display(description="error", ordering="in_error")
    def in_error(self, pool: Any) -> int:
        """Those that need somebody."""
        return int(pool.in_error)

    def save_model(self, request: HttpRequest, obj: Pool, form: Any, change: bool) -> None:
        """Save it for all processes."""
        pool_save(obj)

    def delete_model(self, request: HttpRequest, obj: Pool) -> None:
        """Take it away; the page before has refused where backends are in it."""
        pool_delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pool]) -> None:
        """Take them away."""
        for pool in queryset:
            pool_delete(pool)
