"""What rows of other hosts cost the writer of a hub, with so many hosts of so many workers, each started so often.

The rows are those of table `container_name`, in batches of some rows. Sizes are exact; times are CPU of one run on this machine.
"""

import argparse
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from machine import circumstances

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from agent.model.message import Batch, BatchOrigin, Identity, encode
from agent.model.tables import CONTAINER_NAME, GAP
from agent.model.timebase import S
from agent.store.origin_form import encode_form
from agent.store.record import FORMAT_VERSION, Entry, SegmentHead, encode_entry, encode_head, form_of
from agent.store.segment import segment_id, segment_name
from workers import registry
from workers.writer.core import WriterCore
from workers.writer.foreign import ForeignBatches
from workers.writer.intake import AppendBatch, Intake
from workers.writer.recover import Recovery
from workers.writer.sealer import seal

AT_NS = 1_700_000_000 * S
HUB = Identity("0123456789abcdef", "hub", 1)
WORKERS = ("sampler/unit", "sampler/host", "supervisor", "control-plane")
TABLES = {table.name: table for table in (GAP, *registry.tables())}
FORMS = {name: form_of(table) for name, table in TABLES.items()}
FORM = encode_form(FORMS[CONTAINER_NAME.name])
# One turn of the writer's loop.
TURN = 64
ResultT = TypeVar("ResultT")


def timed(work: Callable[[], ResultT]) -> tuple[float, ResultT]:
    """CPU milliseconds, and what it gives."""
    begin = time.process_time_ns()
    result = work()
    return (time.process_time_ns() - begin) / 1e6, result


def origin(host: int, worker: int, start: int, seq: int) -> BatchOrigin:
    """Whose batch it is."""
    name = WORKERS[worker % len(WORKERS)] + ("" if worker < len(WORKERS) else f"-{worker}")
    install, run = f"{host * 0x9E3779B97F4A7C15 & (1 << 64) - 1:016x}", f"{host * 0xC2B2AE3D27D4EB4F & (1 << 64) - 1:016x}"
    return BatchOrigin(f"node-{host}.cluster.example", install, run, name, start, seq, FORM)


def account(options: argparse.Namespace) -> ForeignBatches:
    """What a writer knows of all hosts."""
    known = ForeignBatches(FORMS)
    for start in range(1, options.starts + 1):
        for host in range(options.hosts):
            for worker in range(options.workers):
                known.take(origin(host, worker, start, 100_000 + host))
        known.commit()
    return known


def messages(options: argparse.Namespace, rows: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What a hub sends, host by host in turn."""
    for number in range(options.batches):
        turn, host = divmod(number, options.hosts)
        whose = origin(host, turn % options.workers, options.starts, 200_000 + turn)
        yield encode(Batch(number + 1, CONTAINER_NAME.name, 0, AT_NS, options.rows, origin=whose)), rows


def appended(core: WriterCore, sent: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The frames, in turns of the loop."""
    intake, frames = Intake(Identity(HUB.run, "writer", 1), TABLES), []
    for at in range(0, len(sent), TURN):
        append = AppendBatch()
        for message, rows in sent[at : at + TURN]:
            intake.take(core, HUB, message, rows, AT_NS, append)
        core.commit()
        frames += append.frames
    return frames


def measure(options: argparse.Namespace) -> dict[str, float]:
    """All figures."""
    tracemalloc.start()
    known = account(options)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    encode_ms, marks = timed(known.encode)
    head = SegmentHead(
        FORMAT_VERSION, segment_id(1, "00000000"), "hub", HUB.run, "0", AT_NS, FORMS, (), install="f" * 16, foreign=marks
    )
    take_ms, _ = timed(lambda: ForeignBatches(FORMS).take_head(head))
    rows = encode([(AT_NS, f"{number:064x}", f"container-{number}", f"pod-{number}", HUB.run) for number in range(options.rows)])
    sent = list(messages(options, rows))
    append_ms, frames = timed(lambda: appended(WriterCore(HUB.run, (), known), sent))
    segment = encode_head(head) + b"".join(frames)
    recover_ms, finding = timed(lambda: Recovery(HUB.run, ForeignBatches(FORMS)).take(segment))
    assert finding.batches == options.batches
    own = [
        encode_entry(Entry(HUB.run, "control-plane", 1, number + 1, CONTAINER_NAME.name, AT_NS, options.rows), rows)
        for number in range(options.batches)
    ]
    record_bytes = len(frames[0]) - len(rows)
    return {
        "marks": known.marks.count,
        "marks_bytes_in_memory": memory,
        "marks_bytes_in_a_head": len(marks),
        "head_bytes": len(encode_head(head)),
        "encode_marks_ms": round(encode_ms, 2),
        "take_marks_ms": round(take_ms, 2),
        "append_us_per_batch": round(1e3 * append_ms / options.batches, 2),
        "record_bytes_beside_rows": record_bytes,
        "own_record_bytes_beside_rows": len(own[0]) - len(rows),
        "segment_bytes": len(segment),
        "recover_ms": round(recover_ms, 1),
        "seal_ms": round(sealed(head, b"".join(frames)), 1),
        "seal_own_ms": round(sealed(head, b"".join(own)), 1),
    }


def sealed(head: SegmentHead, records: bytes) -> float:
    """CPU milliseconds of sealing a segment, pyarrow's import included once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / segment_name(head)
        path.write_bytes(encode_head(head) + records)
        seal(str(path), folder)
        return timed(lambda: seal(str(path), folder))[0]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("hosts", 1000), ("workers", 4), ("starts", 1), ("rows", 20), ("batches", 20_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    print(json.dumps({**circumstances(), **vars(options), "figures": measure(options)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
