"""The queries of docs/queries.md answer right, and print what the page shows, over the story of one made-up host."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fakes.stored_data import FORMS, batch_of, head_of, process_row, tail_row, write_parquet, write_segment
from fakes.stored_occupancy import MIB, OCCUPANCY, occupancy_row, occupancy_tick

from agent.cli.program import run
from agent.model.table import Row
from workers.writer.record import TableForm

PAGE = Path(__file__).parents[2] / "docs/queries.md"
BLOCKS = dict(re.findall(r"<!-- (.+?) -->\n```(?:sql)?\n(.*?)```", PAGE.read_text(), re.DOTALL))
STATEMENTS = [name for name in BLOCKS if name.endswith(".sql") and " " not in name]

SECONDS = 200
BEGIN_NS = 1_700_000_000 * 10**9
# Of each 20 seconds: when group infra moves much, and when `batch/sort` does, never together with another.
INFRA_SPIKES, SORTING = range(8, 11), range(12, 14)
LATENCY = TableForm(1, ("timestamp", "pod", "latency_ms"), ("int64", "utf8", "float64"), "latency-")


def is_spike(second: int) -> bool:
    """The aggressor's: 6 of 20 seconds, 60 of all."""
    return second % 20 < 6


def at(second: int) -> int:
    return BEGIN_NS + second * 10**9


def occupancy_rows(second: int) -> list[Row]:
    """One tick of the host.

    `batch/crunch` spikes. `shop/web` loses cache with it. `shop/db` loses cache in every third second, whoever spikes.
    `shop/idle` loses cache with it and has nothing to do, `shop/gate` only computes less then. `batch/sort` spikes and suffers
    in the same seconds, all alone. The two pods of group infra spike in other seconds. `batch/new` comes late, without labels
    at first, and has no value in its last seconds.
    """
    spikes, sorts = is_spike(second), second % 20 in SORTING
    crunch, sort = 4e9 if spikes else 2e8, 1e9 if sorts else 1e7
    infra = 5e8 if second % 20 in INFRA_SPIKES else 1e7
    rows = [
        row_of(second, "batch/crunch", 16 if spikes else 4, crunch, crunch * 0.75),
        row_of(second, "shop/web", 4 if spikes else 12, 3e8, 3e8),
        row_of(second, "shop/db", 2 if second % 3 == 0 else 5, 1e8, 5e7),
        row_of(second, "shop/idle", 1 if spikes else 2, 0.0, 0.0),
        row_of(second, "shop/gate", 2, 1e7, 1e7),
        row_of(second, "batch/sort", 1 if sorts else 2, sort, sort),
        row_of(second, "kube/dns", 1, infra, infra, group="infra"),
        row_of(second, "kube/proxy", 1, infra, infra, group="infra"),
    ]
    if second >= SECONDS - 10:
        name = None if second < SECONDS - 5 else "batch/new"
        value, absent = (MIB, None) if second < SECONDS - 3 else (None, "llc_occupancy:unavailable")
        rows.append(occupancy_row(at(second), "u-new", name=name, llc=value, total=None, local=None, absent=absent))
    return rows


def row_of(second: int, name: str, llc_mib: int, total: float, local: float, *, group: str | None = None) -> Row:
    uid = uid_of(name)
    return occupancy_row(at(second), uid, name=name, llc=llc_mib * MIB, total=total, local=local, group=group)


def uid_of(name: str) -> str:
    return "u-" + name.partition("/")[2]


def process_rows(second: int) -> tuple[list[Row], list[Row]]:
    """What the pods compute: half of it in a named process, half in the tail; ticks are at another moment of the second."""
    spikes = is_spike(second)
    cpu = {
        "u-crunch": 4.0 if spikes else 1.0,
        "u-web": 0.6 if spikes else 1.5,
        "u-db": 0.5 if second % 3 == 0 else 1.0,
        "u-idle": 0.01,
        "u-gate": 0.2 if spikes else 1.0,
        "u-sort": 0.2 if second % 20 in SORTING else 1.0,
        "u-dns": 0.1,
    }
    stamp = at(second) + 700_000_000
    named = [process_row(stamp, 100 + index, pod=uid, cpu=share / 2) for index, (uid, share) in enumerate(cpu.items())]
    return named, [tail_row(stamp, 3, pod=uid, cpu=share / 2) for uid, share in cpu.items()]


