"""agentctl ask over minutes of which some have no sketch: rows of processes answer, and the answer says so."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import IO, Any, cast

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.router_world import BEGIN, HostWorld, S, WorldRow, WorldShape
from fakes.sealed_files import seal
from fakes.stored_data import HOST, row_of
from fakes.stored_world import land, store_world
from obstore.exceptions import BaseError

from agent.lake.bucket import BucketFailure
from agent.lake.commit import AddedFile, LakeCommit, LakeMark, LedgerStep
from agent.lake.folder_bucket import FolderBucket
from agent.lake.log import LakeLog
from agent.model.errors import BusyError
from agent.router import router
from agent.router.answer import RoutedAnswer
from agent.router.cell import WINDOW_NS
from agent.router.lake_source import with_lake
from agent.router.question import METRICS, Kind, PodNames, RoutedQuestion
from agent.store.record import form_of
from workers.resctrl.row import OCCUPANCY

SPAN = ("--since", "2024-01-02T03:00Z", "--until", "2024-01-02T03:03Z")
FIRST = BEGIN // WINDOW_NS

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def world() -> list[WorldRow]:
    """Four minutes of one host, of which everything is known."""
    shape = WorldShape(windows=4, ticks=6, processes=9, unknown=0, restart=0, clock_step=0, keys_max=50)
    return HostWorld(HOST, shape, Random(11)).rows


def values(world: list[WorldRow], metric: str, windows: range = range(3)) -> list[int]:
    """What was measured in these minutes."""
    tables = {"process", "process_tail", *(["process_exit"] if metric == "cpu" else [])}
    rows = [row for row in world if row.table in tables and row.window - FIRST in windows]
    return sorted(value for row in rows for _, _, value in row.values[metric] if value is not None)


def without_sketches(world: list[WorldRow], window: int) -> list[WorldRow]:
    return [row for row in world if row.table != "process_sketch" or row.window != FIRST + window]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Ask as JSON over the folder of the test."""

    def call(kind: str, *words: str) -> dict[str, Any]:
        code, output, warnings = agentctl_here(tmp_path, "ask", kind, *words, *SPAN, "--json")
        assert (code, warnings) == (0, ""), warnings
        found: dict[str, Any] = json.loads(output)
        return found

    return call


@pytest.fixture
def stored(tmp_path: Path, world: list[WorldRow]) -> None:
    """The second minute has no sketches."""
    store_world(tmp_path, without_sketches(world, 1))


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("metric", ["cpu", "rss"])
def test_a_minute_without_its_sketch_is_read_from_rows(ask: Ask, world: list[WorldRow], metric: str) -> None:
    """The truth is inside; the others are read from sketches."""
    found = ask("percentile", "--metric", metric, "--p", "0,50,99,100", "--explain")
    assert (found["covered"], found["total"]) == (3, 3)
    assert found["sources"] == {"sketch": 2, "raw": 1, "unknown": 0}
    assert [(leg["host"], leg["windows"], leg["way"], leg["why"]) for leg in found["explain"]] == [
        (HOST, 1, "sketch", None),
        (HOST, 1, "raw", "no_sketch"),
        (HOST, 1, "sketch", None),
    ]
    (group,) = found["groups"]
    true = values(world, metric)
    for percent, part in (("0", 0.0), ("50", 0.5), ("99", 0.99), ("100", 1.0)):
        interval = group["intervals"][percent]
        assert interval["low"] <= true[int(part * (len(true) - 1))] <= interval["high"]
        assert interval["low"] <= group["percentiles"][percent] <= interval["high"]
    assert group["bounds"]["sum"]["low"] <= sum(true) <= group["bounds"]["sum"]["high"]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(("kind", "number"), [("sum", sum), ("max", max), ("count", len)])
def test_numbers_of_memory_are_exact_from_rows_too(
    ask: Ask, world: list[WorldRow], kind: str, number: Callable[[list[int]], int]
) -> None:
    """Rows and tails add up to everything."""
    (group,) = ask(kind, "--metric", "rss")["groups"]
    true = number(values(world, "rss"))
    assert (group["value"], group["interval"]) == (true, {"low": true, "high": true, "is_exact": True})


