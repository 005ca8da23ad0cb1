"""The writer's work with a real state folder and real sealers, and senders that speak the protocol."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.segment import batch_frame, head_of
from fakes.sender import SAMPLE
from fakes.small_disk import mounted
from fakes.writer_host import WriterHost, words

from agent.model.errors import StorageError
from agent.model.message import Condition, DataAck, DataHello, encode
from agent.model.tables import GAP
from agent.model.timebase import MINUTE, S
from agent.store.install import read_install
from agent.store.record import Entry, encode_entry, encode_head
from agent.store.segment import generation_in_sealed, generation_of, id_in
from workers.writer.sealing import Sealing
from workers.writer.start import RECOVER_BYTES_MAX

Host = WriterHost
NewHost = Callable[..., Host]


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[NewHost]:
    """Makes hosts whose writer has started, with these settings."""
    hosts: list[Host] = []

    def make(values: dict[str, int | str | bool] | None = None) -> Host:
        hosts.append(Host(tmp_path, values))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


@pytest.fixture
def host(new_host: NewHost) -> Host:
    """A host whose writer has started."""
    return new_host()


def test_batch_is_acknowledged_after_it_is_in_the_spool(host: Host) -> None:
    """A new sender is greeted with what is stored of it, and its batch acknowledged once it is in the file."""
    sender = host.sender()
    host.measure(sender)
    assert words(host, sender) == [DataHello(1, 0), DataAck(1)]
    assert host.spooled() == [("sample", 1)]
    assert host.stats()["rows_by_table"] == {"sample": 40}


def test_killed_writer_loses_nothing_acknowledged(host: Host) -> None:
    """Its successor greets with what the spool holds, seals the old segment and opens one of its own."""
    sender = host.sender()
    host.measure(sender, 5)
    host.peer.put(sender.who, sender.offer(host.clock.wall_ns()))
    (former,) = host.spool_files()
    host.start()
    assert words(host, sender) == [DataHello(2, 5), DataAck(6)]
    host.turn_until(lambda: host.stats()["segments_waiting"] == 0)
    assert former not in host.spool_files()
    assert host.rotate()["rows"] == 2
    assert host.query("select number, count(*) from {sample} group by 1 order by 1") == [*((n, 40) for n in range(1, 6)), (6, 2)]
    assert not (host.state / "data" / "gap").exists()


def test_sender_that_connects_before_the_writer_is_ready_is_greeted(host: Host) -> None:
    """The socket is there before the rules are; senders that came in between get a hello once the spool is open."""
    sender = host.sender()
    host.measure(sender, 3)
    host.start(is_early=True)
    assert words(host, sender) == [DataHello(2, 3)]


def test_duplicates_are_dropped_and_acknowledged(host: Host) -> None:
    """What is sent twice is stored once."""
    sender = host.sender()
    host.clock.advance(S)
    frames = sender.offer(host.clock.wall_ns())
    host.peer.put(sender.who, frames * 3)
    host.turn()
    assert (host.spooled(), host.stats()["duplicates"]) == ([("sample", 1)], 2)


def test_death_of_a_sender_is_a_gap_even_after_the_writer_died_too(host: Host) -> None:
    """The successor's first batch brings the gap of the former epoch, known from the spool alone."""
    host.measure(host.sender(), 3)
    host.start()
    host.measure(host.sender(epoch=2))
    host.rotate()
    assert host.query("select worker, epoch, first_seq, last_seq, rows, reason from {gap}") == [
        ("process", 1, 4, None, None, "worker_died")
    ]


def test_rotation_by_age(new_host: NewHost) -> None:
    """A segment whose first batch is older than the interval becomes Parquet; an empty one waits."""
    host = new_host({"writer.seal_interval": 1 * MINUTE})
    host.clock.advance(10 * MINUTE)
    host.turn()
    assert len(host.spool_files()) == 1
    sender = host.sender()
    host.measure(sender, 61, rows=1)
    assert len(host.spool_files()) == 2
    host.turn_until(lambda: host.stats()["sealed_rows"] >= 60)
    assert len(host.spool_files()) == 1


def test_rotation_by_size(new_host: NewHost) -> None:
    """A segment larger than the setting becomes Parquet."""
    host = new_host({"writer.seal_bytes": 64 << 10})
    host.measure(host.sender(), 60)
    host.turn_until(lambda: host.stats()["sealed_files"] >= 1 and host.stats()["segments_waiting"] == 0)
    host.rotate()
    assert host.query("select count(*), count(distinct number) from {sample}") == [(2400, 60)]


def test_rotation_with_nothing_to_seal_answers_at_once(host: Host) -> None:
    """An empty segment stays, and the answer has no files."""
    assert host.work.on_ask("rotate", host.clock.now_ns()) == {"files": [], "rows": 0}
    assert len(host.spool_files()) == 1


