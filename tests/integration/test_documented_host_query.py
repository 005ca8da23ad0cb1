"""The query of docs/host.md: start ticks as a time, also after the clock was set."""

import io
import json
import re
from pathlib import Path

from fakes.stored_data import process_row, row_of, write_parquet

from agent.cli.program import run
from agent.store.record import form_of
from workers.host.schema import HOST

ROOT = Path(__file__).parents[2]
(STATEMENT,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/host.md").read_text(), re.DOTALL)
# 2023-11-14 22:13:20, and the same boot by a clock that was set one hour forward between the two ticks.
BOOT_NS = 1_700_000_000 * 10**9
BOOTS = {BOOT_NS + 60 * 10**9: BOOT_NS, BOOT_NS + 3661 * 10**9: BOOT_NS + 3600 * 10**9}


def test_start_ticks_become_a_time(tmp_path: Path) -> None:
    """By the boot of the tick: the process has seven clock ticks, 70 ms after boot by the clock of then."""
    hosts = [row_of(HOST, {"timestamp": at, "boot_timestamp": boot, "ticks_per_second": 100}) for at, boot in BOOTS.items()]
    write_parquet(tmp_path, "host", "a", hosts, form=form_of(HOST))
    # The two samplers do not stamp at the same nanosecond.
    write_parquet(tmp_path, "process", "a", [process_row(at + 5, pid) for pid, at in enumerate(BOOTS, start=1)])
    output, warnings = io.StringIO(), io.StringIO()
    line = ["query", STATEMENT, "--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path), "--json"]
    assert (run(line, {}, output, warnings), warnings.getvalue()) == (0, "")
    found = {row["pid"]: str(row["started"]) for row in json.loads(output.getvalue())}
    assert {pid: started[:22].replace("T", " ") for pid, started in found.items()} == {
        1: "2023-11-14 22:13:20.07", 2: "2023-11-14 23:13:20.07",
    }  # fmt: skip