@pytest.mark.usefixtures("stored")
def test_the_mean_is_exact_where_sum_and_number_are(ask: Ask, world: list[WorldRow]) -> None:
    """As a number with a fraction."""
    (group,) = ask("avg", "--metric", "rss")["groups"]
    true = values(world, "rss")
    assert group["value"] == pytest.approx(sum(true) / len(true))


@pytest.mark.usefixtures("stored")
def test_storage_is_always_read_from_rows(ask: Ask, world: list[WorldRow]) -> None:
    """It has no sketches."""
    found = ask("max", "--metric", "read")
    assert (found["sources"]["raw"], found["reasons"]) == (3, {"not_sketched": 3})
    (group,) = found["groups"]
    assert group["interval"]["low"] <= max(values(world, "read")) <= group["interval"]["high"]


@pytest.mark.usefixtures("stored")
def test_top_is_a_line_for_each_pod_and_command(ask: Ask) -> None:
    """The largest first."""
    groups = ask("top", "--metric", "cpu")["groups"]
    named = [group for group in groups if not group["is_further"]]
    assert all(set(group) >= {"pod", "command", "value", "interval"} for group in named)
    assert [group["value"] for group in groups] == sorted((group["value"] for group in groups), reverse=True)


@pytest.mark.usefixtures("stored")
def test_rows_are_shown_as_they_are_stored(ask: Ask, tmp_path: Path, world: list[WorldRow]) -> None:
    """The newest first, and no more than are asked for."""
    rows = ask("rows", "--metric", "cpu", "--lines", "4", "--command", "a")["rows"]
    stored = [
        row for row in world if row.table == "process" and row.columns["comm"] == "a" and BEGIN <= row.at_ns < BEGIN + 180 * S
    ]
    assert [row["timestamp"] for row in rows] == sorted((row.at_ns for row in stored), reverse=True)[:4]
    assert {row["comm"] for row in rows} == {"a"}
    code, output, _ = agentctl_here(tmp_path, "ask", "rows", "--metric", "rss", *SPAN)
    assert (code, output.split("\n")[0].split()) == (0, ["TIME", "HOST", "POD", "COMMAND", "PID", "RSS"])
    code, _, warnings = agentctl_here(tmp_path, "ask", "rows", "--metric", "rss", *SPAN, "--command", "none")
    assert (code, "no row that was asked for is in this time" in warnings) == (69, True)


@pytest.mark.usefixtures("stored")
def test_people_see_the_interval_and_the_ways(tmp_path: Path) -> None:
    """Behind the number where it is wide, and below the table what was read."""
    code, output, _ = agentctl_here(tmp_path, "ask", "percentile", "--metric", "cpu", "--by", "host", *SPAN, "--explain")
    assert code == 0
    assert "3 of 3 minutes of hosts covered: 2 by sketches, 1 by raw rows; --explain says which" in output
    assert "1 minute: no sketch of the window is stored" in output
    assert "whole sketches" in output.splitlines()[-1]
    code, _, warnings = agentctl_here(tmp_path, "ask", "sum", "--metric", "cpu", "--host", "other-*", *SPAN)
    assert (code, "`--by host` shows which hosts there are" in warnings) == (69, True)