def test_stop_seals_and_keeps_the_marks(host: Host) -> None:
    """After a stop all rows are in Parquet, and the next writer still knows the numbers."""
    sender = host.sender()
    host.measure(sender, 3)
    host.work.on_stop(host.clock.now_ns(), for_good=True)
    host.turn_until(host.work.is_done)
    assert host.query("select count(*) from {sample}") == [(120,)]
    host.start()
    assert words(host, sender) == [DataHello(2, 3)]
    assert len(host.spool_files()) == 1


def test_bye_is_known_to_the_next_writer(host: Host) -> None:
    """A sender that stopped cleanly leaves no gap behind."""
    sender = host.sender()
    host.measure(sender)
    host.peer.put(sender.who, sender.goodbye())
    host.turn()
    host.start()
    host.measure(host.sender(epoch=2))
    assert [table for table, _ in host.spooled() if table == GAP.name] == []


def test_unknown_table_and_malformed_messages_stop_nothing(host: Host) -> None:
    """A batch for no table is a gap and acknowledged; what is no message is counted."""
    import msgspec

    sender = host.sender()
    host.clock.advance(S)
    host.peer.put(sender.who, sender.offer(host.clock.wall_ns(), table=msgspec.structs.replace(SAMPLE, name="nowhere")))
    host.peer.put(sender.who, [(b"\xff", b""), (encode([1, 2]), b"")])
    host.turn()
    host.measure(sender)
    assert words(host, sender)[-1] == DataAck(2)
    assert host.spooled() == [("gap", 0), ("sample", 2)]
    assert host.stats()["malformed"] == 2


def test_corrupt_record_is_set_aside_and_told(host: Host) -> None:
    """Good records go to Parquet, the file is kept, and the loss is a row of table `gap` and a note."""
    spool = host.state / "spool"
    data = bytearray(encode_head(head_of()) + b"".join(batch_frame(seq) for seq in range(1, 6)))
    data[len(data) - len(batch_frame(5)) - 60] ^= 1
    name = "20231114T220000Z-00000000456789ab.spool"
    (spool / name).write_bytes(data)
    host.start()
    host.turn_until(lambda: host.stats()["segments_waiting"] == 0)
    assert (host.state / "set-aside" / name).read_bytes() == data
    assert [note.kind for note in host.bus.notes if note.severity == "error"] == ["segment_set_aside"]
    host.rotate()
    assert host.query("select list(distinct number order by number) from {sample}") == [([1, 2, 3, 5],)]
    ((worker, rows, first, until, reason),) = host.query("select worker, rows, from_timestamp, until_timestamp, reason from {gap}")
    assert (worker, rows, reason) == ("writer", None, "corrupt_record")
    assert until - first == 2 * S


class BrokenSealing:
    """A sealer that fails as often as it is told to."""

    def __init__(self, launch: Callable[[str, str, str], Sealing], failures: int) -> None:
        self.launch = launch
        self.failures = failures

    def __call__(self, path: str, state: str, forms_from: str) -> Sealing:
        sealing = self.launch(path, state, forms_from)
        if self.failures:
            self.failures -= 1
            sealing.kill()
        return sealing


