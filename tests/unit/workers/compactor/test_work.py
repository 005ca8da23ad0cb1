"""The compactor's work: when a round starts, what is reported, and what becomes of one that fails."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from fakes.bus import RecordingBus

from agent.model.errors import EvergaugeError, StorageError
from agent.model.timebase import MINUTE, S
from workers.compactor.attempts import ATTEMPTS_FILE, TRIES_MAX, CompactionAttempts
from workers.compactor.order import ORDER_FILE, LakeOrder, decode_order
from workers.compactor.report import LakeReport, PassedFile
from workers.compactor.work import FIRST_NS, PASSED_MAX, RETRY_MOST_NS, ROUND_NS_MAX, CompactorParts, CompactorWork


class ScriptedRound:
    """A round that ends when the test says so."""

    def __init__(self) -> None:
        self.end: LakeReport | EvergaugeError | None = None
        self.is_closed = False

    def descriptors(self) -> tuple[int, ...]:
        return (77,)

    def poll(self) -> LakeReport | EvergaugeError | None:
        return self.end

    def kill(self) -> None:
        self.end = StorageError("the fleet's store", "compaction was killed by SIGKILL")

    def close(self) -> None:
        self.is_closed = True


class WorkStory:
    """The work with rounds that a test ends."""

    def __init__(self, folder: Path, launch: Callable[[str], ScriptedRound] | None = None) -> None:
        self.bus = RecordingBus()
        self.folder = folder
        self.rounds: list[ScriptedRound] = []
        self.now_ns = 0
        parts = CompactorParts(
            str(folder), 5 * MINUTE, lambda passed: LakeOrder({"lake.url": "x"}, "me", passed), launch or self._launch, Random(1)
        )
        self.work = CompactorWork(parts, self.bus)
        self.work.on_start(0)

    def _launch(self, _folder: str) -> ScriptedRound:
        self.rounds.append(ScriptedRound())
        return self.rounds[-1]

    def go_on(self) -> None:
        """To the next deadline."""
        due_ns = self.work.next_deadline_ns()
        assert due_ns is not None
        self.now_ns = due_ns
        self.work.on_timer(due_ns)

    def end(self, end: LakeReport | EvergaugeError) -> None:
        """Of the round under way."""
        self.rounds[-1].end = end
        self.work.on_readable(77, self.now_ns)

    @property
    def conditions(self) -> dict[str, str]:
        """What holds."""
        held: dict[str, str] = {}
        for each in self.bus.conditions:
            held.pop(each.kind, None)
            if each.active:
                held[each.kind] = each.detail
        return held


def test_a_round_starts_soon_and_then_in_each_interval(tmp_path: Path) -> None:
    """With an order that has what could not be used before."""
    story = WorkStory(tmp_path / "compactor")
    first_ns = story.work.next_deadline_ns()
    assert first_ns is not None
    assert 0 <= first_ns < FIRST_NS
    assert story.work.interests() == ()
    story.go_on()
    assert [interest.descriptor for interest in story.work.interests()] == [77]
    story.work.on_readable(77, story.now_ns)
    assert len(story.rounds) == 1
    story.end(LakeReport(jobs=1, sources=3, files=1, rows=9, passed=[PassedFile("a", 4, "damaged", is_damaged=True)]))
    assert story.work.next_deadline_ns() == story.now_ns + 5 * MINUTE
    story.go_on()
    order = decode_order((tmp_path / "compactor" / ORDER_FILE).read_bytes())
    assert order == LakeOrder({"lake.url": "x"}, "me", {"a": 4})
    assert {key: story.work.stats()[key] for key in ("rounds", "jobs", "rows", "passed")} == {
        "rounds": 1, "jobs": 1, "rows": 9, "passed": 1,
    }  # fmt: skip


def test_what_a_round_did_is_told(tmp_path: Path) -> None:
    """Files that are left once, and damaged ones as long as they are there."""
    story = WorkStory(tmp_path)
    damaged = [PassedFile("a", 4, "its bytes", is_damaged=True), PassedFile("b", 4, "its bytes", is_damaged=True)]
    for _ in range(2):
        story.go_on()
        story.end(LakeReport(jobs=1, passed=[*damaged, PassedFile("c", 1, "foreign")], problem="busy"))
    assert [note.kind for note in story.bus.notes] == ["lake_file_left"] * 3 + ["lake_compacted"] * 2
    assert story.conditions["lake_files_left"].startswith("a (and 1 more) is left as it is: its bytes")
    assert "busy" in story.conditions["lake_cleaning"]
    story.go_on()
    story.end(LakeReport())
    assert set(story.conditions) == {"lake_files_left"}


def test_a_round_of_another_compactor_is_no_failure(tmp_path: Path) -> None:
    """It is counted, and tried again in the next interval."""
    story = WorkStory(tmp_path)
    story.go_on()
    story.end(LakeReport(holder="another"))
    assert (story.work.stats()["rounds_elsewhere"], story.work.stats()["rounds"]) == (1, 0)
    assert story.conditions == {}


def test_a_round_that_fails_is_tried_again_after_a_growing_time(tmp_path: Path) -> None:
    """And the sentence is a condition until one is done."""
    story = WorkStory(tmp_path)
    delays = []
    for _ in range(14):
        story.go_on()
        story.end(StorageError("s3://b", "it is not there"))
        due_ns = story.work.next_deadline_ns()
        assert due_ns is not None
        delays.append(due_ns - story.now_ns)
    assert delays[0] <= 10 * S
    assert delays[-1] >= RETRY_MOST_NS // 2
    assert max(delays) <= RETRY_MOST_NS
    assert story.conditions["lake_compaction"] == "the fleet's store is not compacted: s3://b: it is not there"
    story.go_on()
    story.end(LakeReport())
    assert story.conditions == {}
    assert story.work.stats()["rounds_failed"] == 14


def test_a_day_that_ends_its_round_each_time_is_named(tmp_path: Path) -> None:
    """With what may help; a folder that cannot be read names none."""
    story = WorkStory(tmp_path)
    for day in ("process/1", "host/1"):
        for _ in range(TRIES_MAX):
            CompactionAttempts(str(tmp_path / ATTEMPTS_FILE)).begin(day)
    story.go_on()
    story.end(StorageError("store", "killed"))
    assert "it was at host/1 (and 1 more) each time: raise" in story.conditions["lake_compaction"]
    (tmp_path / ATTEMPTS_FILE).unlink()
    story.go_on()
    story.end(StorageError("store", "killed"))
    assert "each time" not in story.conditions["lake_compaction"]


def test_a_round_that_never_ends_is_ended(tmp_path: Path) -> None:
    """After some hours."""
    story = WorkStory(tmp_path)
    story.go_on()
    begun_ns = story.now_ns
    while not story.work.stats()["rounds_failed"]:
        story.go_on()
    assert begun_ns + ROUND_NS_MAX < story.now_ns <= begun_ns + ROUND_NS_MAX + 2 * MINUTE
    assert "SIGKILL" in story.conditions["lake_compaction"]


def test_a_round_that_cannot_be_started_is_a_failure(tmp_path: Path) -> None:
    """No process, or no room for its order."""

    def refuse(_folder: str) -> ScriptedRound:
        raise StorageError("python", "no process can be started")

    story = WorkStory(tmp_path, refuse)
    story.go_on()
    assert "no process" in story.conditions["lake_compaction"]
    (tmp_path / "file").write_bytes(b"")
    story = WorkStory(tmp_path / "file")
    story.go_on()
    assert "cannot be written" in story.conditions["lake_compaction"]


def test_a_stop_ends_the_round_under_way(tmp_path: Path) -> None:
    """The next one goes on."""
    story = WorkStory(tmp_path)
    story.go_on()
    story.work.on_stop(story.now_ns, for_good=True)
    assert story.rounds[0].is_closed
    assert (story.work.is_done(), story.work.next_deadline_ns(), story.work.interests()) == (True, None, ())
    WorkStory(tmp_path).work.on_stop(0, for_good=True)


@pytest.mark.parametrize("count", [PASSED_MAX + 5])
def test_a_bounded_number_of_left_files_is_remembered(tmp_path: Path, count: int) -> None:
    """The first of them are looked at again."""
    story = WorkStory(tmp_path)
    story.go_on()
    story.end(LakeReport(passed=[PassedFile(f"f{number}", 1, "foreign") for number in range(count)]))
    assert story.work.stats()["passed"] == PASSED_MAX
