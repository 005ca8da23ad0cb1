"""The outbox over a real socket."""

from pathlib import Path

import zmq
from fakes.segment import WHO
from fakes.sender import SAMPLE, sample_rows

from agent.model.message import FRAME_BYTES_MAX, Batch, Identity, Note
from agent.model.table import Row, Value
from agent.store.record import decode_rows
from workers.runtime.outbox import PART_BYTES_MAX, SocketOutbox


def test_rows_that_are_too_many_for_one_batch_go_out_as_several(tmp_path: Path) -> None:
    """Each below the bound, all rows counted once, none refused by an empty buffer, whatever the buffer's size."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    known: dict[str, Value] = {"utf8": "x" * 1000, "bool": True}
    values = tuple(known.get(column.dtype, 7) for column in SAMPLE.columns)
    rows: list[Row] = [values] * 4000
    for bytes_max in (64 << 20, 32 << 20):
        outbox = SocketOutbox(context, str(tmp_path / "nobody.sock"), Identity("r", "w", 1), bytes_max=bytes_max)
        assert outbox.offer(SAMPLE, rows, 5)
        batches = []
        for pending in outbox.buffer.unsent():
            batches.append(pending)
            outbox.buffer.mark_sent()
        assert len(batches) > 1
        assert sum(pending.head.rows for pending in batches if isinstance(pending.head, Batch)) == 4000
        assert max(len(pending.rows) for pending in batches) <= 2 * PART_BYTES_MAX < FRAME_BYTES_MAX
        assert outbox.buffer.refused_rows == 0
        outbox.close()
    context.term()


def test_a_row_that_does_not_fit_is_left_out_alone(tmp_path: Path) -> None:
    """Its batch goes out without it and says so; the first of a kind is a note, all are counted."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    notes: list[Note] = []
    path = str(tmp_path / "nobody.sock")
    outbox = SocketOutbox(context, path, Identity("r", "w", 1), bytes_max=1 << 20, note=notes.append)
    good = sample_rows(WHO, 1, 5, 3)
    bad: list[Row] = [(1.5, *good[0][1:]), (2.5, *good[0][1:]), (None, *good[0][1:])]
    assert outbox.offer(SAMPLE, [good[0], *bad, *good[1:]], 5)
    assert outbox.offer(SAMPLE, bad, 6)
    heads, rows = [], []
    for pending in outbox.buffer.unsent():
        assert isinstance(pending.head, Batch)
        heads.append((pending.head.rows, pending.head.bad_rows))
        rows += decode_rows(pending.rows)
        outbox.buffer.mark_sent()
    assert (heads, rows, outbox.stats()["bad_rows"]) == ([(3, 3), (0, 3)], good, 6)
    assert [note.fields for note in notes] == [
        {"table": "sample", "column": "timestamp", "problem": "float, not int64"},
        {"table": "sample", "column": "timestamp", "problem": "missing and may not be"},
    ]
    outbox.close()
    context.term()