def test_failed_sealing_is_told_and_repeated(host: Host) -> None:
    """The segment stays, the condition begins, the next attempt comes later and ends it."""
    from workers.writer.sealing import start_sealer

    host.start(launch=BrokenSealing(start_sealer, failures=2))
    host.measure(host.sender(), 3)
    assert host.work.on_ask("rotate", host.clock.now_ns()) is None

    def has_condition() -> bool:
        return bool(host.bus.conditions)

    host.turn_until(has_condition)
    assert (host.bus.conditions[0].kind, host.bus.conditions[0].active) == ("sealing", True)
    assert "was killed by SIGKILL; " in host.bus.conditions[0].detail
    assert len(host.spool_files()) == 2

    def is_over() -> bool:
        host.clock.advance(S // 10)
        return host.bus.conditions[-1] == Condition(kind="sealing", active=False, detail="")

    host.turn_until(is_over)
    assert [reply[1]["rows"] for reply in host.work.take_replies()] == [120]


@pytest.fixture
def small_host(tmp_path: Path) -> Iterator[Host]:
    """A host whose state folder lies on a disk of 256 KiB; only root can mount one."""
    with mounted(tmp_path / "disk", "256k") as folder:
        host = Host(folder)
        yield host
        host.close()


def test_full_disk_stops_nothing_and_loses_nothing(small_host: Host) -> None:
    """While the disk is full nothing is acknowledged and a condition says so; afterwards everything arrives, once."""
    host, ballast = small_host, small_host.state / "ballast"
    ballast.write_bytes(bytes(192 << 10))
    sender = host.sender()
    host.measure(sender, 100)
    (condition,) = host.bus.conditions
    assert (condition.kind, condition.active, condition.blocks_ready) == ("spool", True, True)
    assert str(host.state) in condition.detail
    assert sender.acknowledged < 100
    assert host.spooled() == [("sample", seq) for seq in range(1, sender.acknowledged + 1)]
    ballast.unlink()
    host.measure(sender, 3)
    assert sender.acknowledged == 103
    assert host.bus.conditions[1:] == [Condition(kind="spool", active=False, detail="")]
    assert host.spooled() == [("sample", seq) for seq in range(1, 104)]


def test_full_disk_at_the_start_is_waited_out(small_host: Host) -> None:
    """A writer that cannot open a segment runs, says so, and begins when it can."""
    host, ballast = small_host, small_host.state / "ballast"
    sender = host.sender()
    host.measure(sender, 2)
    with open(ballast, "wb") as file:
        while True:
            try:
                os.write(file.fileno(), bytes(4096))
            except OSError:
                break
    host.start()
    host.measure(sender, 3)
    assert [(item.kind, item.active) for item in host.bus.conditions] == [("spool", True)]
    ballast.unlink()
    host.measure(sender, 2)
    assert sender.acknowledged == 7
    assert [(item.kind, item.active) for item in host.bus.conditions] == [("spool", True), ("spool", False)]
    assert host.spooled() == [("sample", seq) for seq in range(1, 8)]


def test_a_clock_set_back_confuses_no_recovery(host: Host) -> None:
    """More unsealed spool than is read at a start, and the newest segment has the oldest name: its marks still hold."""

    def no_sealer(*_paths: str) -> Sealing:
        raise StorageError("sealer", "there is none")

    sender = host.sender()
    host.start(launch=no_sealer)
    host.measure(sender, 3)
    name = host.spool_files()[-1]
    with open(host.state / "spool" / name, "r+b") as file:
        file.seek(RECOVER_BYTES_MAX, os.SEEK_END)
        file.write(encode_entry(Entry("run-1", "other", 1, 1, "sample", 0, 0, ended=True), b"\x90"))
    host.clock.set_wall_ns(host.clock.wall_ns() - 3600 * S)
    host.start(launch=no_sealer)
    host.measure(sender, 4)
    assert len(host.spool_files()) == 2
    assert host.spool_files()[-1] == name
    host.start(launch=no_sealer)
    assert words(host, sender) == [DataHello(4, 7)]


def test_generations_grow_after_the_spool_was_taken_away(host: Host) -> None:
    """Between two writers somebody clears the spool: the names of the sealed files tell how far the numbers had come."""
    sender = host.sender()
    for _ in range(3):
        host.measure(sender)
        host.rotate()
    host.close()
    for path in (host.state / "spool").iterdir():
        path.unlink()
    highest = max(generation_in_sealed(path.name) for path in (host.state / "data").rglob("*.parquet"))
    host.start()
    (name,) = host.spool_files()
    assert (highest, generation_of(id_in(name))) == (3, 4)


def test_restored_files_of_another_host_make_nothing_new_the_oldest(new_host: NewHost) -> None:
    """With a quota all sealed files are looked at; the next segment follows the highest generation among them."""
    host = new_host({"writer.storage_quota": 1 << 30})
    restored = (
        host.state
        / "data"
        / "sample"
        / "date=2023-11-14"
        / "sample-other-20231114T000000Z-20231114T000000Z-000003e800000000.parquet"
    )
    restored.parent.mkdir(parents=True)
    restored.touch()
    sender = host.sender()
    for _ in range(2):
        host.measure(sender)
        host.rotate()
        host.turn_until(lambda: host.stats()["segments_waiting"] == 0)
    assert max(generation_of(id_in(name)) for name in host.spool_files()) > 1000


def test_what_is_stored_says_which_installation_stored_it(host: Host) -> None:
    """From one writer to the next, in the head of each segment and in each sealed file; a lost id is found in the spool."""
    import pyarrow.parquet

    sender = host.sender()
    host.measure(sender)
    install = read_install(str(host.state))
    assert install is not None
    (host.state / "install-id").unlink()
    host.start()
    assert read_install(str(host.state)) == install
    host.rotate()
    (path,) = (host.state / "data" / "sample").rglob("*.parquet")
    assert pyarrow.parquet.read_schema(path).metadata[b"install"] == install.encode()


def test_a_segment_of_an_older_format_is_set_aside_whole(host: Host) -> None:
    """Nothing of it is stored or cut off; one sentence says which format it has."""
    name, data = "20231114T220000Z-0000000956789abc.spool", b"EGR1" + bytes(range(200))
    host.close()
    (host.state / "spool" / name).write_bytes(data)
    host.start()
    (note,) = [note for note in host.bus.notes if note.kind == "segment_of_another_format"]
    assert "format 1 is not known to this version, which reads 2" in str(note.fields["problem"])
    host.turn_until(lambda: host.stats()["segments_waiting"] == 0)
    assert (host.state / "set-aside" / name).read_bytes() == data
