"""Compaction by a real writer with real processes, over days that pass by its clock."""

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet
import pytest
from fakes.failpoints import arm
from fakes.interests import ready_of
from fakes.sender import SAMPLE
from fakes.small_disk import mounted
from fakes.writer_host import WriterHost
from harness.proc import is_stopped

from agent.cli.sealed_check import FileState, check_file
from agent.config import Config
from agent.failpoint import VARIABLE
from agent.model.timebase import DAY, HOUR, MINUTE, MS, S
from agent.store.digest import DigestVerdict, check_digest
from agent.store.install import read_install
from agent.store.sealed import wanted_of
from agent.store.segment import generation_of
from workers.writer.compacting import start_compactor
from workers.writer.compaction_plan import LATE_FILES_MIN
from workers.writer.compactor_order import Order

NewHost = Callable[..., WriterHost]
NUMBERS = "select number, count(*) from {sample} group by 1 order by 1"
OFF: dict[str, int | str | bool] = {"writer.compaction": False}
# The compactor has the lowest priority: beside other tests it gets little of a processor.
DEADLINE_SECONDS = 50


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[NewHost]:
    """Makes hosts whose writer has started, with these settings."""
    hosts: list[WriterHost] = []

    def make(values: dict[str, int | str | bool] | None = None, state: Path = tmp_path / "state") -> WriterHost:
        hosts.append(WriterHost(state, values))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of failpoints for the processes that a writer starts."""
    points = tmp_path / "points"
    points.mkdir()
    monkeypatch.setenv(VARIABLE, str(points))
    return points


def days(host: WriterHost) -> dict[str, list[str]]:
    """The files of each day of table `sample`."""
    folders = sorted((host.state / "data" / "sample").iterdir())
    return {folder.name: sorted(os.listdir(folder)) for folder in folders}


def measure_days(host: WriterHost, count: int, seals: int = 3) -> int:
    """So many days, each with some sealed files; the number of batches, each of 40 rows."""
    sender = host.sender()
    host.clock.advance(DAY - host.clock.wall_ns() % DAY)
    for _ in range(count):
        for _ in range(seals):
            host.measure(sender, 3)
            host.rotate()
            host.clock.advance(HOUR)
        host.clock.advance(DAY - host.clock.wall_ns() % DAY + MINUTE)
    return sender.seq


def turn_on(host: WriterHost) -> None:
    """The next writer, which compacts."""
    host.config = Config({})
    host.start()


def compacted(host: WriterHost) -> int:
    """How many days were compacted so far."""
    count: int = host.stats()["compaction"]["days"]
    return count


def turn_until(host: WriterHost, condition: Callable[[], bool]) -> None:
    """Turn, with time that passes, until something holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"the condition never came: {host.stats()['compaction']}, {host.bus.conditions}"
        ready_of(host.work.interests(), 0.02)
        host.clock.advance(50 * MS)
        host.turn()


def stop_compactor(host: WriterHost, points: Path, point: str) -> int:
    """The next writer, which compacts, up to where its compactor stands still at this point; the number of that process."""
    armed = arm(points, point, "stop")
    turn_on(host)
    turn_until(host, lambda: not armed.exists())
    pid: int = host.work._archive._compacting._running.pid
    # It stops itself after it took the order: continued before that, it would stand still for ever.
    turn_until(host, lambda: is_stopped(pid))
    return pid


def test_finished_days_become_one_file_each(new_host: NewHost) -> None:
    """Every day before today, each row once and in order; today's files stay."""
    host = new_host(OFF)
    batches = measure_days(host, 3)
    turn_on(host)
    host.rotate()
    turn_until(host, lambda: compacted(host) == 3)
    found = days(host)
    assert [len(files) for files in found.values()] == [1, 1, 1]
    assert all("-day-" in files[0] for files in found.values())
    assert host.query(NUMBERS) == [(number, 40) for number in range(1, batches + 1)]
    assert not list((host.state / "compacting").iterdir())
    assert host.bus.conditions == []


