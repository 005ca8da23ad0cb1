"""An exporter over real segments and a scripted sink: what is delivered, when it is tried again, what is lost and told."""

from pathlib import Path
from threading import Event

import pytest
from fakes.export_host import ExportHost, SpoolFolder

from agent.model.tables import EXPORT_GAP
from agent.model.timebase import HOUR, S
from agent.store.cursor_file import CursorFile
from agent.store.keeping import Keeping, PrunedSegment
from workers.export.sink import Delivered, Later, Paused, Refused, TooLarge


@pytest.fixture
def spool(tmp_path: Path) -> SpoolFolder:
    """An open segment without rows."""
    return SpoolFolder(tmp_path)


def numbers(last: int, first: int = 1) -> list[int]:
    """Those of the batches."""
    return list(range(first, last + 1))


def test_what_is_stored_arrives_in_order(spool: SpoolFolder, tmp_path: Path) -> None:
    """Also what was there before the sink, and what comes in later segments."""
    spool.append(3)
    host = ExportHost(tmp_path)
    host.run_until(lambda: host.got == numbers(3), "the first batches")
    spool.rotate()
    spool.append(2)
    host.run_until(lambda: host.got == numbers(5) and host.is_settled, "the later batches")
    assert host.ledger["produced"] == host.ledger["delivered"] == spool.rows
    host.kill()


def test_a_killed_exporter_repeats_one_delivery_at_most(spool: SpoolFolder, tmp_path: Path) -> None:
    """Whatever was acknowledged and kept is not sent again; what was acknowledged and not yet kept comes once more."""
    host = ExportHost(tmp_path)
    for number in range(12):
        spool.append(2)
        last = host.sink
        # Sometimes it is killed between the sink's word and its own.
        host.run_until(lambda: host.got[-1:] == [spool.seq], "the batches")
        if number % 3:
            host.run_until(lambda: host.is_settled, "their cursor")
        before = host.got
        host.start()
        spool.append(1)
        host.run_until(lambda: host.sink.got != [], "the first delivery of the next one")
        repeated = {seq for _, seq in host.sink.got} & set(before)
        assert repeated <= {seq for _, seq in last.attempts[-1].numbers}
        host.run_until(lambda: host.is_settled, "the rest")
    assert sorted(set(host.got)) == numbers(36)
    assert host.ledger["produced"] == host.ledger["delivered"] == spool.rows
    host.kill()


@pytest.mark.runbook("Exports")
def test_a_sink_that_is_away_costs_nothing_and_gets_the_newest_first(spool: SpoolFolder, tmp_path: Path) -> None:
    """After an outage the next rows come at once, the missed ones beside them, and each of them once."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda _parcel: Later("connection refused")
    wall = host.clock.wall_ns()
    for number in range(600):
        spool.append(1, rows=400, stamp_wall_ns=wall + number * S)
    host.run_until(lambda: host.stats["state"] == "down", "the failure")
    assert [(note.kind, note.fields["state"]) for note in host.bus.notes] == [("sink_away", "down")]
    host.sink.answer = lambda _parcel: Delivered()
    host.run_until(lambda: bool(host.got) and host.stats["has_backlog"], "the return")
    spool.append(1, stamp_wall_ns=wall + 600 * S)
    host.run_until(lambda: 601 in host.got, "the newest")
    assert len(host.got) < 601, "the newest waited for all others"
    host.run_until(lambda: host.is_settled, "the backlog")
    assert sorted(host.got) == numbers(601)
    assert not host.stats["has_backlog"]
    host.kill()


def test_an_ordered_sink_gets_everything_in_order(spool: SpoolFolder, tmp_path: Path) -> None:
    """One that builds on what came before gets the newest last."""
    host = ExportHost(tmp_path, is_ordered=True)
    wall = host.clock.wall_ns()
    for number in range(60):
        spool.append(1, rows=400, stamp_wall_ns=wall + number * 20 * S)
    host.run_until(lambda: host.got == numbers(60), "everything")
    host.kill()


def test_a_failed_delivery_is_repeated_byte_for_byte(spool: SpoolFolder, tmp_path: Path) -> None:
    """What is tried again is the same, although more has come meanwhile."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda _parcel: Later("no route")
    spool.append(1)
    host.run_until(lambda: len(host.sink.attempts) >= 2, "the second attempt")
    spool.append(5)
    host.run_until(lambda: len(host.sink.attempts) >= 4, "more attempts")
    assert len(set(host.sink.attempts)) == 1
    host.kill()


