"""What else is measured of a unit than its cgroup's numbers: one object each, which the probe calls."""

from collections.abc import Mapping
from typing import Any, Protocol

from agent.model.rule import Unit
from agent.ports import Interest
from workers.framework.sampler import Sample
from workers.unit.limit import LimitChange
from workers.unit.tracked_unit import Instant, TrackedUnit


class UnitPart(Protocol):
    """Events, kills, network, the served model. No call may block, and none raises for what can vanish at any moment."""

    def on_units(self, units: Mapping[str, Unit]) -> None:
        """These are the units now, by uid, with labels and names. It is the same object each time, changed."""
        ...

    def begin(self, unit: TrackedUnit, at: Instant) -> None:
        """A unit or container is measured from now on; its files have not been read yet."""
        ...

    def read(self, unit: TrackedUnit, at: Instant) -> None:
        """Its row is made next: fill `unit.network`, put reasons into `unit.absences`."""
        ...

    def end(self, unit: TrackedUnit, at: Instant) -> None:
        """It is gone, or no longer a unit; its final row has been made, and its descriptors are closed next."""
        ...

    def on_limit(self, path: str, change: LimitChange) -> None:
        """A limit of a cgroup is another one than before; it may be that of a unit or of what is above units."""
        ...

    def interests(self) -> tuple[Interest, ...]:
        """Descriptors to wait for between two ticks, for reading."""
        ...

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """One can be read; perhaps another part's."""
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


class QuietPart:
    """A part that has no need of most calls overrides the others."""

    def on_units(self, units: Mapping[str, Unit]) -> None:
        """It needs no names."""

    def begin(self, unit: TrackedUnit, at: Instant) -> None:
        """Nothing to prepare."""

    def read(self, unit: TrackedUnit, at: Instant) -> None:
        """It has no columns in the unit's row."""

    def end(self, unit: TrackedUnit, at: Instant) -> None:
        """Nothing is held for it."""

    def on_limit(self, path: str, change: LimitChange) -> None:
        """It does not depend on limits."""

    def interests(self) -> tuple[Interest, ...]:
        """None."""
        return ()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Never called for it."""

    def rows(self, at: Instant) -> Sample:
        """It has no table of its own."""
        return ()

    def stats(self) -> dict[str, Any]:
        """None."""
        return {}

    def close(self) -> None:
        """Nothing is open."""