class PatternReader:
    """A program of somebody else: it reads a pattern over the data folder again and again, while days change."""

    def __init__(self, host: WriterHost, expected: list[tuple[int, int]]) -> None:
        self._pattern = f"{host.state}/data/sample/*/*.parquet"
        self._expected = expected
        self.wrong: list[list[tuple[int, int]]] = []
        self.good = self.refused = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "PatternReader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(DEADLINE_SECONDS)

    def _read(self) -> None:
        connection = duckdb.connect()
        # A little less than all the time, so that the compactor, which has the lowest priority, gets on.
        while not self._is_over.wait(0.005):
            try:
                question = f"SELECT number, count(*) FROM '{self._pattern}' GROUP BY 1 ORDER BY 1"
                found = connection.execute(question).fetchall()
            except duckdb.Error:
                # A file that it had listed is gone: it begins again.
                self.refused += 1
                continue
            self.good += 1
            if found != self._expected:
                self.wrong.append(found)


def test_a_foreign_reader_sees_each_row_once_at_any_moment(new_host: NewHost) -> None:
    """Every read that succeeds has all rows once, whatever is exchanged meanwhile."""
    host = new_host(OFF)
    batches = measure_days(host, 6)
    with PatternReader(host, [(number, 40) for number in range(1, batches + 1)]) as reader:
        turn_on(host)
        turn_until(host, lambda: compacted(host) == 6)
        good = reader.good
        turn_until(host, lambda: reader.good > good)
    assert reader.wrong == []


def test_late_rows_have_files_of_their_own_until_they_are_many(new_host: NewHost) -> None:
    """Rows of a finished day come again and again: fifteen files lie beside the day's, the sixteenth makes one of all."""
    host = new_host(OFF)
    batches = measure_days(host, 1)
    turn_on(host)
    turn_until(host, lambda: compacted(host) == 1)
    (day,) = days(host)
    sender = host.sender(epoch=2)
    late_ns = host.clock.wall_ns() - DAY
    for number in range(1, LATE_FILES_MIN + 1):
        host.peer.put(sender.who, sender.offer(late_ns + number * MINUTE, 40))
        host.turn()
        host.rotate()
        turn_until(host, lambda: not host.work._archive._compacting.is_busy)
        if number < LATE_FILES_MIN:
            assert (len(days(host)[day]), compacted(host)) == (1 + number, 1)
    turn_until(host, lambda: compacted(host) == 2)
    assert len(days(host)[day]) == 1
    assert host.query("select count(*) from {sample}") == [((batches + LATE_FILES_MIN) * 40,)]


def test_days_are_in_order_with_what_they_are_made_of(new_host: NewHost) -> None:
    """The metadata name segments and runs, rows are in the order of time, and the file is proved by its digest."""
    host = new_host(OFF)
    measure_days(host, 1)
    turn_on(host)
    turn_until(host, lambda: compacted(host) == 1)
    (path,) = host.state.glob("data/sample/*/*.parquet")
    table = pyarrow.parquet.ParquetFile(path).read()
    times = table.column("timestamp").to_pylist()
    assert times == sorted(times)
    marks = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert (marks["table"], marks["runs"], marks["sources"], marks["schema_version"]) == ("sample", "run-1", "3", "3")
    assert len(marks["segments"].split()) == 3
    assert path.name.endswith(f"-day-{marks['segment']}.parquet")
    assert generation_of(marks["segment"]) == max(map(generation_of, marks["segments"].split()))
    descriptor = os.open(path, os.O_RDONLY)
    assert check_digest(descriptor) is DigestVerdict.GOOD
    os.close(descriptor)
    (note,) = [note for note in host.bus.notes if note.kind == "compacted"]
    assert (note.fields["files"], note.fields["rows"]) == (3, 360)


