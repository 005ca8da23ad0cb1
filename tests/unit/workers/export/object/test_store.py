"""How a store says that it cannot."""

import pytest

from workers.export.object.store import StoreFailure
from workers.export.sink import Later, Paused


@pytest.mark.parametrize("verdict", [Later("the bucket is busy", None), Paused("the bucket is not there")])
def test_a_failure_says_what_becomes_of_it(verdict: Later | Paused) -> None:
    """Its sentence is that of the verdict."""
    with pytest.raises(StoreFailure, match=f"^{verdict.sentence}$") as failure:
        raise StoreFailure(verdict)
    assert failure.value.verdict is verdict
