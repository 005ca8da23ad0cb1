"""No inode left, things that cannot be removed, and things of a kind that nobody expects: the writer goes on storing."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.segment import segment_of
from fakes.small_disk import mounted
from fakes.writer_host import WriterHost

from agent.model.timebase import MINUTE, S

OWN_NAME = "20240101T000000Z-0000000100000000"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[WriterHost]:
    """A host whose writer has started."""
    host = WriterHost(tmp_path)
    yield host
    host.close()


def socket_at(path: Path) -> None:
    """A socket that somebody bound there."""
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a test's folder is too long for a socket's address.
        former = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)
        try:
            listener.bind(path.name)
        finally:
            os.fchdir(former)
            os.close(former)


KINDS: dict[str, Callable[[Path], None]] = {
    "folder": lambda path: (path / "x").mkdir(parents=True),
    "FIFO": os.mkfifo,
    "socket": socket_at,
    "dangling link": lambda path: path.symlink_to("/nowhere/at-all"),
    "link to a folder": lambda path: path.symlink_to("/proc"),
    "device": lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5)),
}


def goes_on(host: WriterHost) -> None:
    """The next writer starts, stores, seals, and its state can be told as messages are."""
    import msgspec

    host.start()
    sender = host.sender(epoch=host.epoch)
    host.measure(sender, 2)
    assert sender.acknowledged == 2
    host.rotate()
    assert host.query("select count(distinct number) from {sample}")[0][0] >= 2
    assert "spool" not in [condition.kind for condition in host.bus.conditions if condition.active]
    for told in (*host.bus.conditions, *host.bus.notes, host.stats()):
        msgspec.msgpack.encode(told)


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_files_in_the_spool_are_left_alone(host: WriterHost, kind: str) -> None:
    """Under the name of a segment, of one in the making, of anything: not opened, not removed, counted and named."""
    names = [f"{OWN_NAME}.spool", f".{OWN_NAME}.spool.new", "x.new", "x.spool"]
    for name in names:
        KINDS[kind](host.state / "spool" / name)
    goes_on(host)
    assert {name for name in host.spool_files() if name in names} == set(names)
    (note,) = [note for note in host.bus.notes if note.kind == "spool_foreign_files"]
    assert note.fields["files"] == host.stats()["foreign_files"] == 4
    assert "x.new" in str(note.fields["problem"])


@pytest.mark.parametrize(
    "name", [b"\xff.spool", b"\x1b[2J.spool", b"x" * 249 + b".spool", b"\xff.spool.new", b"20240101T000000Z-\xff.spool"]
)
def test_foreign_names_in_spool_data_and_set_aside_end_nothing(host: WriterHost, name: bytes) -> None:
    """Bytes that are no UTF-8, control characters, names of the greatest length: left alone and written readably."""
    for folder in ("spool", "data/sample/date=2024-01-01", "data/.tmp", "set-aside", "data"):
        os.makedirs(host.state / folder, exist_ok=True)
        Path(os.fsdecode(os.path.join(os.fsencode(host.state / folder), name))).write_bytes(segment_of(2))
    host.config.values["writer.storage_quota"] = 1 << 30
    goes_on(host)
    (note,) = [note for note in host.bus.notes if note.kind == "spool_foreign_files"]
    assert str(note.fields["problem"]).isprintable()
    assert os.path.lexists(os.path.join(os.fsencode(host.state / "spool"), name))
    assert host.stats()["quota"]["foreign_files"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_sealer_left_that_is_no_file_keeps_nobody_down(host: WriterHost, kind: str) -> None:
    """In the hidden folder of the sealers and instead of it; what cannot be removed is a condition with its path."""
    hidden = host.state / "data" / ".tmp"
    hidden.mkdir(parents=True)
    KINDS[kind](hidden / "left")
    goes_on(host)
    is_left = (hidden / "left").exists()
    assert is_left == (kind == "folder")
    assert [item.kind for item in host.bus.conditions if item.active] == ["leftovers"] * is_left
    if is_left:
        assert f"{hidden}/left" in host.bus.conditions[0].detail
        (hidden / "left" / "x").rmdir()
        (hidden / "left").rmdir()
        host.clock.advance(1 * MINUTE)
        host.turn()
        assert not host.bus.conditions[-1].active


@pytest.fixture
def immutable() -> Iterator[Callable[[Path], None]]:
    """Makes files that not even root can remove, until the test is over."""
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        subprocess.run(["chattr", "+i", str(path)], check=True)

    yield make
    for path in made:
        subprocess.run(["chattr", "-i", str(path)], check=True)


def test_immutable_leftovers_keep_nobody_down(host: WriterHost, immutable: Callable[[Path], None]) -> None:
    """An unfinished segment, a hidden file and an empty segment that cannot be removed."""
    spool, hidden = host.state / "spool", host.state / "data" / ".tmp"
    hidden.mkdir(parents=True)
    for path, data in (
        (spool / f".{OWN_NAME}.spool.new", b"x"),
        (hidden / "left", b"x"),
        (spool / f"{OWN_NAME}.spool", segment_of(0, segment=OWN_NAME.partition("-")[2])),
    ):
        path.write_bytes(data)
        immutable(path)
    goes_on(host)
    assert next(item.kind for item in host.bus.conditions if item.active) == "leftovers"


@pytest.mark.parametrize("is_damaged", [False, True])
def test_an_immutable_segment_is_sealed_once_and_left(
    host: WriterHost, immutable: Callable[[Path], None], *, is_damaged: bool
) -> None:
    """Its rows are in Parquet, the condition names it, others are sealed, and it goes once it can."""
    path = host.state / "spool" / f"{OWN_NAME}.spool"
    data = bytearray(segment_of(3, segment=OWN_NAME.partition("-")[2]))
    data[len(data) // 2] ^= is_damaged
    path.write_bytes(data)
    subprocess.run(["chattr", "+i", str(path)], check=True)
    try:
        goes_on(host)
        assert host.stats()["segments_waiting"] == 0
        assert [item.kind for item in host.bus.conditions] == ["leftovers"]
        assert str(path) in host.bus.conditions[0].detail
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True)
    host.clock.advance(1 * MINUTE)
    host.turn()
    assert not path.exists()
    assert (host.state / "set-aside" / path.name).exists() == is_damaged
    assert [item.kind for item in host.bus.conditions if not item.active] == ["leftovers"]


def test_a_set_aside_folder_that_is_a_file_keeps_nobody_down(host: WriterHost) -> None:
    """Whatever stands in its place is told, and the rest goes on."""
    (host.state / "set-aside").rmdir()
    (host.state / "set-aside").write_text("in the way")
    goes_on(host)
    assert "something else is in the way" in host.bus.conditions[0].detail


def fill_inodes(folder: Path) -> list[Path]:
    """Take every inode that is left."""
    made: list[Path] = []
    folder.mkdir()
    while True:
        try:
            (folder / str(len(made))).touch()
        except OSError:
            return made
        made.append(folder / str(len(made)))


def test_without_an_inode_the_open_segment_goes_on(tmp_path: Path) -> None:
    """It cannot be rotated: rows are stored in it beyond its limit, a condition names the inodes, and it ends with them."""
    with mounted(tmp_path / "disk", "8m,nr_inodes=64") as folder:
        host = WriterHost(folder, {"writer.seal_bytes": 64 << 10})
        try:
            sender = host.sender()
            host.measure(sender, 3)
            taken = fill_inodes(folder / "taken")
            host.measure(sender, 100)
            assert sender.acknowledged == 103
            (condition,) = host.bus.conditions
            assert (condition.kind, condition.active, condition.blocks_ready) == ("rotation", True, False)
            assert "no inode left" in condition.detail
            assert "df -i" in condition.detail
            assert "free space" not in condition.detail
            assert "no inode left" in host.rotate()["problem"]
            host.measure(sender)
            for path in taken:
                path.unlink()
            host.clock.advance(2 * S)
            host.turn()
            assert host.bus.conditions[-1].kind == "rotation"
            assert not host.bus.conditions[-1].active
            host.rotate()
            assert host.query("select count(*), count(distinct number) from {sample}") == [(104 * 40, 104)]
        finally:
            host.close()
