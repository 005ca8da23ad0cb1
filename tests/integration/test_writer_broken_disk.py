"""Writes and syncs that fail for good: a new segment at once, and nothing is believed that nobody knows."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from fakes.writer_host import WriterHost

from agent import failpoint
from agent.model.message import Condition
from agent.model.timebase import S
from workers.writer.folder import sync_folder
from workers.writer.segments import SUSPECTS_MAX
from workers.writer.syncer import Synced, Syncer


class BrokenSyncer(Syncer):
    """A disk whose syncs fail while `error` is set, and never end while `is_stuck`."""

    error: int | None = None
    is_stuck = False
    has_started = False

    @property
    def is_busy(self) -> bool:
        """A round is under way."""
        return self.has_started

    @property
    def has_ended(self) -> bool:
        """Its end can be taken."""
        return self.has_started and not self.is_stuck

    def start(self, descriptors: object, folder: str | None, token: int) -> None:
        """A round begins."""
        assert isinstance(descriptors, list)
        for descriptor in descriptors:
            os.close(descriptor)
        self.has_started, self.token = True, token
        if not self.is_stuck:
            os.eventfd_write(self.descriptor, 1)

    def take(self) -> Synced | None:
        """The end of the round."""
        if not self.has_ended:
            return None
        self.has_started = False
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        return Synced(self.token, None if self.error is None else OSError(self.error, os.strerror(self.error)))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[WriterHost]:
    """A host whose writer has started."""
    host = WriterHost(tmp_path)
    yield host
    host.close()


@contextmanager
def file_size_max(size_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond it: EFBIG."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def test_a_segment_that_takes_no_more_is_followed_by_a_new_one_at_once(host: WriterHost) -> None:
    """EFBIG: the batch goes to the next segment in the same turn, nobody waits, nothing is lost or stored twice."""
    sender = host.sender()
    with file_size_max(16 << 10):
        host.measure(sender, 30)
        assert sender.acknowledged == 30
        assert host.bus.conditions == []
        assert {note.kind for note in host.bus.notes} >= {"segment_abandoned"}
    host.rotate()
    assert host.query("select count(*), count(distinct number) from {sample}") == [(1200, 30)]
    assert not (host.state / "data" / "gap").exists()


def test_a_rotation_that_heals_says_so(host: WriterHost) -> None:
    """After a failure nobody waits for the next second: `agentctl rotate` tries at once and tells the truth."""
    sender = host.sender()
    host.measure(sender)
    spool = host.state / "spool"
    with file_size_max(64):
        host.measure(sender)
        assert host.bus.conditions[-1].active
        refused = host.rotate()
        assert str(spool) in refused["problem"]
    answer = host.rotate()
    assert "problem" not in answer
    assert answer["rows"] == 40
    assert host.bus.conditions[-1] == Condition(kind="spool", active=False, detail="")
    assert sender.acknowledged == 2
    host.turn()
    host.measure(sender)
    assert sender.acknowledged == 3


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.ESTALE])
def test_a_failed_sync_is_not_believed_when_it_is_repeated(host: WriterHost, error: int) -> None:
    """The kernel calls the next sync a success: the segment is followed by a new one and sealed, and until then it is said
    that nobody knows."""
    syncer = BrokenSyncer()
    host.start(syncer=syncer)
    sender = host.sender()
    host.measure(sender, 3)
    host.turn()
    (former,) = [name for name in host.spool_files() if (host.state / "spool" / name).stat().st_size > 2000]
    syncer.error = error
    host.measure(sender, 6)
    conditions = [item for item in host.bus.conditions if item.kind == "sync"]
    assert conditions[0].active
    assert not conditions[0].blocks_ready
    assert "is not known until they are sealed" in conditions[0].detail
    assert host.work._spool.name != former
    assert "sync_failed" in {note.kind for note in host.bus.notes}
    assert not host.work.is_done() or conditions[-1].active
    syncer.error = None

    def is_over() -> bool:
        host.clock.advance(S)
        return not [item for item in host.bus.conditions if item.kind == "sync"][-1].active

    host.turn_until(is_over)
    assert former not in host.spool_files()
    host.rotate()
    assert host.query("select count(*), count(distinct number) from {sample}") == [(360, 9)]


def test_a_disk_that_fails_at_every_sync_gets_no_end_of_segments(host: WriterHost) -> None:
    """So many wait for the sealer; then rows go on into the open one."""
    syncer = BrokenSyncer()
    host.start(syncer=syncer)
    syncer.error = errno.EIO
    sender = host.sender()
    host.measure(sender, 100)
    assert sender.acknowledged == 100
    assert len(host.spool_files()) <= SUSPECTS_MAX + 2


@pytest.mark.runbook("Writer and spool")
def test_a_sync_that_does_not_end_is_a_condition(host: WriterHost) -> None:
    """Longer than its interval: told, storing goes on, a stop does not wait for it; and it ends with the sync."""
    syncer = BrokenSyncer()
    host.start(syncer=syncer)
    sender = host.sender()
    syncer.is_stuck = True
    host.measure(sender, 12)
    assert sender.acknowledged == 12
    (condition,) = host.bus.conditions
    assert (condition.kind, condition.active, condition.blocks_ready) == ("sync", True, False)
    assert "longer than 5s" in condition.detail
    assert host.work.is_done()
    syncer.is_stuck = False
    host.measure(sender, 6)
    assert host.bus.conditions[-1] == Condition(kind="sync", active=False, detail="")


@pytest.mark.parametrize(("word", "is_failure"), [("EINVAL", False), ("ENOTSUP", False), ("ENOSYS", False), ("EIO", True)])
def test_a_file_system_that_syncs_no_folders_keeps_nothing_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, is_failure: bool
) -> None:
    """As network and user-space file systems answer, with one word or another: files are synced there, and that is enough."""
    points = tmp_path / "points"
    points.mkdir()
    monkeypatch.setattr(failpoint, "_folder", str(points))
    (points / "folder.before_sync").write_text(f"error {word}")
    with pytest.raises(OSError, match=r"folder\.before_sync") if is_failure else nullcontext():
        sync_folder(str(tmp_path))
    assert os.listdir(points) == []
