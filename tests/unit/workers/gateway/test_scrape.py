"""Answers to /metrics, turn by turn."""

from collections.abc import Iterator, Sequence

from agent.model.control.result import AgentStatus
from workers.gateway.metrics import Family
from workers.gateway.metrics_format import MetricsFormat
from workers.gateway.scrape import WRITTEN_BYTES, ScrapeQueue

PLAIN, OPEN = MetricsFormat.PLAIN, MetricsFormat.OPENMETRICS


class ThreeTurns:
    """Stored rows that are read in three turns."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.turns = 0

    def begin(self, wall_ns: int) -> None:
        """A scrape comes."""
        self.begun.append(wall_ns)
        self.turns = 0

    def turn(self) -> bool:
        """Whether all is read."""
        self.turns += 1
        return self.turns == 3

    def own_families(self) -> list[Family]:
        """None."""
        return []


class Scrapes:
    """A queue and what was sent."""

    def __init__(self, measured: ThreeTurns | None = None, pieces: Sequence[bytes] = (b"a", b"b")) -> None:
        self.given = pieces
        self.sent: list[tuple[list[str], MetricsFormat, bytes]] = []
        self.queue: ScrapeQueue[str] = ScrapeQueue(measured, self.pieces, self.send, lambda: 7)

    def pieces(self, format_: MetricsFormat, status: AgentStatus | None) -> Iterator[bytes]:
        """The parts of an answer."""
        return iter(self.given)

    def send(self, waiting: Sequence[str], format_: MetricsFormat, body: bytes) -> None:
        """Bring it to those that wait."""
        self.sent.append((list(waiting), format_, body))

    def turns(self) -> int:
        """How many it takes until nothing is left to do."""
        count = 0
        while self.queue.is_busy:
            self.queue.turn()
            count += 1
        return count


def test_requests_of_one_format_share_an_answer() -> None:
    """Each format is written once, all from the same status and the same rows."""
    measured = ThreeTurns()
    scrapes = Scrapes(measured)
    scrapes.queue.add([("x", PLAIN), ("y", OPEN), ("z", PLAIN)], None)
    assert scrapes.turns() == 1 + 3 + 2
    assert scrapes.sent == [(["x", "z"], PLAIN, b"ab"), (["y"], OPEN, b"ab")]
    assert measured.begun == [7]


def test_requests_that_come_later_are_answered_by_what_is_read_then() -> None:
    """One after the other."""
    measured = ThreeTurns()
    scrapes = Scrapes(measured)
    scrapes.queue.add([("x", PLAIN)], None)
    scrapes.queue.add([("y", PLAIN)], None)
    scrapes.turns()
    assert [waiting for waiting, _, _ in scrapes.sent] == [["x"], ["y"]]
    assert measured.begun == [7, 7]


def test_a_long_answer_is_written_in_several_turns() -> None:
    """So that nothing else waits for it."""
    scrapes = Scrapes(pieces=[b"x" * WRITTEN_BYTES, b"y", b"z" * WRITTEN_BYTES])
    scrapes.queue.add([("x", PLAIN)], None)
    assert scrapes.turns() == 2 + 3
    assert len(scrapes.sent[0][2]) == 2 * WRITTEN_BYTES + 1


def test_nobody_who_waits_is_nothing_to_do() -> None:
    """All of them may have gone before their status came."""
    scrapes = Scrapes()
    scrapes.queue.add([], None)
    assert not scrapes.queue.is_busy
    scrapes.queue.turn()
    assert scrapes.sent == []
