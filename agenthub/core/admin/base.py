"""What the admin classes of the house have in common."""

import re
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

MOST_COUNTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than anybody pages: the cost of a page does not grow with its table."""

    @property
    def count(self) -> int:
        """How many rows there are, at most MOST_COUNTED."""
        counted = self.__dict__.get("_counted")
        if counted is None:
            rows = self.object_list
            # Without an order the database need not sort what is only counted.
            bounded = rows.order_by()[:MOST_COUNTED].count() if isinstance(rows, QuerySet) else len(rows)
            counted = self.__dict__["_counted"] = bounded
        return int(counted)


class HouseAdmin(ModelAdmin):
    """An admin whose lists count nothing that grows without bound."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_filter_submit = True
    compressed_fields = True
    warn_unsaved_form = True

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row of a link, also of one that holds an id as it is: Django would read bkd_40… as bkd@…."""
        found = super().get_object(request, object_id, from_field)
        return found or super().get_object(request, _as_it_stood(object_id), from_field)


def _as_it_stood(object_id: str) -> str:
    return re.sub(r"^([a-z]+)([^A-Za-z0-9_])", lambda match: f"{match[1]}_{ord(match[2]):02X}", object_id)


class ReadOnlyAdmin(HouseAdmin):
    """An admin to look at rows that only AgentHub writes."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Nobody adds one."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes one."""
        return False
