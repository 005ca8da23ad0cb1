"""What is known of one wanted monitoring group. PURE."""

from msgspec import Struct

from agent.model.rule import Monitoring
from agent.model.timebase import MS
from workers.control_plane.group_step import SANDBOX, CheckResult, DesiredGroup, Part, PartState
from workers.resctrl.problem import ProblemKind

# A container that has not started yet, or one that forks faster than it can be caught.
UNSETTLED_RETRY_NS = 500 * MS
# Fork storms converge within five; beyond this it is no race but something that pushes threads out.
PASSES_MAX = 16
# A fork takes a millisecond; on a host that stands still for longer the usual check finds what is left.
SECOND_LOOK_NS = 500 * MS
# Each look that finds nothing new doubles the wait, up to the usual interval; more doublings mean nothing.
IDLE_MAX = 16


class PlannedGroup(Struct):
    """One group, as it is wanted and as it stands. *Absent:* `outside` has None for a part without any thread."""

    wanted: DesiredGroup
    number: int
    paths: tuple[str, ...] = ()
    problem: ProblemKind | None = None
    detail: str = ""
    create_at_ns: int = 0
    check_at_ns: int = 0
    # When a look that nobody waits for is due at the latest; 0: none is put off.
    look_by_ns: int = 0
    # For which instant it waits in the queue of checks.
    queued_at_ns: int = -1
    passes: int = 0
    # How often in a row a look changed nothing and yet not all was whole.
    idle: int = 0
    outside: dict[Part, int | None] = {}
    # A predecessor's directory says nothing until its threads were looked at.
    is_checked: bool = False
    # The parts of `wanted` by unit: thousands of units may share a group, and each is asked about.
    by_unit: dict[str, list[Part]] = {}

    @property
    def rank(self) -> tuple[int, int]:
        """The order in which groups get an id: by priority, then by age."""
        return -self.wanted.priority, self.number

    @property
    def is_whole(self) -> bool:
        """Whether the group holds all threads of all its parts, as last looked at."""
        return all(map(self._is_complete, self.wanted.parts))

    @property
    def incomplete_units(self) -> list[str]:
        """Its units with a part that is not known to be complete."""
        return [uid for uid, parts in self.by_unit.items() if not all(map(self._is_complete, parts))]

    def _is_complete(self, part: Part) -> bool:
        if part[1] == SANDBOX:
            # Many pods have nothing beside their containers, and nobody waits for it.
            return not self.outside.get(part)
        return self.outside.get(part) == 0

    def state(self, part: Part) -> tuple[PartState, int]:
        """How a container stands, and how many of its threads are outside as last looked at; a group without a directory holds
        none of them."""
        count = self.outside.get(part, 1) if self.paths else 1
        if count is None:
            return PartState.PENDING, 0
        return (PartState.PARTIAL, self.outside.get(part) or 0) if count else (PartState.RECONCILED, 0)

    def monitoring(self, uid: str) -> Monitoring:
        """How the group stands for one of its units; paths relative to the mount."""
        own = [part for part in self.by_unit.get(uid, ()) if part[1] != SANDBOX]
        whole = sum(self.outside.get(part) == 0 for part in own) if self.paths else 0
        problem = "" if self.problem is None else self.problem.value
        return Monitoring(self.paths, problem, self.detail, len(own), whole)

    def want(self, wanted: DesiredGroup) -> None:
        """It is wanted like this from now on; what is known of parts that stay is kept."""
        assert wanted.group == self.wanted.group, "a group keeps its name"
        self.outside = {part: self.outside[part] for part in wanted.parts if part in self.outside}
        self.wanted, self.by_unit = wanted, parts_by_unit(wanted)

    def check_soon(self, now_ns: int) -> None:
        """Look at its threads at once, and as patiently as at first."""
        self.check_at_ns, self.passes, self.idle = now_ns, 0, 0

    def check_later(self, now_ns: int) -> None:
        """Look at its threads within `SECOND_LOOK_NS`, and not at once: a runtime starts or ends a container just now, and a look
        would take processor time from it. However often this is asked for, the look comes when it was due at first."""
        self.look_by_ns = self.look_by_ns or now_ns + SECOND_LOOK_NS
        self.check_at_ns = self.look_by_ns if self.check_at_ns <= now_ns else min(self.check_at_ns, self.look_by_ns)

    def on_assigned(self, part: Part, now_ns: int) -> None:
        """All threads of one part were moved into the group before the first of them ran; forks that were under way are looked
        for like after every move."""
        if part in self.wanted.parts:
            self.outside = {**self.outside, part: 0}
        if self.is_whole:
            self.check_later(now_ns)
        else:
            self.check_at_ns = now_ns
        self.passes, self.idle = min(self.passes, 1), 0

    def on_checked(self, found: CheckResult, now_ns: int, check_interval_ns: int) -> None:
        """One pass is over; one that found nothing outside proves that all of a part's threads are in."""
        self.is_checked, self.look_by_ns = True, 0
        self.paths = found.paths
        self.outside = self._outside(found)
        self.problem = found.problem if found.refused else None
        self.detail = found.detail
        self.passes += 1
        is_dirty = any(self.outside.values())
        if is_dirty and not found.refused and self.passes < PASSES_MAX:
            self.check_at_ns = now_ns
        elif self.is_whole:
            self.check_at_ns = now_ns + self._wait_of_whole_ns(check_interval_ns)
            self.passes = self.idle = 0
        else:
            self.passes = 0
            self.check_at_ns = now_ns + min(check_interval_ns, UNSETTLED_RETRY_NS << self.idle)
            self.idle = min(self.idle + 1, IDLE_MAX)

    def _outside(self, found: CheckResult) -> dict[Part, int | None]:
        """How many are outside by part. Of a part that was whole, threads that were listed and ended before they were looked for
        in the group say nothing: in a storm of short lives there is always one."""
        if found.moved or found.refused:
            return found.outside
        return {part: 0 if self.outside.get(part) == 0 and count else count for part, count in found.outside.items()}

    def _wait_of_whole_ns(self, check_interval_ns: int) -> int:
        if self.passes > 1:
            # Threads had to be moved: a fork that began before its creator was moved may have ended only after the clean pass.
            return min(SECOND_LOOK_NS, check_interval_ns)
        # Spread over the interval, so that hundreds of groups are not looked at in one go.
        return check_interval_ns - check_interval_ns * (self.number % 16) // 32


def parts_by_unit(wanted: DesiredGroup) -> dict[str, list[Part]]:
    """The parts of a group by the units that they belong to, in their order."""
    found: dict[str, list[Part]] = {}
    for part in wanted.parts:
        found.setdefault(part[0], []).append(part)
    return found
