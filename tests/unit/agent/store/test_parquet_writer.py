"""The one way to write a Parquet file."""

import os
import stat
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from agent.model.timebase import S
from agent.store.digest import DigestVerdict, check_digest
from agent.store.parquet_writer import FileMarks, ParquetFile

SCHEMA = pyarrow.schema([("n", pyarrow.int64())])
MARKS = FileMarks("t", "0" * 16, "node-1", "f" * 16, 3, "0.1", 1_700_000_000 * S, "run-1")


def batch(*numbers: int) -> pyarrow.RecordBatch:
    """Rows of one column."""
    return pyarrow.record_batch([pyarrow.array(numbers, pyarrow.int64())], names=["n"])


def verdict(path: Path) -> DigestVerdict:
    """What the digest of a file says."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return check_digest(descriptor)
    finally:
        os.close(descriptor)


def test_row_groups_are_those_of_the_caller(tmp_path: Path) -> None:
    """Each call is one, of any size; the file has its digest and says who wrote it."""
    path = tmp_path / "file"
    file = ParquetFile(str(path), SCHEMA, MARKS)
    file.write_group([batch(1, 2), batch(3)])
    file.write_group([])
    file.write_group([batch()])
    file.write_group([pyarrow.Table.from_batches([batch(*range(50_000))])])
    file.close()
    metadata = parquet.read_metadata(path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [3, 50_000]
    assert (file.rows, parquet.read_table(path).num_rows) == (50_003, 50_003)
    assert {key.decode(): value.decode() for key, value in metadata.metadata.items() if key != b"ARROW:schema"} == {
        "host": "node-1", "install": "f" * 16, "run": "run-1", "schema_version": "3", "agent_version": "0.1", "table": "t",
        "segment": "0" * 16, "created": "2023-11-14T22:13:20.000Z", "digest": "evgblk2b",
    }  # fmt: skip
    assert verdict(path) is DigestVerdict.GOOD


def test_pieces_with_other_dictionaries_stay_one_group_with_one(tmp_path: Path) -> None:
    """The texts of all pieces are in one dictionary, and no page is without it."""
    path = tmp_path / "file"
    schema = pyarrow.schema([("host", pyarrow.dictionary(pyarrow.int32(), pyarrow.utf8()))])
    pieces = [
        pyarrow.record_batch([pyarrow.array(names).dictionary_encode()], schema=schema) for names in (["a", "b"], ["c", "a"], ["b"])
    ]
    file = ParquetFile(str(path), schema, MARKS)
    file.write_group(pieces)
    file.close()
    column = parquet.read_metadata(path).row_group(0).column(0)
    assert column.has_dictionary_page
    assert "PLAIN_DICTIONARY" in column.encodings or "RLE_DICTIONARY" in column.encodings
    assert parquet.read_table(path).column("host").to_pylist() == ["a", "b", "c", "a", "b"]


def test_the_owner_is_set_before_the_file_is_forced(tmp_path: Path) -> None:
    """On an open descriptor: the name may be another's by then."""
    path = tmp_path / "file"
    file = ParquetFile(str(path), SCHEMA, MARKS)
    file.write_group([batch(1)])
    file.close()
    file.force(lambda descriptor: os.fchmod(descriptor, 0o640))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_is_forgotten_says_nothing_more(tmp_path: Path) -> None:
    """Python may forget it at any time: nothing is written then."""
    path = tmp_path / "file"
    file = ParquetFile(str(path), SCHEMA, MARKS)
    file.write_group([batch(1)])
    file.forget()
    path.unlink()
    del file
    assert not path.exists()


def test_columns_of_another_schema_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    """They would be bent into the file's."""
    file = ParquetFile(str(tmp_path / "file"), SCHEMA, MARKS)
    with pytest.raises(AssertionError, match="not the schema of the file"):
        file.write_group([pyarrow.record_batch([pyarrow.array([1.5])], names=["n"])])
    file.forget()
