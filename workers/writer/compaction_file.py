"""The Parquet file that a compaction writes. Imports pyarrow, late."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.model.timebase import iso_utc
from agent.store.digest import MAGIC, add_digest
from workers.writer.compaction_plan import LISTED_MAX
from workers.writer.compaction_source import SourceFile, runs_of, segments_of
from workers.writer.readers import ReaderGroup

if TYPE_CHECKING:
    import pyarrow

# Two values that are read at any moment; of one that differs between the sources the newest counts.
_KEPT = ("host", "install", "schema_version", "agent_version", "table", "run")


def marks_of(files: Sequence[SourceFile], segment: str, now_wall_ns: int) -> dict[str, str]:
    """The metadata of the new file: the newest source's, and what differs between the sources as bounded lists.

    *Range:* `segments` and `runs` are the last 192 of them, between spaces; `sources` says how many files there were.
    """
    newest = files[-1].marks
    segments = [each for file in files for each in segments_of(file)]
    runs = list(dict.fromkeys(each for file in files for each in runs_of(file)))
    version = max((file.marks.get("schema_version", "0") for file in files), key=lambda text: (len(text), text))
    return {
        **{key: newest[key] for key in _KEPT if key in newest},
        "schema_version": version,
        "segment": segment,
        "segments": " ".join(segments[-LISTED_MAX:]),
        "runs": " ".join(runs[-LISTED_MAX:]),
        "sources": str(len(files)),
        "created": iso_utc(now_wall_ns),
        "digest": MAGIC.decode(),
    }


class CompactedFile:
    """One file in the making. *Raises:* OSError."""

    def __init__(self, path: str, schema: "pyarrow.Schema", marks: dict[str, str]) -> None:
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        self.path = path
        self._schema = schema.with_metadata(marks)
        self._sink = pyarrow.OSFile(path, "wb")
        os.chmod(path, 0o600)
        names = {True: [], False: []}  # type: dict[bool, list[str]]
        for field in schema:
            names[str(field.type) == "int64"].append(field.name)
        self._writer = ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=names[False],
            column_encoding=dict.fromkeys(names[True], "DELTA_BINARY_PACKED"),
        )

    def write(self, rows: "pyarrow.Table") -> None:
        """One row group."""
        self._writer.write_table(rows.replace_schema_metadata(self._schema.metadata), row_group_size=max(1, rows.num_rows))

    def finish(self, readers: ReaderGroup, final_path: str) -> int:
        """Force it to the disk; its bytes."""
        self._writer.close()
        self._sink.close()
        add_digest(self.path)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            readers.share_file(descriptor, final_path)
            os.fsync(descriptor)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def forget(self) -> None:
        """Write nothing more: else Arrow finishes the file when Python forgets it."""
        self._writer.is_open = False
