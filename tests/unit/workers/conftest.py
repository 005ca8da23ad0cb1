"""What tests of several rooms of the workers share."""

from collections.abc import Iterator

import pytest
from fakes.host import Host


@pytest.fixture(params=[True, False], ids=["clocks", "polled"])
def watched_and_polled(request: pytest.FixtureRequest) -> Iterator[None]:
    """A host whose processes have CPU clocks, as nearly all have, and one where each `stat` is read at every tick."""
    Host.has_clocks_unless_told, before = request.param, Host.has_clocks_unless_told
    yield
    Host.has_clocks_unless_told = before
