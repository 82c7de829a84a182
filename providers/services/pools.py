"""What happens to pools."""

from django.db import transaction
from django.db.models.deletion import ProtectedError

from agenthub.core.errors import Conflict
from agenthub.core.versions import bump
from providers.models import Pool


@transaction.atomic
def pool_save(pool: Pool) -> Pool:
    """Add or change a pool. Raises ValidationError of Django, naming the field."""
    pool.full_clean()
    pool.save()
    bump("routing")
    return pool


@transaction.atomic
def pool_delete(pool: Pool) -> None:
    """Take an empty pool away. Raises Conflict where backends are in it."""
    try:
        pool.delete()
    except ProtectedError:
        raise Conflict(f"Pool {pool.name} still has backends; move them to another pool first.") from None
    bump("routing")


def pools_ensure() -> None:
    """Create the pools that exist from the start, where there are none at all."""
    if not Pool.objects.exists():
        Pool.objects.bulk_create([Pool(name="primary", order=0), Pool(name="fallback", order=10)])
