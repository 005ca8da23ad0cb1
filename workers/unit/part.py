"""What else is measured of a unit than its cgroup's numbers: one object each, which the probe calls."""

from typing import Any, Protocol

from workers.framework.sampler import Sample
from workers.unit.tracked_unit import Instant, TrackedUnit


class UnitPart(Protocol):
    """Events, kills, network, the served model. No call may block, and none raises for what can vanish at any moment."""

    def begin(self, unit: TrackedUnit, at: Instant) -> None:
        """A unit or container is measured from now on; its files have not been read yet."""
        ...

    def read(self, unit: TrackedUnit, at: Instant) -> None:
        """Its row is made next: fill `unit.network`, put reasons into `unit.absences`."""
        ...

    def end(self, unit: TrackedUnit, at: Instant) -> None:
        """It is gone, or no longer a unit; its final row has been made, and its descriptors are closed next."""
        ...

    def rows(self, at: Instant) -> Sample:
        """The rows of the part's own tables at this tick, asked once after all units were read."""
        ...

    def stats(self) -> dict[str, Any]:
        """Its statistics for `status` and /metrics."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
