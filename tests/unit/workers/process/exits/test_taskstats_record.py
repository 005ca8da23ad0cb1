"""Exit records: every version's layout, real bytes of a kernel, and foreign ones."""

from pathlib import Path
from struct import pack_into

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.framework.netlink_message import pack_attribute, pack_generic, pack_message, pack_uint32
from workers.process.exits.taskstats_record import (
    LAST_OF_GROUP,
    ExitRecord,
    ExitRecords,
    SlotFormat,
    is_usual,
    layout_of,
    parse_datagram,
    parse_stats,
)

CAPTURED = Path(__file__).parents[4] / "fixtures" / "taskstats"
# The family's number when the bytes were captured, on Linux 6.18.
FAMILY = 31
# Sizes of the struct by version. *Source:* the history of linux/include/uapi/linux/taskstats.h.
SIZES = {8: 328, 9: 344, 10: 352, 11: 368, 12: 400, 13: 416, 14: 432, 15: 560, 16: 560, 17: 688}
RUN, DELAY, PID, ELAPSED, SLEEPS, TGID = 72, 24, 128, 144, 272, 368


def stats(version: int, size: int) -> bytes:
    """A struct of this version with a value of its own in each field that is used."""
    place = {name: name for name in (RUN, DELAY, PID, ELAPSED, SLEEPS, TGID)}
    if version == 15:
        place = {DELAY: 24, RUN: 72 + 48, PID: 128 + 48, ELAPSED: 144 + 48, SLEEPS: 272 + 48, TGID: 368 + 96}
    data = bytearray(size)
    pack_into("=H", data, 0, version)
    for field, code, value in ((DELAY, "Q", 5), (RUN, "Q", 7), (PID, "I", 11), (ELAPSED, "Q", 13), (SLEEPS, "Q", 17)):
        pack_into(f"={code}", data, place[field], value)
    if version >= 12:
        pack_into("=I", data, place[TGID], 19)
    return bytes(data)


@pytest.mark.parametrize(("version", "size"), [*SIZES.items(), (16, 900), (18, 800)])
def test_each_version_has_its_fields_at_its_offsets(version: int, size: int) -> None:
    """Also the one that moved them, and those of later kernels, which only add at the end."""
    found = parse_stats(stats(version, size))
    assert found is not None
    assert (found.run_delay_ns, found.run_ns, found.pid, found.elapsed_us, found.sleeps) == (5, 7, 11, 13, 17)
    assert found.tgid == (19 if version >= 12 else 0)


@pytest.mark.parametrize("size", [0, 1, 80, 287])
def test_a_struct_that_is_too_short_is_none(size: int) -> None:
    """Kernels that old are not guessed about."""
    assert parse_stats(bytes([3, 0] * 200)[:size]) is None
    assert layout_of(0, 400) is None


def test_a_real_record_of_one_thread() -> None:
    """A shell that exits with 3: its name, its code, and that it was the last thread of its process."""
    data = (CAPTURED / "v16-single.bin").read_bytes()
    found = parse_datagram(data, FAMILY)
    assert found is not None
    assert found.thread is not None
    assert found.group is None
    assert (found.thread.version, found.thread.comm.rstrip(b"\0"), found.thread.exit_code) == (16, b"sh", 0x300)
    assert found.thread.flags & LAST_OF_GROUP
    assert found.thread.tgid == found.thread.pid


def test_a_real_record_with_the_total_of_several_threads() -> None:
    """The last thread's own time, and that of all."""
    found = parse_datagram((CAPTURED / "v16-group.bin").read_bytes(), FAMILY)
    assert found is not None
    assert found.thread is not None
    assert found.group is not None
    assert found.group.tgid == found.thread.tgid
    assert found.group.run_ns >= found.thread.run_ns


@pytest.mark.parametrize("name", ["v16-single.bin", "v16-group.bin"])
def test_every_prefix_and_every_altered_byte_is_harmless(name: str) -> None:
    """A cut datagram gives a record or none; one altered byte never an error."""
    data = (CAPTURED / name).read_bytes()
    for end in range(len(data)):
        parse_datagram(data[:end], FAMILY)
        parse_datagram(data[:end] + bytes([data[end] ^ 0xFF]) + data[end + 1 :], FAMILY)
    assert parse_datagram(data, FAMILY + 1) is None


@settings(max_examples=200)
@given(st.binary(max_size=700))
def test_any_bytes_are_parsed_without_an_error(data: bytes) -> None:
    """Attributes that overlap, are empty or of unknown types are passed over."""
    parse_datagram(data, FAMILY)
    parse_datagram(pack_message(FAMILY, data), FAMILY)
    record = parse_stats(data)
    assert record is None or (record.run_ns >= 0 and len(record.comm) <= 32)


def test_slots_are_unpacked_like_single_datagrams() -> None:
    """Three datagrams in slots of 1 KiB: the fast way gives the same values as the careful one."""
    data = (CAPTURED / "v16-single.bin").read_bytes()
    parsed = parse_datagram(data, FAMILY)
    assert parsed is not None
    assert is_usual(data, parsed)
    form = SlotFormat(data, 1024)
    room = b"".join((data.ljust(1024, b"\xaa"), data.ljust(1024, b"\xbb"), bytes(1024)))
    found = list(form.unpack.iter_unpack(room))
    assert [values[:4] == form.expected for values in found] == [True, True, False]
    assert [ExitRecord._make(values[4:]) for values in found[:2]] == [parsed.thread] * 2
    assert form.length == len(data)


def test_only_the_usual_shape_is_unpacked_fast() -> None:
    """Not one with a total, nor one without its process, nor one whose struct is elsewhere."""
    group = (CAPTURED / "v16-group.bin").read_bytes()
    parsed = parse_datagram(group, FAMILY)
    assert parsed is not None
    assert not is_usual(group, parsed)
    old = event(stats(10, 352))
    parsed = parse_datagram(old, FAMILY)
    assert parsed is not None
    assert not is_usual(old, parsed)
    padded = event(stats(16, 560), padding=pack_attribute(6, b""))
    parsed = parse_datagram(padded, FAMILY)
    assert parsed is not None
    assert not is_usual(padded, parsed)


def event(data: bytes, padding: bytes = b"") -> bytes:
    """A datagram with one record."""
    parts = pack_attribute(1, pack_uint32(11)) + padding + pack_attribute(3, data)
    return pack_message(FAMILY, pack_generic(2, pack_attribute(4, parts)))


def test_records_begin_empty() -> None:
    """Nothing lost, nothing malformed; two of them share no list."""
    first, second = ExitRecords(), ExitRecords()
    first.threads.append(parse_stats(stats(12, 400)))  # type: ignore[arg-type]  # it has a layout
    assert (second.threads, second.groups, second.lost, second.malformed) == ([], {}, 0, 0)
