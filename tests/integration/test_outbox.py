"""The outbox over a real socket."""

from pathlib import Path

import zmq
from fakes.sender import SAMPLE

from agent.model.message import FRAME_BYTES_MAX, Batch, Identity
from agent.model.table import Row
from workers.runtime.outbox import PART_BYTES_MAX, SocketOutbox


def test_rows_that_are_too_many_for_one_batch_go_out_as_several(tmp_path: Path) -> None:
    """Each below the bound, all rows counted once, none refused by an empty buffer, whatever the buffer's size."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    values = tuple("x" * 1000 if column.dtype == "utf8" else 7 for column in SAMPLE.columns)
    rows: list[Row] = [values] * 4000
    for bytes_max in (64 << 20, 32 << 20):
        outbox = SocketOutbox(context, str(tmp_path / "nobody.sock"), Identity("r", "w", 1), bytes_max=bytes_max)
        assert outbox.offer(SAMPLE, rows, 5)
        parcels = []
        for parcel in outbox.buffer.unsent():
            parcels.append(parcel)
            outbox.buffer.mark_sent()
        assert len(parcels) > 1
        assert sum(parcel.head.rows for parcel in parcels if isinstance(parcel.head, Batch)) == 4000
        assert max(len(parcel.rows) for parcel in parcels) <= 2 * PART_BYTES_MAX < FRAME_BYTES_MAX
        assert outbox.buffer.refused_rows == 0
        outbox.close()
    context.term()
