"""Records read from a file, window by window."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from agent.model.message import encode
from agent.store import file_bytes
from agent.store.file_bytes import FileBytes
from agent.store.record import Damage, Entry, Record, encode_entry, parse_records, table_word

ROWS = encode([("x" * 100,)])


def written(folder: Path, data: bytes, window_bytes: int = file_bytes.WINDOW_BYTES) -> FileBytes:
    """A file with these bytes, open."""
    path = folder / "file"
    path.write_bytes(data)
    return FileBytes(os.open(path, os.O_RDONLY | os.O_CLOEXEC), len(data), window_bytes=window_bytes)


def batch(seq: int, table: str, rows: bytes = ROWS) -> bytes:
    """The frame of one batch."""
    return encode_entry(Entry("run-1", "w", 1, seq, table, seq, 1), rows)


@given(
    parts=st.lists(st.sampled_from(["a", "b", "?", "EGR2"]), max_size=12),
    window_bytes=st.sampled_from([8, 21, 64, 1 << 18]),
    left_out_bytes=st.integers(0, 40),
)
def test_a_file_is_read_as_its_bytes_are(parts: list[str], window_bytes: int, left_out_bytes: int) -> None:
    """Whatever the window, whatever is damaged: the same records and the same damages, for one table and for all."""
    data = b"".join(batch(seq, part) if part in ("a", "b") else part.encode() * 7 for seq, part in enumerate(parts))
    data = data[: max(0, len(data) - left_out_bytes)]
    with TemporaryDirectory() as folder:
        for wanted in (None, frozenset({table_word("a")})):
            source = written(Path(folder), data, window_bytes)
            assert list(parse_records(source, 0, wanted)) == list(parse_records(data, 0, wanted))


def test_what_nobody_wants_is_not_read(tmp_path: Path) -> None:
    """Of a large record of another table the head of its frame alone, and what a window holds."""
    large = encode([("x" * (8 << 20),)])
    source = written(tmp_path, batch(1, "a") + b"".join(batch(seq, "b", large) for seq in (2, 3, 4)) + batch(5, "a"))
    found = [item.entry.seq for item in parse_records(source, 0, frozenset({table_word("a")})) if isinstance(item, Record)]
    assert found == [1, 5]
    assert source.read_bytes <= 4 * file_bytes.WINDOW_BYTES


def test_a_file_that_became_shorter_ends_in_damage(tmp_path: Path) -> None:
    """The writer cut a torn tail off since its size was asked."""
    source = written(tmp_path, batch(1, "a") + batch(2, "a"))
    os.truncate(tmp_path / "file", len(batch(1, "a")) + 10)
    first, last = parse_records(source, 0)
    assert isinstance(first, Record)
    assert isinstance(last, Damage)


def test_a_file_is_read_from_an_offset_on(tmp_path: Path) -> None:
    """Positions count from there."""
    data = batch(1, "a") + batch(2, "a")
    path = tmp_path / "file"
    path.write_bytes(data)
    source = FileBytes(os.open(path, os.O_RDONLY | os.O_CLOEXEC), len(data), begin=len(batch(1, "a")))
    assert [(item.offset, item.entry.seq) for item in parse_records(source, 0) if isinstance(item, Record)] == [(0, 2)]