@pytest.mark.runbook("Compaction")
def test_a_damaged_file_leaves_its_day_as_it_is_and_is_named(new_host: NewHost) -> None:
    """No row is taken from a file whose bytes have changed; the other days are compacted, and the condition ends with its cause."""
    host = new_host(OFF)
    measure_days(host, 2)
    first, second = sorted((host.state / "data" / "sample").iterdir())
    damaged = sorted(first.iterdir())[1]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    turn_on(host)
    turn_until(host, lambda: compacted(host) == 1 and bool(host.bus.conditions))
    assert (len(list(first.iterdir())), len(list(second.iterdir()))) == (3, 1)
    (condition,) = host.bus.conditions
    assert condition.kind == "compaction_damage"
    assert damaged.name in condition.detail
    assert "its bytes are not those that were sealed" in condition.detail
    damaged.unlink()
    host.clock.advance(DAY)
    host.turn()
    host.clock.advance(HOUR)
    turn_until(host, lambda: compacted(host) == 2 and not host.bus.conditions[-1].active)


@pytest.mark.runbook("Compaction")
def test_a_strangers_file_leaves_its_day_as_it_is_and_is_told_once(new_host: NewHost) -> None:
    """It stays where somebody has put it; when it has gone the day is compacted."""
    host = new_host(OFF)
    measure_days(host, 1)
    (folder,) = (host.state / "data" / "sample").iterdir()
    stranger = folder / "mine.parquet"
    stranger.write_bytes(b"mine")
    turn_on(host)
    turn_until(host, lambda: any(note.kind == "day_not_compacted" for note in host.bus.notes))
    host.clock.advance(DAY)
    host.turn()
    (note,) = [note for note in host.bus.notes if note.kind == "day_not_compacted"]
    assert str(note.fields["path"]) == str(stranger)
    assert (stranger.read_bytes(), len(list(folder.iterdir()))) == (b"mine", 4)
    stranger.unlink()
    host.clock.advance(DAY)
    turn_until(host, lambda: compacted(host) == 1)


def test_a_seal_ends_the_compactor_and_the_day_is_taken_up_again(new_host: NewHost, points: Path) -> None:
    """Rows in the spool come first; it is only counted."""
    host = new_host(OFF)
    batches = measure_days(host, 1)
    stop_compactor(host, points, "compactor.window_written")
    host.measure(host.sender(epoch=2), 1)
    assert host.rotate()["rows"] > 0
    assert (host.stats()["compaction"]["given_up"], compacted(host)) == (1, 0)
    turn_until(host, lambda: compacted(host) == 1)
    assert host.query("select count(*) from {sample} where epoch = 1") == [(batches * 40,)]
    assert host.bus.conditions == []


class LatelyKilled:
    """A compactor that comes to its end before it can be ended."""

    def __init__(self, order: Order | str) -> None:
        self._compaction = start_compactor(order)
        self.descriptors, self.poll, self.close = self._compaction.descriptors, self._compaction.poll, self._compaction.close

    def kill(self) -> None:
        """Too late."""
        os.waitid(os.P_PIDFD, self.descriptors()[0], os.WEXITED | os.WNOWAIT)
        self._compaction.kill()


def test_a_day_that_is_done_when_its_compactor_is_ended_is_counted_and_told(new_host: NewHost) -> None:
    """A seal is due in the moment in which the compactor has made its report."""
    host = new_host(OFF)
    measure_days(host, 1)
    host.config = Config({})
    host.start(compact=LatelyKilled)
    turn_until(host, lambda: host.work._archive._compacting.is_busy)
    host.measure(host.sender(epoch=2), 1)
    assert host.rotate()["rows"] > 0
    assert (host.stats()["compaction"]["given_up"], compacted(host)) == (1, 1)
    assert [note.fields["rows"] for note in host.bus.notes if note.kind == "compacted"] == [360]


def test_a_writer_that_stops_does_not_wait_for_a_compactor(new_host: NewHost, points: Path) -> None:
    """The next writer cleans up and begins again."""
    host = new_host(OFF)
    measure_days(host, 1)
    stop_compactor(host, points, "compactor.window_written")
    host.work.on_stop(host.clock.now_ns(), for_good=True)
    turn_until(host, host.work.is_done)
    host.start()
    turn_until(host, lambda: compacted(host) == 1)
    assert not list((host.state / "compacting").iterdir())


def test_without_compaction_nothing_is_compacted(new_host: NewHost) -> None:
    """The setting turns it off."""
    host = new_host(OFF)
    measure_days(host, 2)
    host.start()
    host.turn()
    assert host.stats()["compaction"] == {
        "days": 0, "rows": 0, "files": 0, "given_up": 0, "enabled": False, "last_problem": ""
    }  # fmt: skip
    assert [len(files) for files in days(host).values()] == [3, 3]