def test_attempts_are_spread_and_bounded(spool: SpoolFolder, tmp_path: Path) -> None:
    """A sink that is away for an hour is asked at most every 3 s, mean 1.5 s, and once after it is back."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda _parcel: Later("no route")
    spool.append(1)
    host.run_until(lambda: len(host.sink.attempts) >= 1, "the first attempt")
    begun_ns = host.clock.now_ns()
    host.run_until(lambda: len(host.sink.attempts) >= 60, "many attempts")
    seconds = (host.clock.now_ns() - begun_ns) / S
    assert 50 < seconds < 200
    host.kill()


def test_the_sinks_own_word_when_to_come_again_is_kept(spool: SpoolFolder, tmp_path: Path) -> None:
    """Retry-After is a floor, up to an hour."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda _parcel: Later("busy", after_ns=30 * S)
    spool.append(1)
    host.run_until(lambda: len(host.sink.attempts) == 1, "the first attempt")
    begun_ns = host.clock.now_ns()
    host.run_until(lambda: len(host.sink.attempts) == 2, "the second attempt")
    assert host.clock.now_ns() - begun_ns >= 29 * S
    host.kill()


def test_a_refused_delivery_is_counted_and_passed(spool: SpoolFolder, tmp_path: Path) -> None:
    """What can never succeed keeps nothing else waiting; the reason is told once."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda parcel: Refused("http_400", "no such metric") if parcel.numbers[0][1] < 3 else Delivered()
    for _ in range(4):
        spool.append(1)
        host.run_until(lambda: host.is_settled and host.ledger["produced"] == spool.rows, "the batch")
    assert host.ledger["rejected_by_reason"] == {"http_400": 20}
    assert host.ledger["delivered"] == 20
    assert [note.kind for note in host.bus.notes].count("rejected_by_sink") == 1
    host.kill()


def test_rows_refused_in_part_are_in_the_ledger(spool: SpoolFolder, tmp_path: Path) -> None:
    """The sink took the rest."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda _parcel: Delivered(3, "too_old", "three are too old")
    spool.append(1)
    host.run_until(lambda: host.is_settled and host.ledger["produced"] == spool.rows, "the delivery")
    assert (host.ledger["delivered"], host.ledger["rejected_by_reason"]) == (7, {"too_old": 3})
    host.kill()


def test_a_delivery_that_is_too_large_is_divided(spool: SpoolFolder, tmp_path: Path) -> None:
    """Until it fits; one batch that is too large by itself is rejected."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda parcel: TooLarge("413") if len(parcel.numbers) > 2 or parcel.numbers[0][1] == 5 else Delivered()
    spool.append(16)
    host.run_until(lambda: host.is_settled and host.ledger["produced"] == spool.rows, "everything")
    assert host.got == [number for number in numbers(16) if number != 5]
    assert host.ledger["rejected_by_reason"] == {"too_large": 10}
    host.kill()


@pytest.mark.runbook("Exports")
def test_a_sink_that_does_not_know_us_is_paused(spool: SpoolFolder, tmp_path: Path) -> None:
    """A person must act: it is a condition, it is asked seldom, and it goes on by itself once it is mended."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda _parcel: Paused("401: the token is not known")
    spool.append(1)
    host.run_until(lambda: host.stats["state"] == "paused", "the pause")
    assert [(each.kind, each.active) for each in host.bus.conditions] == [("sink_paused", True)]
    host.run_for(10 * S)
    assert len(host.sink.attempts) == 1
    host.sink.answer = lambda _parcel: Delivered()
    host.run_until(lambda: host.stats["state"] == "up", "the return")
    assert [(each.kind, each.active) for each in host.bus.conditions] == [("sink_paused", True), ("sink_paused", False)]
    host.kill()


@pytest.mark.runbook("Exports")
def test_what_the_writer_had_to_remove_is_an_event_and_a_row(spool: SpoolFolder, tmp_path: Path) -> None:
    """The account has it to the row, and what follows is delivered."""
    host = ExportHost(tmp_path)
    host.sink.answer = lambda _parcel: Later("no route")
    first = spool.segment
    spool.append(3)
    host.run_until(lambda: len(host.sink.attempts) == 1, "the failure")
    spool.rotate()
    spool.append(2)
    spool.remove(first, Keeping({"central": 1}, (PrunedSegment(first, {"sample": 30, "gap": 4}, 999, 1, 2, "sink_quota"),)))
    host.sink.answer = lambda _parcel: Delivered()
    host.run_until(lambda: host.got == [4, 5] and host.is_settled, "what is left")
    assert (host.ledger["pruned"], host.ledger["delivered"], host.ledger["produced"]) == (30, 20, 50)
    assert "cursor_pruned" in [note.kind for note in host.bus.notes]
    (row,) = host.outbox.records(EXPORT_GAP)
    assert (row["sink"], row["rows"], row["reason"]) == ("central", 30, "sink_quota")
    host.kill()


