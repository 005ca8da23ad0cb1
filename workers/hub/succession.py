"""What follows what: a node's lives, its connections, the numbers of its beats, and its units. PURE."""

from agent.fleet.beat import NodeBeat
from agent.fleet.update import LiveState, Update
from workers.hub.fleet_node import Challenger, FleetNode, NodePhase

# Numbers of beats wrap: what is less than half of all ahead is later.
_HALF, _ALL = 1 << 31, (1 << 32) - 1


def are_two(challenger: Challenger, beat: NodeBeat, now_ns: int, beat_ns: int) -> bool:
    """Whether a beat of the life before says that both are alive.

    After a stall of the hub beats of a connection that has ended wait beside the first words of the next one. They are soon taken,
    and one process counts on over its connections, so that their numbers are lower.
    """
    if now_ns - challenger.since_ns < beat_ns:
        return False
    if challenger.life.run != beat.run:
        return True
    first = challenger.first_sequence
    return first is not None and (beat.sequence - first) & _ALL < _HALF


def go_on(node: FleetNode, connection: bytes) -> None:
    """The same life goes on, on another connection."""
    challenger = node.challenger
    heard = challenger.heard if challenger is not None and challenger.connection == connection else 0
    node.counts.received += heard
    node.heard_before = heard
    node.beat_connection, node.challenger = connection, None


def count_beat(node: FleetNode, beat: NodeBeat) -> None:
    """Count a beat by its number: it came, some before it did not, or it came twice."""
    counts = node.counts
    counts.received += 1
    heard, node.heard_before = node.heard_before, None
    if node.sequence:
        step = (beat.sequence - node.sequence) & _ALL
        if 0 < step < _HALF:
            counts.lost += max(0, step - 1 - (heard or 0))
        elif heard is None:
            counts.doubled += 1
            return
        # Else the beat's process was started again, and counts from one.
    if node.phase in (NodePhase.LATE, NodePhase.STALE):
        counts.late += 1
    node.sequence = beat.sequence


def begun_and_gone(held: LiveState, update: Update) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The units that an update begins and ends. In a whole one a key may stand for another unit: the uplink was restarted."""
    before = held.labels
    if update.base:
        begun = tuple(label.key for label in update.labels if label.key not in before)
        return begun, tuple(key for key in update.gone if key in before)
    now = {label.key: label.unit for label in update.labels}
    begun = tuple(key for key, unit in now.items() if key not in before or before[key].unit != unit)
    return begun, tuple(key for key, label in before.items() if now.get(key) != label.unit)
