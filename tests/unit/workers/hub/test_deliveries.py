"""Deliveries: handed on undecoded, answered when stored, columns remembered within bounds."""

from random import Random

from agent.fleet.message import Hold, RowBatch, RowsHead, Taken, WantForms
from agent.model.message import ForeignBatch
from agent.ports import FORWARD_BYTES_MAX
from agent.store.origin_form import FORM_BYTES_MAX, encode_form
from agent.store.record import TableForm
from workers.hub.deliveries import CONNECTIONS_MAX, FORMS_MAX, HOLD_LEAST_MS, HOLD_MOST_MS, Deliveries
from workers.hub.effect import AnswerNode

FORM = TableForm(1, ("timestamp",), ("int64",), "diag-")
HUGE = TableForm(1, tuple(f"column_{number}_{'x' * 40}" for number in range(1000)), ("int64",) * 1000, "diag-")
ORIGIN = ("node-1", "install-1")


class ScriptedForwarder:
    """An `agent.ports.Forwarder` with so much room; the test says what is stored."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.got: list[ForeignBatch] = []
        self.have = 0

    def offer(self, batch: ForeignBatch) -> int | None:
        """Its number."""
        if len(self.got) - self.have >= self.room:
            return None
        self.got.append(batch)
        return len(self.got)

    def stored(self) -> int:
        """As the test says."""
        return self.have


def head(number: int, *, batches: int = 1, form: int = 7, forms: dict[int, TableForm] | None = None) -> RowsHead:
    """A delivery of batches of two rows each."""
    rows = [RowBatch("run-1", "sampler/x", 1, 10 * number + at, "diag", 5, 2, form) for at in range(batches)]
    return RowsHead(number, rows, {7: FORM} if forms is None else forms)


def made(room: int = 1000) -> tuple[Deliveries, ScriptedForwarder]:
    """Nothing has come yet."""
    forwarder = ScriptedForwarder(room)
    return Deliveries(forwarder, Random(1)), forwarder


def test_a_delivery_is_answered_when_all_of_it_is_stored() -> None:
    """With the name of the node that sent it, and as it came."""
    deliveries, forwarder = made()
    assert deliveries.on_rows(b"c", ORIGIN, head(1, batches=3), [b"a", b"bb", b"ccc"]) is None
    assert deliveries.on_rows(b"d", ORIGIN, head(9), [b"d"]) is None
    assert [batch.encoded for batch in forwarder.got] == [b"a", b"bb", b"ccc", b"d"]
    origin = forwarder.got[0].origin
    assert (origin.host, origin.install, origin.run, origin.worker, origin.seq) == (*ORIGIN, "run-1", "sampler/x", 10)
    for have, told in ((2, []), (3, [AnswerNode(b"c", Taken(1))]), (3, []), (4, [AnswerNode(b"d", Taken(9))])):
        forwarder.have = have
        assert deliveries.on_stored() == told
    assert (deliveries.rows, deliveries.bytes) == (8, 7)


def test_columns_are_asked_for_once_on_each_connection() -> None:
    """A hub that was restarted does not know them."""
    deliveries, forwarder = made()
    assert deliveries.on_rows(b"c", ORIGIN, head(1, forms={}), [b"a"]) == WantForms(1)
    assert forwarder.got == []
    assert deliveries.on_rows(b"c", ORIGIN, head(2), [b"a"]) is None
    assert deliveries.on_rows(b"c", ORIGIN, head(3, forms={}), [b"a"]) is None
    assert deliveries.on_rows(b"d", ORIGIN, head(4, forms={}), [b"a"]) == WantForms(4)


def test_without_room_it_is_put_off() -> None:
    """What was taken of it comes again, and the writer drops it."""
    deliveries, forwarder = made(room=2)
    answer = deliveries.on_rows(b"c", ORIGIN, head(1, batches=3), [b"a", b"b", b"c"])
    assert isinstance(answer, Hold)
    assert (answer.number, HOLD_LEAST_MS <= answer.after_ms < HOLD_MOST_MS, deliveries.held) == (1, True, 1)
    forwarder.have = 2
    assert deliveries.on_stored() == []


def test_a_batch_that_is_too_large_is_refused_and_the_others_are_taken() -> None:
    """It is counted and named."""
    deliveries, forwarder = made()
    assert deliveries.on_rows(b"c", ORIGIN, head(1, batches=2), [bytes(FORWARD_BYTES_MAX + 1), b"b"]) is None
    forwarder.have = 1
    [told] = deliveries.on_stored()
    assert isinstance(told.answer, Taken)
    assert (told.answer.refused_rows, "are the most" in told.answer.sentence, deliveries.refused_rows) == (2, True, 2)
    answer = deliveries.on_rows(b"c", ORIGIN, head(2), [bytes(FORWARD_BYTES_MAX + 1)])
    assert isinstance(answer, Taken)
    assert answer.refused_rows == 2


def test_columns_that_cannot_be_kept_are_refused_and_not_asked_for_again() -> None:
    """They would come again and again, and the node would never send anything else."""
    assert len(encode_form(HUGE)) > FORM_BYTES_MAX
    deliveries, _ = made()
    answer = deliveries.on_rows(b"c", ORIGIN, head(1, forms={7: HUGE}), [b"a"])
    assert isinstance(answer, Taken)
    assert (answer.refused_rows, "the columns of diag" in answer.sentence) == (2, True)
    assert deliveries.on_rows(b"c", ORIGIN, head(2, forms={}), [b"a"]) == WantForms(2)
    many = dict.fromkeys(range(100, 100 + FORMS_MAX), FORM)
    deliveries.on_rows(b"c", ORIGIN, head(3, form=100, forms=many), [b"a"])
    answer = deliveries.on_rows(b"c", ORIGIN, head(4), [b"a"])
    assert isinstance(answer, Taken)
    assert answer.refused_rows == 2


def test_columns_are_remembered_within_bounds() -> None:
    """Of so many connections, the newest; and of so many bytes."""
    deliveries, _ = made(room=1 << 20)
    for number in range(CONNECTIONS_MAX + 1):
        deliveries.on_rows(b"%d" % number, ORIGIN, head(number), [b"a"])
    assert deliveries.on_rows(b"0", ORIGIN, head(1, forms={}), [b"a"]) == WantForms(1)
    assert deliveries.on_rows(b"%d" % CONNECTIONS_MAX, ORIGIN, head(1, forms={}), [b"a"]) is None
    large = TableForm(1, HUGE.names[:500], HUGE.dtypes[:500], "diag-")
    size = len(encode_form(large))
    assert size <= FORM_BYTES_MAX
    full = dict.fromkeys(range(FORMS_MAX), large)
    for number in range(1 + (64 << 20) // (size * FORMS_MAX)):
        deliveries.on_rows(b"large-%d" % number, ORIGIN, head(1, form=1, forms=full), [b"a"])
        deliveries.on_rows(b"large-%d" % number, ORIGIN, head(1, form=1, forms=full), [b"a"])
    assert deliveries.on_rows(b"large-0", ORIGIN, head(2, form=1, forms={}), [b"a"]) == WantForms(2)


def test_a_delivery_of_nothing_is_taken() -> None:
    """It has no batch to wait for."""
    deliveries, _ = made()
    assert deliveries.on_rows(b"c", ORIGIN, head(1, batches=0), []) == Taken(1)
