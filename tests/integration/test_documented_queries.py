"""Every query of README, docs and help answers right, over the story of one made-up host; docs/queries.md shows its output."""

import io
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from fakes.stored_data import FORMS, batch_of, head_of, process_row, tail_row, write_parquet, write_segment
from fakes.stored_data import row_of as stored_row
from fakes.stored_names import CONTAINER_FORM, container_name_row
from fakes.stored_occupancy import MIB, OCCUPANCY, occupancy_row, occupancy_tick
from fakes.stored_sketches import SKETCH_FORM, WINDOW_NS, sketch_row
from fakes.stored_units import UNIT_EVENT_FORM, UNIT_FORM, UNIT_MODEL_FORM, unit_row

from agent.cli.program import find_command, run
from agent.model.table import Row, Value
from agent.model.tables import DIAG, POD_GROUP
from agent.store.record import TableForm, form_of
from workers.process import schema
from workers.unit.schema import UNIT_ENGINE, UNIT_EVENT, UNIT_MODEL

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/queries.md"
PAGES = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
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

    `batch/crunch` spikes. `shop/web` loses cache with it. `shop/db` loses cache in every third second, no matter which pod spikes.
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


def labels_of(name: str | None) -> str | None:
    """The pods of namespace shop are of one application each, those of batch of one together."""
    if name is None:
        return None
    namespace, _, short = name.rpartition("/")
    return json.dumps({"app": "jobs" if namespace == "batch" else short, "app.kubernetes.io/part-of": namespace})


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
    named = [
        process_row(stamp, 100 + index, pod=uid, cpu=share / 2, container=uid.replace("u-", "c-"))
        for index, (uid, share) in enumerate(cpu.items())
    ]
    return named, [tail_row(stamp, 3, pod=uid, cpu=share / 2) for uid, share in cpu.items()]