def test_what_a_killed_compactor_left_is_finished_also_without_compaction(new_host: NewHost, points: Path) -> None:
    """A file that came at the last moment lies among the sources: it goes back, although no day is compacted any more."""
    host = new_host(OFF)
    measure_days(host, 1)
    (folder,) = (host.state / "data" / "sample").iterdir()
    arm(points, "compactor.exchanged", "kill")
    compactor = stop_compactor(host, points, "compactor.before_exchange")
    (folder / "mine.parquet").write_bytes(b"mine")
    host.config = Config(OFF)
    os.kill(compactor, signal.SIGCONT)
    turn_until(host, lambda: not (points / "compactor.exchanged").exists())
    assert not (folder / "mine.parquet").exists()
    host.start()
    turn_until(host, lambda: not list((host.state / "compacting").iterdir()))
    assert (folder / "mine.parquet").read_bytes() == b"mine"


def test_the_reader_group_may_read_what_was_compacted(new_host: NewHost) -> None:
    """Folder and file are as sealed ones are; the working folder is nobody else's business."""
    if os.geteuid() != 0:
        pytest.skip("another group needs root")
    host = new_host({**OFF, "reader_group": "12345"})
    measure_days(host, 1)
    sealed = next(host.state.glob("data/sample/*/*.parquet"))
    modes = [(entry.stat().st_gid, stat.S_IMODE(entry.stat().st_mode)) for entry in (sealed, sealed.parent)]
    assert modes[1] == (12345, 0o750)
    host.config = Config({"reader_group": "12345"})
    host.start()
    turn_until(host, lambda: compacted(host) == 1)
    (path,) = host.state.glob("data/sample/*/*.parquet")
    assert [(entry.stat().st_gid, stat.S_IMODE(entry.stat().st_mode)) for entry in (path, path.parent)] == modes
    assert stat.S_IMODE((host.state / "compacting").stat().st_mode) == 0o700


@pytest.mark.runbook("Compaction")
def test_a_short_disk_makes_it_wait(new_host: NewHost, tmp_path: Path) -> None:
    """The spool needs what is left; a condition says how much is missing."""
    with mounted(tmp_path / "disk", "32m") as disk:
        host = new_host(OFF, disk)
        measure_days(host, 1)
        turn_on(host)
        turn_until(host, lambda: bool(host.bus.conditions))
        (condition,) = host.bus.conditions
        assert condition.kind == "compaction_room"
        assert "needs 64MiB for a while" in condition.detail
        assert compacted(host) == 0
        host.close()


def test_what_a_killed_compactor_left_does_not_take_the_room_of_the_next(new_host: NewHost, tmp_path: Path, points: Path) -> None:
    """Its unfinished file fills the disk: it is removed first, although there is no room for the day as long as it is there."""
    with mounted(tmp_path / "disk", "80m") as disk:
        host = new_host(OFF, disk)
        measure_days(host, 1)
        stop_compactor(host, points, "compactor.window_written")
        (unfinished,) = disk.glob("compacting/*/day/*")
        with unfinished.open("ab") as file:
            file.write(bytes(20 << 20))
        host.measure(host.sender(epoch=2), 1)
        assert host.rotate()["rows"] > 0
        turn_until(host, lambda: compacted(host) == 1)
        assert not list((disk / "compacting").iterdir())
        host.close()


def test_a_day_that_fails_again_and_again_is_not_in_the_way_of_others(new_host: NewHost) -> None:
    """After some tries it waits for the next date with its condition, and older days are compacted."""
    host = new_host(OFF)
    measure_days(host, 2)
    _, newer = days(host)
    in_the_way = host.state / "compacting" / f"sample@{newer}"
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_bytes(b"")
    turn_on(host)

    def are_done(count: int) -> bool:
        # Its clock does not pass the two hours of a compactor while a busy machine gives it no processor.
        if not host.work._archive._compacting.is_busy:
            host.clock.advance(10 * S)
        return compacted(host) == count

    turn_until(host, lambda: are_done(1))
    assert [len(files) for files in days(host).values()] == [1, 3]
    assert [(one.kind, one.active) for one in host.bus.conditions] == [("compaction", True)]
    assert in_the_way.name in host.bus.conditions[0].detail
    in_the_way.unlink()
    host.clock.advance(DAY)
    turn_until(host, lambda: are_done(2))
    assert not host.bus.conditions[-1].active


