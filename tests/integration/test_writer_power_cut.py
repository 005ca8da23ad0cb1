"""What a power failure leaves at the end of the spool: cut off and counted, and no alarm."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.bus import RecordingBus
from fakes.segment import batch_frame, head_of
from fakes.writer_host import WriterHost

from agent.model.message import DataHello
from agent.store.record import encode_head
from agent.store.segment import segment_id, segment_name
from workers.writer.foreign import ForeignBatches
from workers.writer.spool import Spool
from workers.writer.start import Start, start

OPEN = segment_id(7, "00000000")
HEAD = encode_head(head_of(OPEN))
RECORDS = [batch_frame(seq, rows=2) for seq in (1, 2, 3)]


def started(folder: Path, data: bytes, *, durable: int = 0, segment: str = OPEN) -> tuple[Start, bytes, list[str]]:
    """What a new writer makes of one segment, the file afterwards, and the severities of what it noted."""
    from msgspec.structs import replace

    spool = Spool(str(folder / "spool"), str(folder / "set-aside"))
    spool.prepare()
    path = folder / "spool" / segment_name(head_of(segment))
    path.write_bytes(data)
    if durable:
        later = replace(head_of(segment_id(durable + 2, "00000000")), durable=durable)
        (folder / "spool" / segment_name(later)).write_bytes(encode_head(later))
    bus = RecordingBus()
    found = start(spool, str(folder / "data"), "run-1", bus, ForeignBatches({}))
    spool.close()
    after = path.read_bytes()
    for file in (folder / "spool").iterdir():
        file.unlink()
    return found, after, [note.severity for note in bus.notes]


def test_a_cut_at_any_byte_costs_only_what_is_behind_it(tmp_path: Path) -> None:
    """Cut short, continued by zeros, or by what stood on the disk before: whole records stay, the tail goes."""
    whole = HEAD + RECORDS[0]
    rest = RECORDS[1] + RECORDS[2]
    stale = bytes(range(256)) * 2
    for cut in range(len(rest)):
        kept = whole + (RECORDS[1] if cut >= len(RECORDS[1]) else b"")
        for tail in (b"", bytes(len(rest) - cut), bytes(4096), stale[: len(rest) - cut]):
            data = whole + rest[:cut] + tail
            found, after, severities = started(tmp_path, data)
            assert after == kept, (cut, tail[:8])
            assert set(severities) <= {"info"}
            assert found.torn_tails == (data != kept)
            assert [mark.seq for mark in found.marks] == [1 + (kept != whole)]
            assert len(found.waiting) == 1


def test_a_segment_whose_head_never_reached_the_disk_goes_without_a_word(tmp_path: Path) -> None:
    """Its name was there and its bytes were not: empty, zeros, half a head."""
    for data in (b"", bytes(len(HEAD)), HEAD[:20], HEAD[:20] + bytes(4096)):
        found, after, severities = started(tmp_path, data)
        assert (found.waiting, found.empty, after) == ([], [segment_name(head_of(OPEN))], b"")
        assert set(severities) <= {"info"}


def test_a_damaged_middle_is_damage_and_stays_as_it_is(tmp_path: Path) -> None:
    """A whole record behind it shows that the bytes were there: the sealer sets such a file aside."""
    damaged = bytearray(RECORDS[1])
    damaged[len(damaged) // 2] ^= 1
    for tail in (b"", RECORDS[0][:30]):
        data = HEAD + RECORDS[0] + bytes(damaged) + RECORDS[2]
        found, after, _ = started(tmp_path, data + tail)
        assert after == data
        assert len(found.waiting) == 1


def test_a_changed_end_of_a_segment_that_was_on_the_disk_in_whole_is_damage(tmp_path: Path) -> None:
    """A later segment says that this one was forced to the disk: what is wrong with its end is no power failure's doing."""
    data = HEAD + RECORDS[0] + RECORDS[1][:-1] + b"\x00"
    assert started(tmp_path, data, durable=6)[1] == HEAD + RECORDS[0]
    found, after, _ = started(tmp_path, data, durable=7)
    assert after == data
    assert len(found.waiting) == 1


@pytest.fixture
def host(tmp_path: Path) -> Iterator[WriterHost]:
    """A host whose writer has started."""
    host = WriterHost(tmp_path)
    yield host
    host.close()


def test_the_next_writer_takes_the_lost_rows_again_and_sets_nothing_aside(host: WriterHost) -> None:
    """Zeros in place of the last record: its sender is asked for it, and all is stored once."""
    sender = host.sender()
    host.measure(sender, 3)
    (name,) = host.spool_files()
    path = host.state / "spool" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1000] + bytes(1000))
    host.start()
    assert host.peer.sent[0][1] == DataHello(2, 2)
    host.turn_until(lambda: host.stats()["segments_waiting"] == 0)
    assert list((host.state / "set-aside").iterdir()) == []
    assert host.stats()["torn_tails"] == 1
    assert {note.severity for note in host.bus.notes} == {"info"}
    assert host.bus.conditions == []
    assert host.query("select list(distinct number order by number) from {sample}") == [([1, 2],)]


def test_heads_tell_which_segments_are_on_the_disk_in_whole(host: WriterHost) -> None:
    """One that was synced after it was followed by another."""
    from agent.store.record import parse_head

    sender = host.sender()
    for _ in range(3):
        host.measure(sender)
        host.rotate()
    (name,) = host.spool_files()
    head, _ = parse_head((host.state / "spool" / name).read_bytes())
    assert (head.segment[:8], head.durable) == ("00000004", 2)