def sketch_rows(window: int) -> list[Row]:
    """The sketches of the named processes in one minute of the clock; the first and the last have not all of their ticks."""
    seconds = [second for second in range(SECONDS) if at(second) // WINDOW_NS == window]
    values: dict[tuple[str, str], list[int]] = defaultdict(list)
    for second in seconds:
        for row in process_rows(second)[0]:
            named = dict(zip(schema.PROCESS.column_names, row, strict=True))
            values[str(named["pod_uid"]), str(named["comm"])].append(int(str(named["cpu_ns"])))
    return [sketch_row(window * WINDOW_NS, each, key=key, ticks=len(seconds)) for key, each in values.items()]


def latency_rows(second: int) -> list[Row]:
    """Three requests a second, the slowest counts; one pod is told by name, one by uid, one is not of this host."""
    slow = 80.0 if is_spike(second) else 20.0
    values = [("shop/web", 1.0), ("shop/web", 2.0), ("shop/web", slow), ("u-db", 7.0), ("other/pod", slow)]
    return [(at(second) + index, pod, latency) for index, (pod, latency) in enumerate(values)]


def pod_row(at_second: int, uid: str, name: str | None, group: str, since: int, until: int | None, run_id: str = "run-1") -> Row:
    """A row of `pod_group`, written at a second of the story."""
    namespace, _, short = (name or "").rpartition("/")
    until_ns = None if until is None else at(until)
    names = (namespace or None, short or None, "burstable")
    return (at(at_second), uid, "pod", *names, f"/kubepods/{uid}", 1, group, None, at(since), until_ns, labels_of(name), run_id)


# What became of the pods, so that a join by uid alone is wrong in each of its ways. `shop/web`: opened twice, for its container
# count changed. `batch/crunch`: an agent died, the next opened it again in another group 20 seconds before the end.
# `shop/db`: without a name at first. `kube/dns` was renamed and has ended since. `shop/idle` was opened and closed by one row each.
POD_ROWS = [
    pod_row(0, "u-web", "shop/web", "own", 0, None),
    pod_row(90, "u-web", "shop/web", "own", 0, None),
    pod_row(0, "u-crunch", "batch/crunch", "own", 0, None, "run-0"),
    pod_row(SECONDS - 20, "u-crunch", "batch/crunch", "batch", SECONDS - 20, None),
    pod_row(0, "u-db", None, "own", 0, None),
    pod_row(10, "u-db", None, "own", 0, 10),
    pod_row(10, "u-db", "shop/db", "own", 10, None),
    pod_row(0, "u-dns", "kube/dns-old", "infra", 0, None),
    pod_row(60, "u-dns", "kube/dns-old", "infra", 0, 60),
    pod_row(60, "u-dns", "kube/dns", "infra", 60, None),
    pod_row(SECONDS, "u-dns", "kube/dns", "infra", 60, SECONDS),
    pod_row(0, "u-idle", "shop/idle", "own", 0, None),
    pod_row(SECONDS, "u-idle", "shop/idle", "own", 0, SECONDS),
]


# Written when the agent began and again since; the container of `shop/idle` has no name.
CONTAINERS = {"web": "nginx", "db": "postgres", "crunch": "job", "sort": "job", "dns": "coredns", "gate": "nginx"}
CONTAINER_ROWS = [
    container_name_row(at(second), f"c-{pod}", name, f"u-{pod}") for second in (0, 150) for pod, name in CONTAINERS.items()
]


def unit_rows(second: int) -> list[Row]:
    """The database waits half of the time, the exporter has worked once in a minute and a container is a part of its pod."""
    half, mib = 500_000_000, 1 << 20
    rows = [unit_row(at(second), "/system.slice/db.service", cpu_ns=half, pressure_cpu_some_ns=half, memory_current_bytes=64 * mib)]
    pod: dict[str, Value] = {
        "kind": "pod",
        "cgroup": "/kubepods/u-web",
        "cpu_ns": half // 2,
        "pressure_cpu_some_ns": 0,
        "memory_current_bytes": 8 * mib,
    }
    rows += [unit_row(at(second), "u-web", **pod), unit_row(at(second), "u-web", container="c-web", **pod)]
    if second % 60 == 59:
        minute = {"elapsed_ns": 60 * 10**9, "cpu_ns": half, "pressure_cpu_some_ns": 6 * 10**9, "memory_current_bytes": mib}
        rows.append(unit_row(at(second), "/system.slice/exporter.service", **minute))
    return rows


def event_row(sequence: int, unit: str, verdict: str, culprit: str | None, kills: int) -> Row:
    """A unit that ran out of memory."""
    values: dict[str, Value] = {
        "timestamp": at(sequence),
        "unit": unit,
        "kind": "pod",
        "cgroup": f"/kubepods/{unit}",
        "sequence": sequence,
    }
    return stored_row(UNIT_EVENT, {**values, "event": "oom", "verdict": verdict, "culprit": culprit, "kills": kills})


EVENT_ROWS = [
    event_row(1, "u-crunch", "own_limit", None, 1),
    event_row(2, "u-crunch", "own_limit", None, 2),
    event_row(3, "u-web", "ancestor", "/kubepods", 1),
]


def model_row(second: int, unit: str, model: str | None, served: str | None, source: str, container: str | None = None) -> Row:
    """What a unit serves from then on."""
    values: dict[str, Value] = {"timestamp": at(second), "unit": unit, "kind": "service", "container": container}
    engine = None if model is None else "vllm"
    return stored_row(
        UNIT_MODEL, {**values, "model": model, "model_raw": model, "served_model": served, "engine": engine, "model_source": source}
    )


# The pod changes its model after 100 seconds; the exporter serves none any more.
MODEL_ROWS = [
    model_row(0, "/system.slice/exporter.service", "org/old", "old", "arguments"),
    model_row(0, "u-web", "org/small", "chat", "arguments"),
    model_row(0, "u-web", "org/small", "chat", "arguments", "c-web"),
    model_row(50, "/system.slice/exporter.service", None, None, "arguments"),
    model_row(100, "u-web", "org/large", "chat", "label"),
]


def engine_row(second: int, unit: str, waiting: int | None, running: int | None, share: float | None) -> tuple[Any, ...]:
    absent = "not_answered" if waiting is None else None
    return (at(second), unit, "service", None, "vllm", waiting, running, share, absent)


ENGINE_ROWS = [
    engine_row(20, "/system.slice/gone.service", 9, 9, 0.5),
    engine_row(SECONDS - 60, "/system.slice/exporter.service", 0, 0, 0.0),
    engine_row(SECONDS - 40, "u-web", 1, 8, 0.5),
    engine_row(SECONDS - 20, "/system.slice/exporter.service", None, None, None),
    engine_row(SECONDS - 10, "u-web", 4, 8, 0.75),
]


def _breaker(seq: int, second: int, phase: str, since: int) -> tuple[Any, ...]:
    named = ("breaker_open", "io", phase, "sampler/process", "warning", "dear", None)
    return (at(second), "run", seq, *named, at(since), 1)


# The breaker held for 3 and for 5 seconds, and holds again.
DIAG_ROWS = [_breaker(1, 1, "begin", 1), _breaker(2, 4, "end", 1), _breaker(3, 10, "begin", 10), _breaker(4, 15, "end", 10),
             _breaker(5, 20, "begin", 20)]  # fmt: skip


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
    *sealed_windows, last_window = sorted({at(second) // WINDOW_NS for second in range(SECONDS)})
    write_parquet(state, "process_sketch", "a", [row for each in sealed_windows for row in sketch_rows(each)], form=SKETCH_FORM)
    write_parquet(state, "pod_group", "a", POD_ROWS[:9], form=form_of(POD_GROUP))
    write_parquet(state, "container_name", "a", CONTAINER_ROWS[:6], form=CONTAINER_FORM)
    write_parquet(state, "unit", "a", [row for second in sealed for row in unit_rows(second)], form=UNIT_FORM)
    write_parquet(state, "unit_event", "a", EVENT_ROWS, form=UNIT_EVENT_FORM)
    write_parquet(state, "unit_model", "a", MODEL_ROWS, form=UNIT_MODEL_FORM)
    write_parquet(state, "unit_engine", "a", ENGINE_ROWS, form=form_of(UNIT_ENGINE))
    write_parquet(state, "diag", "a", DIAG_ROWS, form=form_of(DIAG))
    forms = {
        "unit": UNIT_FORM,
        "occupancy": OCCUPANCY,
        "pod_group": form_of(POD_GROUP),
        "process_sketch": SKETCH_FORM,
        "container_name": CONTAINER_FORM,
    }
    data = head_of("b", {**FORMS, **forms}) + batch_of("container_name", CONTAINER_ROWS[6:])
    data += batch_of("pod_group", POD_ROWS[9:]) + batch_of("process_sketch", sketch_rows(last_window))
    for second in spooled:
        named, tail = ticks[second]
        data += occupancy_tick(at(second), occupancy_rows(second)) + batch_of("process", named) + batch_of("process_tail", tail)
        data += batch_of("unit", unit_rows(second))
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
    assert [
        *("pods.sql", "namespaces.sql", "labels.sql", "containers.sql", "beside.sql"),
        *("percentiles.sql", "units.sql", "events.sql", "holders.sql", "neighbours.sql", "latency.sql"),
    ] == STATEMENTS
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


def test_what_each_pod_cost_is_a_mean_of_its_ticks(host: Path) -> None:
    """In the last minute crunch spiked in 18 of 60 seconds, 6 of them after it changed its group; no pod's rows are doubled."""
    rows = {(row["pod"], row["group"]): row for row in rows_of(host, BLOCKS["pods.sql"])}
    crunch_before, crunch_after = rows["batch/crunch", "own"], rows["batch/crunch", "batch"]
    # 40 seconds with 12 of 4 cores and 28 of 1; 20 seconds with 6 of 4 and 14 of 1.
    assert (crunch_before["ticks"], crunch_before["mean_cores"], crunch_before["most_cores"]) == (40, (12 * 4 + 28) / 40, 4.0)
    assert (crunch_after["ticks"], crunch_after["mean_cores"]) == (20, (6 * 4 + 14) / 20)
    # 18 seconds of 0.6 and 42 of 1.5; every third second of 0.5.
    assert (rows["shop/web", "own"]["ticks"], rows["shop/web", "own"]["mean_cores"]) == (60, 1.23)
    assert rows["shop/db", "own"]["mean_cores"] == round((20 * 0.5 + 40 * 1.0) / 60, 3)
    assert (rows["kube/dns", "infra"]["ticks"], rows["kube/dns", "infra"]["mean_cores"]) == (60, 0.1)
    # Never seen by the control plane: the uid stands for the name.
    assert rows["u-gate", None]["ticks"] == 60
    assert {row["mean_rss_mib"] for row in rows.values()} == {2.0}
    assert len(rows) == 8


def test_percentiles_of_a_pod_are_those_of_its_ticks(host: Path) -> None:
    """Within the error, over four windows of which two are not whole."""
    rows = {row["pod"]: row for row in rows_of(host, BLOCKS["percentiles.sql"])}
    crunch = rows["batch/crunch"]
    # 60 of 200 seconds were of 2 cores, the others of half a core.
    assert crunch["readings"] == SECONDS
    assert crunch["p50_ms"] == pytest.approx(500, rel=0.0055)
    assert crunch["p95_ms"] == pytest.approx(2_000, rel=0.0055)
    assert (crunch["most_ms"], crunch["error_percent"]) == (2_000.0, 0.54)
    # One pod was renamed after its first minute, within a window: the row is of the name that it had at the window's end.
    assert {row["readings"] for row in rows.values()} == {SECONDS, 160, 40}


def test_the_view_has_each_interval_of_a_pod_once(host: Path) -> None:
    """With its last row, the name that came later, and an end where the agent ended before it could tell one."""
    columns = f"(valid_from - {BEGIN_NS}) // 1000000000 AS since, (valid_until - {BEGIN_NS}) // 1000000000 AS until"
    rows = rows_of(host, f'SELECT pod_uid, name, {columns}, "group" FROM pod ORDER BY 1, 3')
    assert [tuple(row.values()) for row in rows] == [
        ("u-crunch", "batch/crunch", 0, 180, "own"),
        ("u-crunch", "batch/crunch", 180, None, "batch"),
        ("u-db", "shop/db", 0, 10, "own"),
        ("u-db", "shop/db", 10, None, "own"),
        ("u-dns", "kube/dns-old", 0, 60, "infra"),
        ("u-dns", "kube/dns", 60, 200, "infra"),
        ("u-idle", "shop/idle", 0, 200, "own"),
        ("u-web", "shop/web", 0, None, "own"),
    ]


def commands_of(text: str) -> list[str]:
    """The statements of `agentctl query` on command lines of a page, as the shell hands them over; no other program's `--query`."""
    found = re.findall(r'(?<!-)query "([^"]+)"', text)
    return [" ".join(statement.split()) for statement in found if not statement.startswith("$(")]


def _mean(shares: list[float]) -> float:
    return round(sum(shares) / len(shares), 2)


CRUNCH = [4.0 if is_spike(second) else 1.0 for second in range(SECONDS)]
WEB = [0.6 if is_spike(second) else 1.5 for second in range(SECONDS)]
# Each statement by how it begins, and its answer by hand: the first rows, in the order and with the names that it gives.
EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "SELECT comm, max(cpu_share) FROM process GROUP BY comm": [("task-100", 2.0), ("task-101", 0.75)],
    "SELECT coalesce(arg_max(p.name, p.valid_from), u.pod_uid, 'no pod') AS pod": [
        ("batch/crunch", _mean(CRUNCH)),
        ("shop/web", _mean(WEB)),
    ],
    "SELECT coalesce(max(pod_name), pod_uid) AS pod, avg(llc_occupancy_bytes) FROM occupancy": [
        ("web", _mean([4.0 if is_spike(second) else 12.0 for second in range(SECONDS)]) * MIB),
        ("crunch", _mean([16.0 if is_spike(second) else 4.0 for second in range(SECONDS)]) * MIB),
    ],
    "SELECT pid, any_value(comm) AS command, sum(cpu_ns) / 1e9": [
        (100, "task-100", (18 * 4 + 42) / 2),
        (101, "task-101", pytest.approx((18 * 0.6 + 42 * 1.5) / 2)),
    ],
    "SELECT coalesce(p.name, u.pod_uid, 'no pod') AS pod, round(sum(rss_bytes)": [],
    "SELECT at, worker, reason, rows FROM gap": [],
    "SELECT module, kind, subject, count(*) AS times": [("sampler/process", "breaker_open", "io", 2, 8.0)],
    "SELECT timestamp, unit, verdict, culprit, kills, limit_bytes FROM unit_event": [
        (at(1), "u-crunch", "own_limit", None, 1, None),
        (at(2), "u-crunch", "own_limit", None, 2, None),
        (at(3), "u-web", "ancestor", "/kubepods", 1, None),
    ],
    # A row may stand for several kills.
    "SELECT host, sum(kills) AS kills FROM unit_event": [("node-1", 4)],
    "SELECT unit, arg_max(coalesce(model, engine), timestamp) AS model": [("u-web", "org/large", "chat")],
    # The pod has the longer queue; the exporter's engine was idle and does not answer any more; the third one is gone.
    "SELECT unit, waiting, running, kv_cache_share": [
        ("u-web", 4, 8, 0.75, None),
        ("/system.slice/exporter.service", None, None, None, "not_answered"),
    ],
    # A quarter of a CPU for a hundred seconds each; the exporter worked before its model was gone for none.
    "SELECT m.model, count(DISTINCT u.unit) AS units": [("org/large", 1, 25.0), ("org/small", 1, 25.0)],
    # The story has no accounts of ticks.
    "SELECT at, processes, cpu_share, cpu_capture, rss_capture": [],
    # The story is long ago.
    "SELECT at, pid, comm FROM process WHERE at > now()": [],
}
# A whole table is what is stored, in any order.
WHOLE = (
    *("SELECT pid, comm, rss_bytes FROM process", "SELECT * FROM process", "FROM process", "FROM gap", "FROM unit_model"),
    *("FROM unit_engine", "SELECT at, module, kind"),
)


@pytest.mark.runbook("Status and events")
def test_every_command_line_of_the_pages_answers_right(host: Path) -> None:
    """A query that somebody adds to README, a page or the help fails here until its answer is written down."""
    statements = [statement for page in PAGES for statement in commands_of(page.read_text())]
    statements += commands_of("\n".join(find_command("query").examples))
    assert len(statements) >= 7
    unused = set(EXPECTED)
    for statement in statements:
        rows = [tuple(row.values()) for row in rows_of(host, statement)]
        begin = next((key for key in EXPECTED if statement.startswith(key)), None)
        if begin is None:
            assert statement.startswith(WHOLE), f"no answer is written down for: {statement}"
            continue
        unused.discard(begin)
        expected = EXPECTED[begin]
        assert expected == rows[: len(expected)], statement
        assert len({row[0] for row in rows}) == len(rows)
    assert unused == set()


def test_the_memory_of_each_pod_is_that_of_its_last_sample(host: Path) -> None:
    """The example of the help: one process and one tail of 1 MiB each, each once."""
    (statement,) = [text for text in commands_of("\n".join(find_command("query").examples)) if "rss_mib" in text]
    names = ("batch/crunch", "kube/dns", "shop/db", "shop/idle", "shop/web", "u-gate", "u-sort")
    assert sorted(tuple(row.values()) for row in rows_of(host, statement)) == [(name, 2.0) for name in names]


def test_namespaces_and_labels_add_up_to_the_host(host: Path) -> None:
    """Each pod counts in one line, also one that changed its group, and what nobody named has a line of its own."""
    whole = (18 * 4 + 42) / 60 + (18 * 0.6 + 42 * 1.5) / 60 + 50 / 60 + 0.01 + (18 * 0.2 + 42) / 60 + (6 * 0.2 + 54) / 60 + 0.1
    for name in ("namespaces.sql", "labels.sql"):
        rows = rows_of(host, BLOCKS[name])
        assert sum(row["mean_cores"] for row in rows) == pytest.approx(whole, abs=0.005)
        assert sum(row["pods"] for row in rows) == len(UIDS)
    assert {row["namespace"] for row in rows_of(host, BLOCKS["namespaces.sql"])} == {"shop", "batch", "kube", "none"}


UIDS = ("u-crunch", "u-web", "u-db", "u-idle", "u-gate", "u-sort", "u-dns")


def test_a_label_whose_key_has_dots_is_quoted(host: Path) -> None:
    """As most of Kubernetes' own are; the plain form would be a path."""
    statement = """SELECT name, labels->>'$."app.kubernetes.io/part-of"' AS part FROM pod WHERE name = 'shop/web'"""
    assert rows_of(host, statement) == [{"name": "shop/web", "part": "shop"}]


def test_a_container_is_there_once_and_is_found_in_a_short_range(host: Path) -> None:
    """Its row of the agent's start was written long before the range; the table itself has the rows of the range alone."""
    statement = "SELECT container_id, name, pod_uid FROM container WHERE name = 'postgres'"
    since = "2023-11-14T22:16:30Z"
    assert json.loads(ask(host, statement, "--json", "--since", since)) == [
        {"container_id": "c-db", "name": "postgres", "pod_uid": "u-db"}
    ]
    assert json.loads(ask(host, "SELECT * FROM container_name", "--json", "--since", since)) == []


def test_the_pod_beside_which_another_suffers_is_found_by_name(host: Path) -> None:
    """Crunch takes four cores in exactly the seconds in which shop/web has little."""
    first = rows_of(host, BLOCKS["beside.sql"])[0]
    assert (first["pod"], first["bad_seconds"], first["cores_then"], first["cores_else"]) == ("batch/crunch", 60, 4.0, 1.0)