def test_the_quota_makes_room_for_a_day_that_is_small_against_it(new_host: NewHost) -> None:
    """The oldest file goes for the copy, as it would for new data; then the day is compacted."""
    host = new_host(OFF)
    measure_days(host, 1)
    oldest = host.state / "data/gap/date=2023-01-01/gap-node-1-20230101T000000Z-20230101T000000Z-0000000000000000.parquet"
    oldest.parent.mkdir(parents=True)
    oldest.write_bytes(bytes(1 << 20))
    held = sum(path.stat().st_size for path in host.state.glob("data/*/*/*.parquet")) + host.stats()["spool_bytes"]
    host.config = Config({"writer.storage_quota": held + 2000})
    host.start()
    turn_until(host, lambda: compacted(host) == 1)
    assert host.stats()["quota"]["removed_files"] == 1
    assert not oldest.exists()
    assert host.bus.conditions == []


def test_the_quota_is_not_emptied_for_a_day_that_is_large_against_it(new_host: NewHost) -> None:
    """A sixteenth is the most; the condition names the setting."""
    host = new_host(OFF)
    measure_days(host, 2)
    sizes = [path.stat().st_size for path in host.state.glob("data/*/*/*.parquet")]
    host.config = Config({"writer.storage_quota": sum(sizes) + host.stats()["spool_bytes"] + 100})
    host.start()
    turn_until(host, lambda: bool(host.bus.conditions))
    (condition,) = host.bus.conditions
    assert condition.kind == "compaction_room"
    assert "writer.storage_quota" in condition.detail
    assert (compacted(host), host.stats()["quota"]["removed_files"]) == (0, 0)


def test_two_file_systems_are_told_and_change_nothing(new_host: NewHost) -> None:
    """A working folder that somebody has put elsewhere: one condition, no second try before the next day."""
    host = new_host(OFF)
    measure_days(host, 2)
    with mounted(host.state / "compacting", "1m"):
        turn_on(host)
        turn_until(host, lambda: bool(host.bus.conditions))
        (condition,) = host.bus.conditions
        assert "it lies on another file system than the data" in condition.detail
        host.turn()
        assert [len(files) for files in days(host).values()] == [3, 3]
        host.close()


def test_what_comes_into_the_folder_at_the_last_moment_goes_back(new_host: NewHost, points: Path) -> None:
    """Between the last look and the exchange: it is found among the sources and moved to where it was put."""
    host = new_host(OFF)
    measure_days(host, 1)
    (folder,) = (host.state / "data" / "sample").iterdir()
    compactor = stop_compactor(host, points, "compactor.before_exchange")
    (folder / "mine.parquet").write_bytes(b"mine")
    os.kill(compactor, signal.SIGCONT)
    turn_until(host, lambda: compacted(host) == 1)
    assert (folder / "mine.parquet").read_bytes() == b"mine"
    assert len(list(folder.iterdir())) == 2


def test_a_compacted_file_is_proved_and_a_changed_bit_is_found(new_host: NewHost) -> None:
    """As `agentctl verify-data` checks it: of this installation, named for its rows, every byte as it was written."""
    host = new_host(OFF)
    measure_days(host, 1)
    turn_on(host)
    turn_until(host, lambda: compacted(host) == 1)
    (path,) = host.state.glob("data/sample/*/*.parquet")
    wanted = wanted_of(SAMPLE, read_install(str(host.state)) or "none")
    found = check_file(str(path), wanted, frozenset({os.geteuid()}))
    assert (found.state, found.why, found.rows) == (FileState.PROVED, "", 360)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert check_file(str(path), wanted, frozenset({os.geteuid()})).state is FileState.DAMAGED
