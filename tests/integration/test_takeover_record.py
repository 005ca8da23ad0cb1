"""The takeover record over a real file: what one supervisor writes, the next one reads, whatever ended the first."""

import os
from pathlib import Path

import pytest
from fakes.small_disk import mounted

from agent.model.errors import StorageError
from supervisor.shell.takeover_record import (
    ServerRecord,
    TakeoverRecordFile,
    boot_id,
    parse_takeover_record,
    read_takeover_record,
)

BOOT = bytes(range(16))
PRINT = bytes(range(32))
SERVER = ServerRecord(4711, 123_456_789, 987_654, "/run/evergauge/fork/listener-abcdefgh")


def _record_file(path: Path) -> TakeoverRecordFile:
    return TakeoverRecordFile(
        str(path), boot_id=BOOT, run="0123456789abcdef", fingerprint=PRINT, epochs={"writer": 0, "sampler/process": 0}
    )


def test_what_is_noted_is_found(tmp_path: Path) -> None:
    """Run, boot, fingerprint, the fork server, and how often each worker was started; without any closing or flushing."""
    record_file = _record_file(tmp_path / "takeover-record")
    record_file.note_server(SERVER)
    record_file.note_epoch("sampler/process", 17)
    record = read_takeover_record(str(tmp_path / "takeover-record"))
    assert record is not None
    assert (record.boot_id, record.run, record.fingerprint) == (BOOT, "0123456789abcdef", PRINT)
    assert record.server == SERVER
    assert record.epochs == {"writer": 0, "sampler/process": 17}
    record_file.close()


def test_a_server_that_is_taken_over_stands_in_it_from_the_first_moment(tmp_path: Path) -> None:
    """A supervisor that dies right after it made its takeover record leaves the fork server of its predecessor to be found."""
    path = str(tmp_path / "takeover-record")
    TakeoverRecordFile(path, boot_id=BOOT, run="r", fingerprint=PRINT, epochs={"writer": 4}, server=SERVER).close()
    record = read_takeover_record(path)
    assert record is not None
    assert (record.server, record.epochs) == (SERVER, {"writer": 4})


def test_before_a_server_is_noted_there_is_none(tmp_path: Path) -> None:
    """A supervisor that finds such a record has nothing to take over."""
    _record_file(tmp_path / "takeover-record").close()
    record = read_takeover_record(str(tmp_path / "takeover-record"))
    assert record is not None
    assert record.server is None


def test_a_new_takeover_record_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    """Nothing of it shows through."""
    old = _record_file(tmp_path / "takeover-record")
    old.note_server(SERVER)
    _record_file(tmp_path / "takeover-record").close()
    # A supervisor that is dead and has only its mapping left writes into nothing.
    old.note_epoch("writer", 9)
    record = read_takeover_record(str(tmp_path / "takeover-record"))
    assert record is not None
    assert record.server is None
    assert record.epochs["writer"] == 0
    assert os.listdir(tmp_path) == ["takeover-record"]


@pytest.mark.parametrize("content", [b"", b"evgtake1", b"x" * 4096, b"evgledg1" + bytes(4096)])
def test_what_is_no_takeover_record_is_none(tmp_path: Path, content: bytes) -> None:
    """Another version's, a torn one, anything."""
    (tmp_path / "takeover-record").write_bytes(content)
    assert read_takeover_record(str(tmp_path / "takeover-record")) is None
    assert read_takeover_record(str(tmp_path / "absent")) is None


def test_every_altered_byte_leaves_numbers_in_their_range_or_no_record(tmp_path: Path) -> None:
    """A damaged record never makes the next supervisor ask the kernel for an impossible process, or count beyond its field."""
    record_file = _record_file(tmp_path / "takeover-record")
    record_file.note_server(SERVER)
    record_file.note_epoch("writer", 3)
    whole = bytearray((tmp_path / "takeover-record").read_bytes())
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            whole[at] ^= flip
            record = parse_takeover_record(bytes(whole))
            whole[at] ^= flip
            if record is not None:
                assert record.server is None or 0 < record.server.pid <= 1 << 22
                assert max(record.epochs.values()) <= 1 << 53


def test_every_cut_of_a_takeover_record_is_none_or_shorter(tmp_path: Path) -> None:
    """No prefix of one is read as something else, and none raises."""
    path = tmp_path / "takeover-record"
    record_file = _record_file(path)
    record_file.note_server(SERVER)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        record = read_takeover_record(str(path))
        assert record is None or (record.server == SERVER and set(record.epochs) <= {"writer", "sampler/process"})


def test_a_full_disk_is_met_when_it_is_made_and_never_after(tmp_path: Path) -> None:
    """Its room is taken at once: a note is a store into memory that cannot be refused."""
    with mounted(tmp_path / "disk", "64k") as disk:
        record_file = _record_file(disk / "takeover-record")
        with pytest.raises(OSError, match="No space left"):
            (disk / "ballast").write_bytes(bytes(1 << 20))
        record_file.note_server(SERVER)
        record = read_takeover_record(str(disk / "takeover-record"))
        assert record is not None
        assert record.server == SERVER
        with pytest.raises(StorageError, match="make room"):
            TakeoverRecordFile(
                str(disk / "other"),
                boot_id=BOOT,
                run="r",
                fingerprint=PRINT,
                epochs={f"sampler/{number}": 0 for number in range(4000)},
            )
        record_file.close()


def test_this_boot_has_a_name() -> None:
    """The same whenever it is asked for."""
    assert boot_id() == boot_id()
    assert len(boot_id()) == 16


def test_one_that_was_removed_is_made_again_with_all_that_it_held(tmp_path: Path) -> None:
    """Its entries, and those that are written after it; a file that somebody else put there is not taken for it."""
    path = tmp_path / "takeover-record"
    record_file = _record_file(path)
    record_file.note_server(SERVER)
    record_file.note_epoch("writer", 3)
    assert record_file.is_there()
    path.unlink()
    path.write_text("another")
    assert not record_file.is_there()
    record_file.make_again()
    record_file.note_epoch("sampler/process", 5)
    assert record_file.is_there()
    record = read_takeover_record(str(path))
    assert record is not None
    assert (record.run, record.server, record.epochs) == ("0123456789abcdef", SERVER, {"writer": 3, "sampler/process": 5})
    record_file.close()
