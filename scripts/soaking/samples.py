"""What is measured of the agent in a calm moment: what its two lasting processes hold, and what its tables hold at the end."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from harness import proc

from agent.model.table import Table
from soaking.agent_under_test import AgentUnderTest
from workers import registry

# A start takes some hundredths of a second; where nothing comes to rest in all this time, that is what is found.
LOOK_PAUSE_SECONDS = 0.1
LOOKS_MAX = 20


@dataclass(frozen=True)
class Sample:
    """One process (`role`) in one calm moment, and the number of kills before it."""

    role: str
    pid: int
    at_seconds: float
    kills: int
    descriptors: Counter[str]
    threads: int
    zombies: int
    rss_bytes: int
    pss_bytes: int


@dataclass
class Stored:
    """What the tables hold: rows, rows that are there twice, and what the agent itself says is missing."""

    rows: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    gap_rows: int = 0
    # Ticks that the gaps tell, by reason, and all that there should be: those and the stored ones.
    missed: dict[str, int] = field(default_factory=dict)
    ticks_due: int = 0
    waiting_segments: int = 0


def take_samples(tested: AgentUnderTest, at_seconds: float, kills: int) -> list[Sample]:
    """The supervisor and the fork server as they are now, when what they have open has been the same for a moment.

    *Raises:* OSError when one of them dies at this moment.
    """
    server = tested.server_of(tested.workers())
    assert server is not None, "a calm moment without workers"
    last = None
    for _ in range(LOOKS_MAX):
        samples = [
            _sample(role, pid, at_seconds, kills) for role, pid in (("supervisor", tested.supervisor), ("fork server", server))
        ]
        held = [(each.descriptors, each.threads, each.zombies) for each in samples]
        # The supervisor waits for orphans four times a second: a dead child is one that it forgets only if it stays.
        if held == last and not any(each.zombies for each in samples):
            break
        # A start that nobody sees from outside is under way: the process in reserve is being made.
        last = held
        time.sleep(LOOK_PAUSE_SECONDS)
    return samples


def _sample(role: str, pid: int, at_seconds: float, kills: int) -> Sample:
    memory = proc.memory(pid)
    return Sample(
        role=role,
        pid=pid,
        at_seconds=round(at_seconds, 1),
        kills=kills,
        descriptors=proc.descriptor_kinds(pid),
        threads=proc.threads(pid),
        zombies=proc.zombies_of(pid),
        rss_bytes=memory.rss_bytes,
        pss_bytes=memory.pss_bytes,
    )


def read_stored(state_dir: Path) -> Stored:
    """Look through everything that an agent which has ended left in this folder."""
    stored = Stored(waiting_segments=len(list(state_dir.glob("spool/*.spool"))))
    with duckdb.connect(":memory:") as database:
        for table in registry.tables():
            files = sorted(str(path) for path in state_dir.glob(f"data/{table.name}/date=*/*.parquet"))
            if files:
                _count(database, table, files, stored)
                if table.name == "gap":
                    _read_gaps(database, files, stored)
                elif table.name == "process_scan":
                    stored.ticks_due += stored.rows[table.name]
    stored.ticks_due += sum(stored.missed.values())
    return stored


def _count(database: Any, table: Table, files: list[str], stored: Stored) -> None:
    key = ", ".join(f'"{column}"' for column in table.key)
    # A null is a value here: two rows without a pod are the same.
    statement = f"SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT {key} FROM read_parquet(?))) FROM read_parquet(?)"
    rows, keys = database.execute(statement, [files, files]).fetchone()
    stored.rows[table.name], stored.duplicates[table.name] = rows, rows - keys


def _read_gaps(database: Any, files: list[str], stored: Stored) -> None:
    statement = 'SELECT reason, count(*), sum("rows") FROM read_parquet(?) GROUP BY reason ORDER BY reason'
    for reason, gaps, rows in database.execute(statement, [files]).fetchall():
        stored.gaps[reason] = gaps
        stored.gap_rows += int(rows or 0)
    statement = (
        "SELECT reason, sum(ticks) FROM read_parquet(?) WHERE worker = ? AND ticks IS NOT NULL GROUP BY reason ORDER BY reason"
    )
    for reason, ticks in database.execute(statement, [files, "sampler/process"]).fetchall():
        stored.missed[reason] = int(ticks)
