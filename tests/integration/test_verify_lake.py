"""`agentctl verify` over a lake of files: what sketches and raw rows say alike, and what they do not."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.topic_rows import filled_row, message_of
from msgspec.structs import asdict

from agent.lake.folder_bucket import FolderBucket
from agent.lake.known_columns import KnownColumns
from agent.lake.log import LakeLog
from agent.model.sketch import Sketch
from agent.model.table import Table, Value
from agent.model.timebase import MINUTE, S
from workers.merger.decoding import decode
from workers.merger.effect import CommitRows, OffsetRange, TakenMessage, TopicPartition
from workers.merger.files_store import FilesStore
from workers.merger.outcome import Stored
from workers.process.schema import PROCESS, PROCESS_EXIT, PROCESS_RAW, PROCESS_SCAN, PROCESS_SKETCH, PROCESS_TAIL
from workers.registry import tables

TICKS = 3
PLACE = TopicPartition("proc.raw.v1", 0)


class WrittenLake:
    """A lake to which rows of tables are written as a merger writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bucket = FolderBucket(str(folder))
        self._known = KnownColumns(tables())
        self._store = FilesStore(bucket, LakeLog(bucket, "test"), self._known)
        self._messages: list[TakenMessage] = []

    def write(self, host: str, table: Table, row: Mapping[str, Value]) -> None:
        """A message of one row, for `verify`."""
        headers, value = message_of(host, 1, [filled_row(table, dict(row))], table)
        self._messages.append(TakenMessage(PLACE, len(self._messages), tuple(headers), b"", value))

    def verify(self, *words: str) -> tuple[int, str, str]:
        """Everything in one commit, and then what the program says of it."""
        commit = CommitRows((OffsetRange(PLACE, 0, len(self._messages) + 1),), tuple(self._messages))
        assert isinstance(self._store.commit(decode(commit, self._known)), Stored)
        return self.verify_again(*words)

    def verify_again(self, *words: str) -> tuple[int, str, str]:
        """What the program says."""
        return agentctl_here(self.folder, "verify", "--lake", f"file://{self.folder}", *words)

    def write_window(self, host: str, start_ns: int, *, wrong: int = 0, has_sketch: bool = True) -> None:
        """A window of one named process, two others, and a dead one; `wrong`: added to a value of the named one's sketch."""
        cpu, rss = Sketch(), Sketch()
        for tick in range(TICKS):
            at, named = start_ns + tick * S, 10**9 + tick * 10**7
            self.write(host, PROCESS_SCAN, {"timestamp": at, "processes": 3})
            self.write(
                host, PROCESS, {"timestamp": at, "pid": 1, "comm": "a", "pod_uid": "u", "cpu_ns": named, "rss_bytes": 1 << 30}
            )
            tail = {"processes": 2, "cpu_ns": 30, "cpu_largest_ns": 20, "rss_bytes": 300, "rss_largest_bytes": 200}
            self.write(host, PROCESS_TAIL, {"timestamp": at, "pod_uid": "u", "command": "a", "commands": 1, **tail})
            self.write(host, PROCESS_EXIT, {"timestamp": at, "pod_uid": "u", "command": "a", "deaths": 1, "cpu_ns": 7 + tick})
            for value in (named + wrong, 20, 10, 7 + tick):
                cpu.add(value)
            for value in (1 << 30, 200, 100):
                rss.add(value)
        self.write(host, PROCESS_EXIT, {"timestamp": start_ns, "pod_uid": "u", "command": "b", "deaths": 1})
        for metric, sketch in (("cpu", cpu), ("rss", rss)):
            row: dict[str, Value] = {
                "timestamp": start_ns + MINUTE,
                "window_start": start_ns,
                "window_ns": MINUTE,
                "pod_uid": "u",
                "command": "a",
            }
            if has_sketch:
                self.write(
                    host, PROCESS_SKETCH, {**row, "metric": metric, "ticks": TICKS, "keys": 1, **asdict(sketch.to_columns())}
                )


@pytest.fixture
def lake(tmp_path: Path) -> WrittenLake:
    """An empty one."""
    (tmp_path / "lake").mkdir()
    return WrittenLake(tmp_path / "lake")


def window_ago(minutes: int) -> int:
    """The beginning of a window of so many minutes ago."""
    import time

    return (time.time_ns() // MINUTE - minutes) * MINUTE


def test_windows_that_agree_are_counted(lake: WrittenLake) -> None:
    """Of all hosts; those that cannot be compared are counted with the reason."""
    start = window_ago(10)
    lake.write_window("one", start)
    lake.write_window("two", start + MINUTE)
    lake.write_window("three", start, has_sketch=False)
    lake.write_window("old", window_ago(200), wrong=10**9)
    code, output, errors = lake.verify()
    assert (code, errors) == (0, "")
    assert output == "2 windows of 3 hosts compared: none differs\nnot compared: 1 window with no sketches\n"


@pytest.mark.runbook("Lake")
def test_what_differs_is_named(lake: WrittenLake) -> None:
    """By host, window, unit, command and bucket."""
    lake.write_window("one", window_ago(10))
    lake.write_window("two", window_ago(9), wrong=10**9)
    code, output, _ = lake.verify("--json")
    assert code == 1
    found = json.loads(output)
    assert (found["compared"], found["with_differences"]) == (2, 1)
    assert {(each["host"], each["pod_uid"], each["command"], each["metric"]) for each in found["differences"]} == {
        ("two", "u", "a", "cpu")
    }
    assert sum(each["bucket"] is not None for each in found["differences"]) > 1
    code, output, _ = lake.verify_again()
    assert code == 1
    assert "1 values in raw rows, 0 in the sketch" in " ".join(output.split())
    assert "u a" in output


def test_raw_values_belong_to_the_whole(lake: WrittenLake) -> None:
    """Where no sketch could be built; with rows missing only a part is compared."""
    start = window_ago(10)
    lake.write_window("one", start)
    lake.write("one", PROCESS, {"timestamp": start, "pid": 2, "comm": "a", "pod_uid": "u", "cpu_ns": 99, "rss_bytes": 98})
    for metric, value in (("cpu", 99), ("rss", 98)):
        row: dict[str, Value] = {"timestamp": start, "window_start": start, "pod_uid": "u", "command": "a", "metric": metric}
        lake.write("one", PROCESS_RAW, {**row, "value": value, "times": 1})
    lake.write(
        "two",
        PROCESS_SKETCH,
        {"timestamp": start + MINUTE, "window_start": start, "metric": "cpu", "ticks": 9, "pod_uid": "u", "count": 5},
    )
    lake.write("two", PROCESS_SCAN, {"timestamp": start})
    code, output, _ = lake.verify("--since", "30m", "--until", "1m")
    assert code == 1
    assert "1 rows hold no sketch" in " ".join(output.split())


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--since", "1m", "--until", "2m")])
def test_times_that_are_none_are_refused(lake: WrittenLake, words: tuple[str, ...]) -> None:
    """With how to write them."""
    assert lake.verify_again(*words)[0] == 64


def test_a_store_must_be_named(tmp_path: Path) -> None:
    """With what it may be."""
    code, _, errors = agentctl_here(tmp_path, "verify")
    assert code == 78
    assert "lake.url" in errors