def test_rows_that_are_lost_are_known_by_their_number_and_sum(ask: Ask, tmp_path: Path, world: list[WorldRow]) -> None:
    """Of a minute whose sketches and tails are gone."""
    kept = [row for row in without_sketches(world, 1) if row.table != "process_tail" or row.window != FIRST + 1]
    store_world(tmp_path, kept)
    found = ask("percentile", "--metric", "rss", "--p", "50")
    assert found["sources"] == {"sketch": 2, "raw": 1, "unknown": 0}
    (group,) = found["groups"]
    true = values(world, "rss")
    assert group["intervals"]["50"]["low"] <= true[(len(true) - 1) // 2] <= group["intervals"]["50"]["high"]
    assert group["bounds"]["sum"] == {"low": sum(true), "high": sum(true), "is_exact": True}


def test_a_minute_of_which_nothing_is_left_is_unknown(ask: Ask, tmp_path: Path, world: list[WorldRow]) -> None:
    """Its values are in no number, and the answer says so."""
    store_world(tmp_path, [row for row in world if row.window != FIRST + 1])
    found = ask("sum", "--metric", "rss")
    assert (found["covered"], found["total"], found["reasons"]) == (2, 3, {"ticks_missing": 1})
    assert found["groups"][0]["value"] == sum(values(world, "rss", range(0, 3, 2)))


def test_cache_and_bandwidth_are_of_pods(ask: Ask, tmp_path: Path) -> None:
    """From table occupancy, each pod and tick a value."""
    rows = [
        row_of(OCCUPANCY, {
            "timestamp": BEGIN + tick * 10 * S, "pod_uid": pod, "resctrl_group": "g", "llc_occupancy_bytes": size * (tick + 1),
            "mbm_total_bytes_per_second": 1000.0 * tick if tick else None,
        })
        for tick in range(19) for pod, size in (("u1", 100), ("u2", 10))
    ]  # fmt: skip
    seal(tmp_path, "occupancy", 1, rows, form=form_of(OCCUPANCY))
    found = ask("max", "--metric", "llc", "--by", "pod")
    assert [(group["pod"], group["value"]) for group in found["groups"]] == [("u1", 1800), ("u2", 180)]
    assert (found["unit"], found["sources"]["raw"]) == ("bytes", 3)
    (group,) = ask("avg", "--metric", "bandwidth", "--pod", "u1")["groups"]
    assert (group["values"], group["value"]) == (17, 9000)
    assert len(ask("rows", "--metric", "llc", "--pod", "u2")["rows"]) == 18


# ---- a fleet's store ----


def lake_of(tmp_path: Path, world: list[WorldRow]) -> Path:
    """A store with the landing files of this host."""
    lake = tmp_path / "lake"
    land(lake, store_world(tmp_path / "state", world), HOST)
    return lake


def ask_lake(tmp_path: Path, lake: Path, kind: str, *words: str) -> dict[str, Any]:
    code, output, warnings = agentctl_here(tmp_path, "ask", kind, *words, *SPAN, "--json", "--lake", f"file://{lake}")
    assert code == 0, warnings
    found: dict[str, Any] = json.loads(output)
    return found


def test_a_store_answers_as_the_host_does(ask: Ask, tmp_path: Path, world: list[WorldRow]) -> None:
    """From the files that sinks have put there."""
    store_world(tmp_path, without_sketches(world, 1))
    lake = lake_of(tmp_path, without_sketches(world, 1))
    here, there = (
        ask("percentile", "--metric", "cpu", "--by", "host"),
        ask_lake(tmp_path, lake, "percentile", "--metric", "cpu", "--by", "host"),
    )
    assert there["groups"] == here["groups"]
    assert there["sources"] == here["sources"] == {"sketch": 2, "raw": 1, "unknown": 0}


def test_each_row_counts_once_whatever_was_compacted(tmp_path: Path, world: list[WorldRow]) -> None:
    """A landing file whose rows are in a merged one is passed over."""
    lake = lake_of(tmp_path, world)
    before = ask_lake(tmp_path, lake, "sum", "--metric", "rss")
    landed = next(path for path in (lake / "process_sketch").rglob("*.parquet"))
    merged = "_merged/process_sketch/date=2024-01-02/k-1.parquet"
    (lake / merged).parent.mkdir(parents=True)
    (lake / merged).write_bytes(landed.read_bytes())
    name = str(landed.relative_to(lake))
    added = AddedFile(merged, "process_sketch", "2024-01-02", 1, landed.stat().st_size, None, None, HOST, HOST)
    commit = LakeCommit(adds=(added,), consumed=(name,), ledgers={"process_sketch/2024-01-02": LedgerStep()})
    LakeLog(FolderBucket(str(lake)), by="test").append(lambda state: commit)
    assert ask_lake(tmp_path, lake, "sum", "--metric", "rss")["groups"] == before["groups"]
    landed.unlink()
    assert ask_lake(tmp_path, lake, "sum", "--metric", "rss")["groups"] == before["groups"]


def test_a_mark_that_is_lower_sends_a_minute_to_its_rows(tmp_path: Path, world: list[WorldRow]) -> None:
    """Unless counts prove that its sketch is whole; so a lost mark costs nothing but speed."""
    doubtful = [row for row in world if row.table != "process_scan" or not row.columns.update(absent="incomplete")]
    lake = lake_of(tmp_path, doubtful)
    log = LakeLog(FolderBucket(str(lake)), by="test")
    log.append(lambda state: LakeCommit(marks={"process_sketch": {HOST: LakeMark(BEGIN + 150 * S)}}))
    found = ask_lake(tmp_path, lake, "sum", "--metric", "rss", "--explain")
    assert found["sources"]["raw"] > 0
    assert found["reasons"] == {"not_settled": found["sources"]["raw"]}
    log.append(lambda state: LakeCommit(marks={"process_sketch": {HOST: LakeMark(BEGIN + 900 * S)}}))
    assert ask_lake(tmp_path, lake, "sum", "--metric", "rss")["sources"]["sketch"] == 3


class _FailingBucket(FolderBucket):
    """Reading its sketches fails so often, as it is told."""

    def __init__(self, folder: Path, failure: Exception, times: int) -> None:
        super().__init__(str(folder))
        self._told, self._times = failure, times

    def open(self, name: str) -> IO[bytes]:
        if name.startswith("process_sketch/") and self._times:
            self._times -= 1
            return cast("IO[bytes]", _FailingFile(self._told))
        return super().open(name)


class _FailingFile(io.RawIOBase):
    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self._failure = failure

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        raise self._failure

    def tell(self) -> int:
        raise self._failure


def asked_of(bucket: FolderBucket) -> RoutedAnswer:
    question = RoutedQuestion(Kind.SUM, METRICS["rss"], BEGIN, BEGIN + 180 * S)
    ask = lambda rows: router.ask(rows, question, PodNames(), BEGIN + 240 * S)  # noqa: E731  as it is handed over
    return with_lake(bucket, question.since_ns, question.until_ns, ask)


def test_a_file_that_goes_while_it_is_read_makes_a_newer_snapshot(tmp_path: Path, world: list[WorldRow]) -> None:
    """A few times; a store that fails otherwise is named, and no file is taken for damaged."""
    lake = lake_of(tmp_path, world)
    assert asked_of(_FailingBucket(lake, FileNotFoundError(), 1)).coverage.sketch == 3
    with pytest.raises(BusyError, match="files went while they were read"):
        asked_of(_FailingBucket(lake, FileNotFoundError(), 99))
    with pytest.raises(BucketFailure, match="it cannot be read"):
        asked_of(_FailingBucket(lake, BaseError("no route"), 99))
    found = asked_of(_FailingBucket(lake, OSError("bad page"), 99))
    assert (found.coverage.raw, len(found.warnings)) == (3, 1)


def test_a_file_that_is_none_is_named_and_left_out(tmp_path: Path, world: list[WorldRow]) -> None:
    """And a store that is not there is an error."""
    lake = lake_of(tmp_path, world)
    for path in (lake / "process_sketch").rglob("*.parquet"):
        path.write_bytes(b"PAR1 nonsense")
    code, output, warnings = agentctl_here(tmp_path, "ask", "sum", "--metric", "rss", *SPAN, "--json", "--lake", f"file://{lake}")
    assert (code, json.loads(output)["sources"]["raw"]) == (0, 3)
    assert "process_sketch" in warnings
    code, _, warnings = agentctl_here(tmp_path, "ask", "sum", "--metric", "rss", "--lake", "configured")
    assert (code, "the settings name no lake.url" in warnings) == (64, True)
