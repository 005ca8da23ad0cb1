"""Which nodes there are, and what each of them stores at which moment: the same for the same seed."""

import random
from collections.abc import Iterator

from msgspec import Struct

from agent.model.timebase import MINUTE, S
from fleet_rows.recording import WINDOW, NodeMinute, RecordedBatch, Recording
from fleet_rows.variant import Variant

DOUBLINGS_MAX = 2
# In place of the number of a recorded minute: the names of pods and containers, which a node sends first.
NAMES = -1
_OTHER_TIMES = frozenset(("valid_from", "valid_until", "since"))


class FleetNode(Struct, frozen=True):
    """One node. `phase_ns`: how much later in the second it ticks than the recorded one."""

    number: int
    name: str
    install: str
    run: str
    variant: Variant
    phase_ns: int
    first_minute: int


class DueBatch(Struct, frozen=True):
    """A batch of a node in a minute that begins at `begin_ns`. `recorded`: which of the recorded minutes it is of; its times are
    moved by `shift_ns`, and those of the clock by the node's phase too. `seq` counts the batches of its worker."""

    node: FleetNode
    recorded: int
    batch: RecordedBatch
    begin_ns: int
    shift_ns: int
    seq: int

    @property
    def stamp_ns(self) -> int:
        """When the node sends it."""
        return self.begin_ns + self.node.phase_ns + self.batch.offset_ns


class FleetClock:
    """Gives what all nodes send, second by second, from `begin_ns` (the beginning of a minute) on.

    A node begins with any of the recorded minutes and goes on with the next one. Sketches of a minute are sent after its end, as
    recorded, so those of the last one come in the seconds behind it.
    """

    def __init__(self, recording: Recording, nodes: int, *, seed: int = 1, begin_ns: int) -> None:
        assert recording.minutes, "no whole minute was recorded"
        assert begin_ns % MINUTE == 0
        self.recorded = recording.minutes
        self.names = recording.names
        self.begin_ns = begin_ns
        self.nodes = [self._node(number, seed) for number in range(nodes)]
        self._seqs: dict[tuple[int, str], int] = {}

    def _node(self, number: int, seed: int) -> FleetNode:
        pick = random.Random(f"{seed}/{number}")
        # No tick may leave its minute: the sketches of a window are those of its ticks.
        room_ns = MINUTE - max(minute.last_tick_ns for minute in self.recorded)
        variant = Variant(pick.randrange(DOUBLINGS_MAX + 1), pick.randrange(DOUBLINGS_MAX + 1))
        install, run = f"{pick.getrandbits(128):032x}", f"{pick.getrandbits(64):016x}"
        return FleetNode(
            number, f"node-{number:05d}", install, run, variant, pick.randrange(room_ns), pick.randrange(len(self.recorded))
        )

    def played(self, node: FleetNode, minute: int) -> int:
        """Which recorded minute a node plays in a minute."""
        return (node.first_minute + minute) % len(self.recorded)

    def minute_of(self, number: int) -> NodeMinute:
        """A recorded minute by its number, or the names."""
        if number != NAMES:
            return self.recorded[number]
        assert self.names is not None
        return self.names

    def shift_ns(self, number: int, minute: int) -> int:
        """By how much the times of a recorded minute are moved that is played in a minute."""
        return self.begin_ns + minute * MINUTE - self.minute_of(number).begin_ns

    def seconds(self, minutes: int) -> Iterator[list[DueBatch]]:
        """What is sent in each second of so many minutes, and in those behind them until the last sketches are sent."""
        by_second = [_by_second(minute) for minute in self.recorded]
        longest = max(map(len, by_second))
        for second in range((minutes - 1) * 60 + longest):
            found: list[DueBatch] = []
            for node in self.nodes:
                if second == 0 and self.names is not None:
                    found += [self._due(node, 0, batch, NAMES) for batch in self.names.batches]
                # The minute before this one may still have sketches to send.
                for minute in range(max(0, (second - longest) // 60 + 1), min(minutes, second // 60 + 1)):
                    played, at = self.played(node, minute), second - minute * 60
                    if at < len(by_second[played]):
                        found += [self._due(node, minute, batch, played) for batch in by_second[played][at]]
            yield found

    def _due(self, node: FleetNode, minute: int, batch: RecordedBatch, recorded: int) -> DueBatch:
        key = (node.number, batch.worker)
        seq = self._seqs[key] = self._seqs.get(key, 0) + 1
        return DueBatch(node, recorded, batch, self.begin_ns + minute * MINUTE, self.shift_ns(recorded, minute), seq)


def is_window_time(name: str) -> bool:
    """Whether a column has the beginning of a window, which has no phase."""
    return name == WINDOW


def is_time(name: str) -> bool:
    """Whether a column has times of the clock."""
    return name == "timestamp" or name.endswith("_timestamp") or name in _OTHER_TIMES or is_window_time(name)


def _by_second(minute: NodeMinute) -> list[list[RecordedBatch]]:
    found: list[list[RecordedBatch]] = []
    for batch in minute.batches:
        second = max(0, batch.offset_ns // S)
        while len(found) <= second:
            found.append([])
        found[second].append(batch)
    return found