def test_a_torn_cursor_is_the_one_before(spool: SpoolFolder, tmp_path: Path) -> None:
    """A write that was cut short costs one delivery that is repeated."""
    host = ExportHost(tmp_path)
    for _ in range(3):
        spool.append(1)
        host.run_until(lambda: host.got[-1:] == [spool.seq] and host.is_settled, "the batch")
    host.kill()
    path = tmp_path / "sinks" / "central" / "cursor"
    file = CursorFile(str(path.parent))
    newest = file.read()
    assert newest is not None
    data = bytearray(path.read_bytes())
    at = data.find(b"EGC1", 0) if _number(data, 0) > _number(data, 2 << 20) else 2 << 20
    data[at + 40] ^= 0xFF
    path.write_bytes(bytes(data))
    host.start()
    spool.append(1)
    host.run_until(lambda: host.got[-1:] == [4], "the next batch")
    assert set(host.got) == set(numbers(4))
    host.kill()


def _number(data: bytearray, at: int) -> int:
    return int.from_bytes(data[at + 4 : at + 12], "little")


def test_a_cursor_without_a_whole_slot_is_set_aside(spool: SpoolFolder, tmp_path: Path) -> None:
    """It is told, kept for a person, and the sink begins with what the spool has."""
    folder = tmp_path / "sinks" / "central"
    folder.mkdir(parents=True)
    (folder / "cursor").write_bytes(b"nothing that we wrote")
    spool.append(1)
    host = ExportHost(tmp_path)
    host.run_until(lambda: host.got == [1], "the batch")
    assert "cursor_damaged" in [note.kind for note in host.bus.notes]
    assert (folder / "cursor.set-aside").read_bytes() == b"nothing that we wrote"
    host.kill()


def test_a_cursor_of_another_machine_is_set_aside(tmp_path: Path) -> None:
    """A state folder that was copied does not make this host skip what it has measured itself."""
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, install in ((first, "aaaaaaaaaaaaaaaa"), (second, "bbbbbbbbbbbbbbbb")):
        folder.mkdir()
        SpoolFolder(folder, install).append(3)
    host = ExportHost(first)
    host.run_until(lambda: host.got == numbers(3), "the batches")
    host.run_until(lambda: host.is_settled, "the end")
    host.kill()
    (second / "sinks").mkdir()
    (first / "sinks" / "central").rename(second / "sinks" / "central")
    other = ExportHost(second)
    other.run_until(lambda: other.got == numbers(3), "the batches")
    assert "cursor_set_aside" in [note.kind for note in other.bus.notes]
    other.kill()


def test_a_sink_without_its_segments_for_a_while_says_so(spool: SpoolFolder, tmp_path: Path) -> None:
    """Removed from the settings and added again under the same name: what was kept for nobody is told, and it goes on."""
    host = ExportHost(tmp_path)
    spool.append(1)
    host.run_until(lambda: host.got == [1] and host.is_settled, "the first batch")
    host.kill()
    first = spool.segment
    for _ in range(4):
        spool.rotate()
    spool.append(1)
    spool.remove(first, Keeping({"central": spool.generation}))
    host.start()
    host.run_until(lambda: host.got == [1, 2], "the next batch")
    (row,) = host.outbox.records(EXPORT_GAP)
    assert (row["reason"], row["rows"]) == ("not_configured", None)
    host.kill()


def test_a_sink_goes_on_with_what_it_built_on(spool: SpoolFolder, tmp_path: Path) -> None:
    """Totals survive a kill at any moment: from the last snapshot on, what was delivered is taken in again and not sent."""
    host = ExportHost(tmp_path, is_ordered=True)
    host.keeps_state = True
    host.start()
    for number in range(12):
        spool.append(1)
        host.run_until(lambda: host.got[-1:] == [spool.seq] and host.is_settled, "the batch")
        host.run_for((1 + number % 3) * 15 * S)
        if number % 3 == 2:
            host.start()
    host.run_until(lambda: host.sink.seen == spool.rows, "the same totals")
    assert sorted(set(host.got)) == numbers(12)
    host.kill()


