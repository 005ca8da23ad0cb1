"""What an agent that has ended left on the disk, in Parquet in whole."""

from pathlib import Path
from typing import Any

import pyarrow.parquet

from workers.writer.sealer import seal


def sealed_rows(state_dir: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table. What the agent could not seal before its end is sealed first, as its next start would do: on a busy
    machine the time that a stop takes at most is over before all is sealed."""
    for segment in sorted(state_dir.glob("spool/*.spool")):
        seal(str(segment), str(state_dir))
        segment.unlink()
    files = sorted(state_dir.glob(f"data/{table}/date=*/*.parquet"))
    return [row for path in files for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]
