"""Makes the history, runs each command by turns with its rivals, prints medians and verdicts."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import machine
from supervisors.figures import Check, Row, Section, percentile
from supervisors.report import Document, encode, print_table

from query_bench import commands
from query_bench.commands import Run

ROOT = Path(__file__).parents[3]
MEANS = "count(*), avg(cpu_share)"
HOUR_MUST_MS, HOUR_GOAL_MS, PEAK_MUST_MIB = 500.0, 300.0, 256.0
YEAR_MUST_MS, YEAR_GOAL_MS = 3_000.0, 1_500.0
UNCOMPACTED_DAYS = 30
SECTIONS = ("hour", "year", "top", "uncompacted")

Commands = Mapping[str, Sequence[str]]


def main() -> None:
    """Measure and print; ends with 1 where a must is missed."""
    options = _options()
    before = machine.circumstances()
    before |= {"versions": {name: version(name) for name in ("duckdb", "pyarrow")}, "missing": {}, "options": vars(options).copy()}
    folder = Path(options.folder)
    year, uncompacted = folder / "year", folder / "uncompacted"
    _make(year, options.days, options.rows, 0)
    only = options.only.split(",")
    if "uncompacted" in only:
        _make(uncompacted, 0, options.rows, UNCOMPACTED_DAYS)
    sections = [
        _section(name, _commands(name, year, uncompacted, options.days), options.repeats) for name in SECTIONS if name in only
    ]
    took = {"took_seconds": round(time.time() - before.pop("began_at")), "load_after": os.getloadavg()[0]}
    document: Document = {**before, **took, "failures": [], "history": _describe(year)}
    document["lines"] = [section.document() for section in sections]
    print_table(document)
    print(f"\nhistory: {document['history']}")
    if options.json:
        Path(options.json).write_text(encode(document))
    sys.exit(any(check.verdict == "MISSED" for section in sections for check in section.checks))


def _make(folder: Path, days: int, rows: int, uncompacted_days: int) -> None:
    words = [str(folder), str(days), str(rows), str(uncompacted_days)]
    subprocess.run([sys.executable, "-m", "query_bench.history", *words], check=True)


def _describe(folder: Path) -> dict[str, str]:
    """How many files and bytes each table has."""
    described = {}
    for table in sorted((folder / "data").iterdir()):
        sizes = [path.stat().st_size for path in table.glob("date=*/*.parquet")]
        described[table.name] = f"{len(sizes)} files, {sum(sizes) / 2**20:.0f} MiB"
    return described


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench/query", description=__doc__)
    parser.add_argument("--days", type=int, default=365, help="compacted days")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of a table on each day")
    parser.add_argument("--repeats", type=int, default=9, help="turns; medians are reported")
    parser.add_argument("--folder", default=str(ROOT / ".bench" / "query"), help="where the history is kept")
    parser.add_argument("--json", help="write everything measured into this file")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    return parser.parse_args()


def _commands(section: str, year: Path, uncompacted: Path, days: int) -> Commands:
    where = "WHERE timestamp > {since}"
    if section == "year":
        return {
            "agentctl query": commands.query(year, "SELECT count(*) FROM process"),
            "duckdb, glob": commands.duckdb(year, "count(*)"),
            "pyarrow.dataset": commands.dataset(year, last_hour=False),
        }
    if section == "top":
        return {
            "agentctl top --at -20m": commands.top(year, "--at", "-20m"),
            "agentctl top --at, long ago": commands.top(year, "--at", f"{days // 2}d"),
        }
    folder = year if section == "hour" else uncompacted
    return {
        "agentctl query --since 1h": commands.query(folder, f"SELECT {MEANS} FROM process", "--since", "1h"),
        "agentctl query, WHERE at": commands.query(folder, f"SELECT {MEANS} FROM process WHERE at > now() - INTERVAL 1 HOUR"),
        "duckdb, glob": commands.duckdb(folder, MEANS, where),
        "pyarrow.dataset": commands.dataset(folder, last_hour=True),
    }


TITLES = {
    "hour": "last hour of a year, whole command",
    "year": "count of a year's rows, whole command",
    "top": "a moment of the past, to the end of the command",
    "uncompacted": f"last hour of {UNCOMPACTED_DAYS} days that are not compacted, whole command",
}
LIMITS = {
    "hour": (HOUR_MUST_MS, HOUR_GOAL_MS),
    "year": (YEAR_MUST_MS, YEAR_GOAL_MS),
    "top": (HOUR_MUST_MS, HOUR_GOAL_MS),
    "uncompacted": (None, None),
}


def _section(name: str, wanted: Commands, repeats: int) -> Section:
    """Each command once unmeasured, for the page cache, then by turns."""
    print(f"measuring: {TITLES[name]}", file=sys.stderr)
    runs: dict[str, list[Run]] = {who: [] for who in wanted}
    for turn in range(repeats + 1):
        for who, command in wanted.items():
            result = commands.run(command)
            if turn:
                runs[who].append(result)
    section = Section(name, TITLES[name])
    must, goal = LIMITS[name]
    for who, results in runs.items():
        wall = percentile([result.wall_ms for result in results], 50)
        peak = max(result.peak_mib for result in results)
        cpu = percentile([result.cpu_ms for result in results], 50)
        section.rows.append(Row(who, {"cpu ms": cpu, "peak MiB": peak}, [result.wall_ms for result in results]))
        if who.startswith("agentctl") and must is not None:
            section.checks.append(Check(f"{who}, median", wall, "ms", must, goal))
            section.checks.append(Check(f"{who}, peak memory", peak, "MiB", PEAK_MUST_MIB, None))
    return section


if __name__ == "__main__":
    main()