def latency_rows(second: int) -> list[Row]:
    """Three requests a second, the slowest counts; one pod is told by name, one by uid, one is not of this host."""
    slow = 80.0 if is_spike(second) else 20.0
    values = [("shop/web", 1.0), ("shop/web", 2.0), ("shop/web", slow), ("u-db", 7.0), ("other/pod", slow)]
    return [(at(second) + index, pod, latency) for index, (pod, latency) in enumerate(values)]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story: its first part sealed, its last 50 seconds in the open spool."""
    state = tmp_path_factory.mktemp("host")
    sealed, spooled = range(SECONDS - 50), range(SECONDS - 50, SECONDS)
    ticks = {second: process_rows(second) for second in range(SECONDS)}
    write_parquet(state, "occupancy", "a", [row for second in sealed for row in occupancy_rows(second)], form=OCCUPANCY)
    write_parquet(state, "process", "a", [row for second in sealed for row in ticks[second][0]])
    write_parquet(state, "process_tail", "a", [row for second in sealed for row in ticks[second][1]])
    write_parquet(state, "latency", "own", [row for second in range(SECONDS) for row in latency_rows(second)], form=LATENCY)
    data = head_of("b", {**FORMS, "occupancy": OCCUPANCY})
    for second in spooled:
        named, tail = ticks[second]
        data += occupancy_tick(at(second), occupancy_rows(second)) + batch_of("process", named) + batch_of("process_tail", tail)
    write_segment(state, "b", data)
    return state


def ask(host: Path, statement: str, *words: str) -> str:
    output, warnings = io.StringIO(), io.StringIO()
    line = ["query", statement, "--state-dir", str(host), "--runtime-dir", str(host), *words]
    assert (run(line, {}, output, warnings), warnings.getvalue()) == (0, "")
    return output.getvalue()


def rows_of(host: Path, statement: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(ask(host, statement, "--json"))
    return rows


def test_the_page_has_its_queries() -> None:
    """Each with its output."""
    assert STATEMENTS == ["holders.sql", "neighbours.sql", "latency.sql"]
    assert {f"output of {name}" for name in STATEMENTS} | set(STATEMENTS) == set(BLOCKS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_page_shows_what_is_printed(name: str, host: Path) -> None:
    """To the letter."""
    assert BLOCKS[f"output of {name}"] == ask(host, BLOCKS[name])


def test_who_holds_the_cache_is_told_by_group(host: Path) -> None:
    """In the last minute crunch held 16 MiB in 18 seconds and 4 in 42; a shared group counts once, and names come late."""
    rows = {row["pods"]: row for row in rows_of(host, BLOCKS["holders.sql"])}
    assert list(rows) == [
        *("shop/web", "batch/crunch", "shop/db", "shop/gate", "batch/sort", "shop/idle", "batch/new", "kube/dns + kube/proxy")
    ]
    crunch = rows["batch/crunch"]
    assert (crunch["now_mib"], crunch["mean_mib"], crunch["most_mib"], crunch["percent"]) == (4.0, 7.6, 16.0, 23.8)
    assert (crunch["mb_per_second"], crunch["local_percent"]) == (1340.0, 75.0)
    assert [rows[name]["local_percent"] for name in ("shop/web", "shop/db", "shop/idle")] == [100.0, 50.0, None]
    assert (rows["kube/dns + kube/proxy"]["mean_mib"], rows["batch/new"]["why_absent"]) == (1.0, "llc_occupancy:unavailable")
    assert (rows["batch/new"]["mean_mib"], rows["batch/new"]["mb_per_second"]) == (1.0, None)


def test_the_noisy_neighbour_and_its_victim_are_the_only_pair(host: Path) -> None:
    """Who suffers at any time, who lost only cache or only CPU, and who spikes without a victim but itself is not named."""
    assert rows_of(host, BLOCKS["neighbours.sql"]) == [
        {
            "aggressor": "batch/crunch",
            "victim": "shop/web",
            "spike_seconds": 60,
            "bad_seconds": 60,
            "bad_percent": 100.0,
            "else_percent": 0.0,
        }
    ]


def test_latency_of_the_users_own_finds_the_same_pair(host: Path) -> None:
    """A Parquet file in a folder of the data folder is a table."""
    rows = rows_of(host, BLOCKS["latency.sql"])
    assert [(row["aggressor"], row["victim"], row["spike_seconds"], row["bad_seconds"]) for row in rows] == [
        ("batch/crunch", "shop/web", 60, 60)
    ]
    assert (rows[0]["p99_ms"], rows[0]["else_p99_ms"]) == (78.4, 19.6)


def test_latency_may_be_a_csv_file(host: Path) -> None:
    """In the data folder, by its whole path, as the page says."""
    path = host / "data/latency.csv"
    lines = ["timestamp,pod,latency_ms", *(",".join(map(str, row)) for second in range(SECONDS) for row in latency_rows(second))]
    path.write_text("\n".join(lines) + "\n")
    statement = BLOCKS["latency.sql"].replace("FROM latency JOIN", f"FROM read_csv('{path}') AS latency JOIN")
    assert statement != BLOCKS["latency.sql"]
    assert rows_of(host, statement) == rows_of(host, BLOCKS["latency.sql"])


@pytest.mark.parametrize("name", ["holders.sql", "neighbours.sql"])
def test_without_data_there_is_no_answer_and_no_failure(name: str, tmp_path: Path) -> None:
    """A host without resctrl has an empty table."""
    (tmp_path / "data/occupancy").mkdir(parents=True)
    write_parquet(tmp_path, "occupancy", "a", [], form=OCCUPANCY)
    assert rows_of(tmp_path, BLOCKS[name]) == []
