"""Where stored batches come from."""

from pathlib import Path

from workers.gateway.batch_source import BatchSource
from workers.gateway.stored_tail import StoredTail


def test_the_end_of_the_spool_is_one(tmp_path: Path) -> None:
    """Also where nothing is stored yet."""
    source: BatchSource = StoredTail(str(tmp_path), ("unit",))
    begin = source.begin(0)
    assert (list(source.read(begin, 1 << 20)), source.is_whole(begin)) == ([], True)
    source.close()
