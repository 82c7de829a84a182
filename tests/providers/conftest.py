"""What the tests of the provider side have in common."""

from collections.abc import Iterator

import pytest

from tests.upstream import Upstream, running_upstream


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A provider on this machine."""
    with running_upstream() as running:
        yield running
