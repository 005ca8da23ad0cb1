"""The one way to write a Parquet file of the agent: row groups, metadata, digest, and force to the disk. pyarrow comes late.

    file = ParquetFile(hidden_path, schema, marks)
    file.write_group(batches)           # as often as there are row groups, in the order of the rows
    file.close()                        # footer and digest
    file.force(share)                   # fsync; then the caller renames it
    file.forget()                       # instead of all this, when something failed

A caller renames the file only after `force`, so that what bears a final name is whole, on the disk, and has its digest.
*Range:* memory is that of the row group at hand, once as batches and once as pages; what was written is in the file. Nothing here
decides how large a row group is. *Raises:* OSError from all of these, and then the file is worth nothing.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from agent.model.timebase import iso_utc
from agent.store.digest import MAGIC, add_digest

# 3 is the level that zstd itself takes. Said here, so that files of one version are alike.
_LEVEL = 3
# Times and counters grow in small steps, and numbers of bytes have few digits in common: differences take less room than plain
# numbers and less time than a dictionary that is given up. Fractions seldom repeat, and where they do zstd sees it: plain numbers
# take less of both (`scripts/bench/compaction`).
_ENCODINGS = {"int64": "DELTA_BINARY_PACKED", "double": "PLAIN"}


class FileMarks(Struct, frozen=True):
    """Who wrote a file and of what: the metadata in its footer, which readers compare with its name and folder.

    `segment`: the id in its name. `run`: that of the segment; of a compacted file that of its newest source.
    *Range:* `sources`, `segments` and `runs` say of a compacted file how many files it was made of, and the last ids of their
    segments and runs, up to a bound; 0 and nothing in a sealed file. `foreign_columns`: columns beyond those of `schema_version`,
    which rows of other hosts have.
    """

    table: str
    segment: str
    host: str
    install: str
    schema_version: int
    agent_version: str
    created_wall_ns: int
    run: str = ""
    sources: int = 0
    segments: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    foreign_columns: tuple[str, ...] = ()

    def metadata(self) -> dict[str, str]:
        """As they stand in the footer."""
        compacted = {"sources": str(self.sources), "segments": " ".join(self.segments), "runs": " ".join(self.runs)}
        return {
            **(compacted if self.sources else {}),
            **({"foreign_columns": " ".join(self.foreign_columns)} if self.foreign_columns else {}),
            "host": self.host,
            "install": self.install,
            "run": self.run,
            "schema_version": str(self.schema_version),
            "agent_version": self.agent_version,
            "table": self.table,
            "segment": self.segment,
            "created": iso_utc(self.created_wall_ns),
            # A reader that misses the block knows by this that there was one.
            "digest": MAGIC.decode(),
        }


class ParquetFile:
    """One file in the making, under a name that no reader looks at. `rows` counts those written."""

    def __init__(self, path: str, schema: Any, marks: FileMarks, encodings: Mapping[str, str] | None = None) -> None:
        """Make the file, or empty the one that is there. `schema`: a `pyarrow.Schema`, whose metadata the marks replace.

        `encodings`: Parquet's encoding of some columns by name; of the others each page tries a dictionary first.
        """
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        self.path = path
        self.rows = 0
        self._schema = schema.with_metadata(marks.metadata())
        # A file of Arrow's own instead of a path keeps its file system layer out of the process.
        self._sink = pa.OSFile(path, "wb")
        # The checksums are for the readers of single pages; the digest is for the file.
        options: dict[str, Any] = {}
        if encodings:
            others = [name for name in schema.names if name not in encodings]
            options = {"use_dictionary": others, "column_encoding": dict(encodings)}
        self._writer = ParquetWriter(
            self._sink, self._schema, compression="zstd", compression_level=_LEVEL, write_page_checksum=True, **options
        )

    def write_group(self, batches: Sequence[Any]) -> None:
        """Write record batches, or tables, as one row group. Nothing for no rows."""
        import pyarrow as pa

        tables = [batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch]) for batch in batches]
        group = pa.concat_tables([table.replace_schema_metadata(self._schema.metadata) for table in tables]) if tables else None
        if group is None or not group.num_rows:
            return
        assert group.schema.equals(self._schema), f"{group.schema} is not the schema of the file"
        # Columns may be of several pieces; a dictionary that changes between them would end the column's encoding by it.
        self._writer.write_table(group.unify_dictionaries(), row_group_size=group.num_rows)
        self.rows += group.num_rows

    def close(self) -> None:
        """Write the footer and the digest. Nothing can be added any more."""
        self._writer.close()
        self._sink.close()
        add_digest(self.path)

    def force(self, share: Callable[[int], None] = lambda _descriptor: None) -> None:
        """Force the file to the disk. `share` gets a descriptor of it before, to set its owner and mode."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            share(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def forget(self) -> None:
        """Write nothing more; the file stays for the caller to remove. *Raises:* nothing.

        Without this Arrow finishes the file when Python forgets it, and complains of a full disk once more.
        """
        self._writer.is_open = False


def encodings_of(schema: Any) -> dict[str, str]:
    """How columns of a merged file are encoded that need no dictionary. `schema`: a `pyarrow.Schema`."""
    return {field.name: _ENCODINGS[str(field.type)] for field in schema if str(field.type) in _ENCODINGS}
