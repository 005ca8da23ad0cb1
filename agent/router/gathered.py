"""Where the values of rows belong: to which line of an answer for sure, and to which perhaps. PURE.

Rows of further units and commands say neither whose values they hold. Such values are a line of their own, and every other line
knows that some of them may be its own; so do values of which only a number and a sum are known, because their rows are lost.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import product

from msgspec import Struct

from agent.model.errors import MisuseError
from agent.model.sketch import SCALE, VALUE_MAX, Sketch, bucket_of, bucket_range
from agent.router.interval import Spread, TailValues
from agent.router.question import PodNames, RoutedQuestion

# A sketch takes up to some hundred KiB; more lines nobody reads.
GROUPS_MAX = 4_096


class Unsaid(Enum):
    """A part of a key that a row does not say."""

    ANY = "any"


Part = str | None | Unsaid
# What an answer has one line for: the parts of the key that it is split by; None: all further units and commands.
GroupKey = tuple[str | None, ...] | None


class Slot(Struct, frozen=True):
    """Where values go. `is_chosen`: they are of what was asked for; else perhaps."""

    key: tuple[Part, ...]
    is_chosen: bool

    @property
    def is_sure(self) -> bool:
        """Whether they belong to one line."""
        return self.is_chosen and Unsaid.ANY not in self.key


class Placing:
    """Says for a host, unit and command where their values go."""

    def __init__(self, question: RoutedQuestion, names: PodNames) -> None:
        self._by = question.by
        self._uids = names.uids(question.pods)
        self._commands = question.commands
        self._wanted_namespaces = question.namespaces
        self._namespaces = names.namespaces
        # Columns that tell nothing apart need not be read.
        self.needs_command = bool("command" in self._by or self._commands)
        self.needs_key = self.needs_command or question.is_chosen or bool({*self._by} & {"pod", "namespace"})

    def slot(self, host: str, pod_uid: str | None, command: str | None, *, is_shared: bool) -> Slot | None:
        """`is_shared`: the row is of several commands, and without a unit of several units. None: nothing of it counts."""
        said_command: Part = Unsaid.ANY if is_shared else command
        said_pod: Part = Unsaid.ANY if is_shared and pod_uid is None else pod_uid
        namespace: Part = self._namespaces.get(said_pod) if isinstance(said_pod, str) else said_pod
        is_chosen = True
        for wanted, said in ((self._uids, said_pod), (self._commands, said_command), (self._wanted_namespaces, namespace)):
            if wanted and said is Unsaid.ANY:
                is_chosen = False
            elif wanted and said not in wanted:
                return None
        parts = {"pod": said_pod, "command": said_command, "namespace": namespace, "host": host}
        return Slot(tuple(parts[part] for part in self._by), is_chosen)

    def lost(self, host: str) -> Slot:
        """Where values go of which no row is left."""
        found = self.slot(host, None, None, is_shared=True)
        assert found is not None, "what says nothing may be anything"
        return found


class Group(Struct):
    """One line of an answer: its values by their bounds, and a sketch that stands for all of them. `windows`: those it has values
    of;
    `keys` is above 1 for further keys."""

    sure: Spread
    estimate: Sketch
    windows: set[int]
    keys: int = 1


class GatheredLines:
    """The lines of an answer while rows are read. *Raises:* MisuseError, from all that makes a line, where they are too many."""

    def __init__(self, groups_max: int = GROUPS_MAX) -> None:
        self._groups_max = groups_max
        self.groups: dict[GroupKey, Group] = {}
        # By the parts that are said.
        self._shared: dict[tuple[Part, ...], Spread] = {}
        self._lost: dict[tuple[Part, ...], Spread] = {}

    def spreads(self, slot: Slot) -> Iterator[tuple[Spread, Group | None]]:
        """What takes the values of a slot, with the line that they are of."""
        if slot.is_sure:
            group = self.group(tuple(part for part in slot.key if not isinstance(part, Unsaid)))
            yield group.sure, group
            return
        yield self._shared.setdefault(slot.key, Spread()), None
        if slot.is_chosen:
            group = self.group(None)
            yield group.sure, group

    def group(self, key: GroupKey) -> Group:
        """The line of a key."""
        found = self.groups.get(key)
        if found is None:
            if len(self.groups) >= self._groups_max:
                problem = f"the answer has more than {self._groups_max} lines"
                raise MisuseError("--by", problem, "choose some with --pod or --command, or ask for a shorter time")
            found = self.groups[key] = Group(Spread(), Sketch(), set())
        return found

    def add_lost(self, slot: Slot, tail: TailValues, phantoms: int = 0, *, is_certain: bool = True) -> None:
        """Values without rows. `is_certain`: they are values; else they may be none."""
        if slot.is_sure and is_certain:
            for spread, group in self.spreads(slot):
                spread.add_tail(tail)
                spread.phantoms += phantoms
                if group is not None and tail.many:
                    group.estimate.add(min(tail.sum_most // tail.many, VALUE_MAX), tail.many)
        else:
            self._lost.setdefault(slot.key, Spread()).add_tail(tail)

    def maybe(self, key: GroupKey) -> Spread:
        """The values that may belong to a line, beside those that do."""
        found = Spread()
        if key is None:
            for lost in self._lost.values():
                found.take(lost)
            return found
        for said in product(*((part, Unsaid.ANY) for part in key)):
            for kept in (self._shared, self._lost):
                if (spread := kept.get(said)) is not None:
                    found.take(spread)
        return found


class Ends(Struct):
    """What values say together: how many, how many zeros, their sum, the least and the largest. `is_summed`: the sum is theirs, and
    none was too large for its column."""

    count: int = 0
    zero_count: int = 0
    total: int = 0
    least: int = VALUE_MAX
    most: int = 0
    is_summed: bool = True

    def take(self, other: "Ends") -> None:
        """Add further values."""
        self.count += other.count
        self.zero_count += other.zero_count
        self.total += other.total
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.is_summed &= other.is_summed


def take_sketches(spread: Spread, counts: Mapping[tuple[int, int], int], ends: Ends) -> None:
    """Add the values of sketches: `counts` are by scale and bucket; where there are none, only their ends are known."""
    ranges = {(0, 0): ends.zero_count} if ends.zero_count else {}
    if not counts and ends.count > ends.zero_count:
        ranges[ends.least, ends.most] = ends.count - ends.zero_count
    for (scale, bucket), times in counts.items():
        low, high = bucket_range(bucket, scale)
        place = max(low, ends.least), min(high, ends.most)
        # Ends that disagree with the buckets are not believed.
        place = place if place[0] <= place[1] else (low, high)
        ranges[place] = ranges.get(place, 0) + times
    for value in (ends.least, ends.most):
        _make_exact(ranges, value)
    for (low, high), times in ranges.items():
        spread.add_range(low, high, times)
    spread.sum_least += ends.total
    spread.sum_most += ends.total if ends.is_summed else ends.count * ends.most
    spread.largest_least = max(spread.largest_least, ends.most)


def _make_exact(counts: dict[tuple[int, int], int], value: int) -> None:
    """One of the values is known to be this, where only one range can have it."""
    places = [place for place in counts if place[0] <= value <= place[1]]
    if len(places) != 1 or places[0] == (value, value):
        return
    counts[places[0]] -= 1
    if not counts[places[0]]:
        del counts[places[0]]
    counts[value, value] = 1


def estimate(group: Group, counts: Mapping[tuple[int, int], int], ends: Ends) -> None:
    """Let these values stand in a line's sketch. `counts` are by scale and bucket."""
    if not ends.count:
        return
    sketch = group.estimate
    sketch.zero_count += ends.zero_count
    sketch.sum += ends.total
    sketch.min, sketch.max = min(sketch.min, ends.least), max(sketch.max, ends.most)
    positive = ends.count - ends.zero_count
    if positive and not counts:
        # No quantile is asked of it.
        counts = {(SCALE, bucket_of(max(1, ends.most))): positive}
    for scale in sorted({scale for scale, _ in counts}, reverse=True):
        sketch.add_buckets(scale, {bucket: times for (each, bucket), times in counts.items() if each == scale})
