"""An exporter of kind `object` over what a real writer stores; also as a process of its own, which can be killed.

python object_export.py STATE URL VALUES_AS_JSON      runs until nothing waits, and prints its statistics
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fakes.export_host import ExportHost

from agent.failpoint import VARIABLE
from agent.model.timebase import S
from workers.export.sink import SinkKind
from workers.exporters.object import SINK

ROOT = Path(__file__).parents[2]
TABLES = ("sample", "gap")
DEADLINE_SECONDS = 60


class ObjectExportHost(ExportHost):
    """As ExportHost, with the real kind of sink in place of the scripted one."""

    def __init__(
        self, state: Path, url: str, values: Mapping[str, int | str | bool] = {}, tables: tuple[str, ...] = TABLES
    ) -> None:
        super().__init__(state, values={"url": url, **values}, tables=tables)

    @property
    def kind(self) -> SinkKind:
        """The real one."""
        return SINK

    def settle(self) -> dict[str, Any]:
        """Until nothing waits; the account."""
        # What was stored last is counted with the next look.
        self.run_for(2 * S)
        self.run_until(lambda: self.stats.get("state") == "up" and self.is_settled, "everything")
        return self.ledger

    @property
    def sentence(self) -> str:
        """Why it is not up."""
        return str(self.stats.get("problem") or "")


def export_process(
    state: Path, url: str, values: Mapping[str, int | str | bool], failpoints: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run one to its end, which a failpoint may bring."""
    environment = dict(os.environ)
    if failpoints is not None:
        environment[VARIABLE] = str(failpoints)
    words = [sys.executable, "-P", __file__, str(state), url, json.dumps(values)]
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_SECONDS, env=environment, check=False)


def rows_in(files: Mapping[str, bytes]) -> "Counter[tuple[str, tuple[Any, ...]]]":
    """Each row of all files with the table that its name says, and how often it is there."""
    import pyarrow.parquet as pq

    found: Counter[tuple[str, tuple[Any, ...]]] = Counter()
    for name, content in files.items():
        for row in pq.ParquetFile(BytesIO(content)).read().to_pylist():
            table = name.split("/")[-4]
            found[table, tuple(row.values())] += 1
    return found


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> None:
    """As the head of this file says."""
    state, url, values = sys.argv[1:]
    host = ObjectExportHost(Path(state), url, json.loads(values))
    host.run_until(lambda: host.stats.get("state") != "starting" and host.is_settled, "the end")
    print(json.dumps({**host.stats, "imported": sorted({"pyarrow", "duckdb"} & set(sys.modules))}))
    host.kill()


if __name__ == "__main__":
    main()