def test_time_that_goes_backwards_stops_nothing(spool: SpoolFolder, tmp_path: Path) -> None:
    """The wall clock is only shown."""
    host = ExportHost(tmp_path)
    spool.append(1)
    host.run_until(lambda: host.got == [1], "the batch")
    host.clock.set_wall_ns(host.clock.wall_ns() - 24 * HOUR)
    spool.append(1, stamp_wall_ns=host.clock.wall_ns())
    host.run_until(lambda: host.got == [1, 2], "the batch of yesterday")
    assert host.stats["lag_seconds"] == 0
    host.kill()


def test_segments_without_rows_for_the_sink_are_not_needed(spool: SpoolFolder, tmp_path: Path) -> None:
    """A sink of a rare table does not hold back everything else."""
    host = ExportHost(tmp_path)
    host.tables = ("gap",)
    host.start()
    for _ in range(3):
        spool.append(2)
        spool.rotate()

    def has_moved() -> bool:
        cursor = CursorFile(str(tmp_path / "sinks" / "central")).read()
        return cursor is not None and bool(cursor.needs.segment == spool.segment)

    host.run_until(has_moved, "the cursor in the last segment")
    host.kill()


def test_the_end_does_not_wait_for_a_sink_that_does_not_answer(spool: SpoolFolder, tmp_path: Path) -> None:
    """A delivery on its way gets a moment; it is sent again by the next process."""
    host = ExportHost(tmp_path)
    is_over = Event()

    def never(_parcel: object) -> Delivered:
        is_over.wait(30)
        return Delivered()

    host.sink.answer = never
    spool.append(1)
    host.run_until(lambda: host.sink.attempts != [], "the attempt")
    assert host.work is not None
    host.work.on_stop(host.clock.now_ns(), for_good=True)
    assert not host.work.is_done()
    host.run_for(1 * S)
    assert host.work.is_done()
    is_over.set()
    host.start()
    host.run_until(lambda: host.sink.got == [("sample", 1)], "the delivery")
    host.kill()


def test_a_sink_of_whole_segments_gets_each_once_it_is_sealed(spool: SpoolFolder, tmp_path: Path) -> None:
    """Nothing of a segment that is open or waits to be sealed; then all of it as one, also when the exporter was killed."""
    host = ExportHost(tmp_path, is_ordered=True, by_segment=True)
    host.run_for(3 * S)
    timers = host.timers
    host.run_for(10 * S)
    assert host.timers - timers <= 20, "it spins while it waits"
    for round_ in range(1, 4):
        segment = spool.segment
        spool.append(5)
        spool.rotate()
        spool.append(1, rows=0)
        host.run_until(lambda: host.stats.get("lag_rows") == 50, "the count")
        host.run_for(5 * S)
        assert len(host.sink.attempts) == (0 if round_ != 2 else 1)
        timers = host.timers
        host.run_for(10 * S)
        assert host.timers - timers <= 20, "it spins while it waits"
        spool.seal(segment)
        host.run_until(lambda: host.ledger["delivered"] == host.ledger["produced"] and host.is_settled, "the segment")
        assert host.ledger["produced"] == round_ * 50
        if round_ == 2:
            host.start()
            host.run_until(lambda: "ledger" in host.stats, "the next exporter")
    assert [parcel.rows for sink in host.sinks for parcel in sink.attempts] == [50, 50, 50]
    assert host.ledger["produced"] == spool.rows
    host.kill()


def test_one_that_is_switched_off_sends_nothing_and_loses_nothing(spool: SpoolFolder, tmp_path: Path) -> None:
    """It used more than its limit: what is stored meanwhile waits, and arrives when it is switched on again."""
    host = ExportHost(tmp_path)
    spool.append(2)
    host.run_until(lambda: host.got == numbers(2) and host.is_settled, "what comes before")
    assert host.work is not None
    host.work.on_level(["backlog_slowed"], is_off=True)
    spool.append(3)
    for _ in range(200):
        host.turn()
    assert host.got == numbers(2)
    host.work.on_level(["backlog_slowed"], is_off=False)
    host.run_until(lambda: host.got == numbers(5) and host.is_settled, "what was stored meanwhile")
    assert host.ledger["produced"] == host.ledger["delivered"] == spool.rows
    host.kill()
