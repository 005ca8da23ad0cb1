"""The digest inside a Parquet file, by descriptor and in memory."""

import os
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from agent.store.digest import DigestVerdict, add_digest, check_digest, check_digest_of, read_range


def verdicts(path: Path) -> tuple[DigestVerdict, DigestVerdict]:
    """What both ways say of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        data = read_range(descriptor, 0, path.stat().st_size)
        return check_digest(descriptor), check_digest_of(data)
    finally:
        os.close(descriptor)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A small Parquet file without a digest."""
    path = tmp_path / "file"
    parquet.write_table(pyarrow.table({"n": [1, 2, 3]}), path)
    return path


def test_a_file_in_memory_is_judged_as_one_on_the_disk(plain: Path) -> None:
    """Whichever byte is another one, and wherever the file ends."""
    assert verdicts(plain) == (DigestVerdict.NONE, DigestVerdict.NONE)
    add_digest(str(plain))
    whole = plain.read_bytes()
    assert verdicts(plain) == (DigestVerdict.GOOD, DigestVerdict.GOOD)
    for at in range(len(whole)):
        plain.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        on_disk, in_memory = verdicts(plain)
        assert on_disk is in_memory
        assert on_disk is not DigestVerdict.GOOD
    for size in range(0, len(whole), 7):
        plain.write_bytes(whole[:size])
        on_disk, in_memory = verdicts(plain)
        assert on_disk is in_memory
        assert on_disk is not DigestVerdict.GOOD
