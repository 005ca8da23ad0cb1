"""Following the spool from a place on, over real files."""

import os
from pathlib import Path

import pytest
from fakes.segment import WALL_NS, batch_frame, head_of, segment_of
from msgspec.structs import replace

from agent.store.place import BEGINNING, Place
from agent.store.record import encode_head
from agent.store.segment import segment_name
from agent.store.spool_follower import SpoolFollower

FIRST, SECOND, THIRD = "0000000100000000", "0000000200000000", "0000000300000000"
ALL = 1 << 30


def put(state: Path, segment: str, data: bytes, folder: str = "spool") -> Path:
    """A segment's file."""
    path = state / folder / segment_name(head_of(segment))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def seqs(state: Path, after: Place = BEGINNING, until: Place | None = None) -> list[int]:
    """The numbers of the batches that follow a place."""
    follower = SpoolFollower(str(state), None)
    try:
        return [batch.entry.seq for batch in follower.read(after, ALL, until)]
    finally:
        follower.close()


def test_batches_come_in_the_order_of_the_segments_from_either_folder(tmp_path: Path) -> None:
    """Kept segments and those of the spool are one line."""
    put(tmp_path, SECOND, segment_of(2, segment=SECOND))
    put(tmp_path, FIRST, segment_of(3, segment=FIRST), "kept")
    assert seqs(tmp_path) == [1, 2, 3, 1, 2]


def test_reading_goes_on_behind_every_batch(tmp_path: Path) -> None:
    """From the place behind any batch exactly the later ones follow."""
    put(tmp_path, FIRST, segment_of(3, segment=FIRST))
    put(tmp_path, SECOND, segment_of(2, segment=SECOND))
    follower = SpoolFollower(str(tmp_path), None)
    batches = follower.read(BEGINNING, ALL)
    for number, batch in enumerate(batches, start=1):
        rest = follower.read(batch.behind, ALL)
        assert [each.place for each in rest] == [each.place for each in batches[number:]]
    follower.close()


def test_a_segment_that_is_gone_is_passed(tmp_path: Path) -> None:
    """What follows a place in a missing segment begins with the next one that is there."""
    put(tmp_path, THIRD, segment_of(2, segment=THIRD))
    assert seqs(tmp_path, Place(FIRST, 50)) == [1, 2]


def test_a_growing_segment_is_followed_and_its_torn_end_waited_for(tmp_path: Path) -> None:
    """A record that is half written is nothing yet; whole, it is the next batch."""
    data = segment_of(2, segment=FIRST)
    path = put(tmp_path, FIRST, data[:-10])
    follower = SpoolFollower(str(tmp_path), None)
    (first,) = follower.read(BEGINNING, ALL)
    assert follower.read(first.behind, ALL) == []
    path.write_bytes(data)
    assert [batch.entry.seq for batch in follower.read(first.behind, ALL)] == [2]
    assert follower.damaged_bytes == 0
    follower.close()


def test_damage_in_the_middle_costs_its_record_alone(tmp_path: Path) -> None:
    """The records behind a damaged one are found."""
    data = bytearray(segment_of(3, segment=FIRST))
    at = len(encode_head(head_of(FIRST))) + len(batch_frame(1)) + 60
    data[at] ^= 0xFF
    put(tmp_path, FIRST, bytes(data))
    follower = SpoolFollower(str(tmp_path), None)
    assert [batch.entry.seq for batch in follower.read(BEGINNING, ALL)] == [1, 3]
    assert follower.damaged_bytes == len(batch_frame(2))
    follower.close()


def test_a_segment_that_was_written_again_is_not_read_twice(tmp_path: Path) -> None:
    """The writer's copy of a removed segment has its records at the same offsets, and reading goes on there."""
    put(tmp_path, FIRST, segment_of(3, segment=FIRST))
    follower = SpoolFollower(str(tmp_path), None)
    second = follower.read(BEGINNING, ALL)[1]
    os.unlink(tmp_path / "spool" / segment_name(head_of(FIRST)))
    copy = replace(head_of(SECOND), superseded=(segment_name(head_of(FIRST)),))
    frames = b"".join(batch_frame(seq) for seq in range(1, 5))
    put(tmp_path, SECOND, encode_head(copy) + frames)
    assert [batch.entry.seq for batch in follower.read(second.behind, ALL)] == [3, 4]
    follower.close()


def test_another_installations_segment_is_passed_over(tmp_path: Path) -> None:
    """What somebody restored here from another host is not exported as ours."""
    put(tmp_path, FIRST, encode_head(replace(head_of(FIRST), install="aaaaaaaaaaaaaaaa")) + batch_frame(1))
    put(tmp_path, SECOND, encode_head(replace(head_of(SECOND), install="bbbbbbbbbbbbbbbb")) + batch_frame(2))
    follower = SpoolFollower(str(tmp_path), None, "bbbbbbbbbbbbbbbb")
    assert [batch.entry.seq for batch in follower.read(BEGINNING, ALL)] == [2]
    follower.close()


def test_only_the_tables_that_are_asked_for_come(tmp_path: Path) -> None:
    """Records of other tables are passed over."""
    put(tmp_path, FIRST, segment_of(3, segment=FIRST))
    follower = SpoolFollower(str(tmp_path), {"gap"})
    assert follower.read(BEGINNING, ALL) == []
    follower.close()


@pytest.mark.parametrize("thing", ["fifo", "folder", "link", "garbage"])
def test_what_is_no_segment_is_passed_over(tmp_path: Path, thing: str) -> None:
    """Whatever has the name of a segment, the others are read, and nobody waits."""
    path = put(tmp_path, FIRST, b"no segment at all" * 10)
    if thing != "garbage":
        path.unlink()
    if thing == "fifo":
        os.mkfifo(path)
    elif thing == "folder":
        path.mkdir()
    elif thing == "link":
        path.symlink_to("/etc/hostname")
    put(tmp_path, SECOND, segment_of(1, segment=SECOND))
    assert seqs(tmp_path) == [1]


def test_reading_stops_before_a_place_and_at_a_size(tmp_path: Path) -> None:
    """`until` is not read; a size is exceeded by one batch at most, and one batch always comes."""
    put(tmp_path, FIRST, segment_of(5, segment=FIRST))
    follower = SpoolFollower(str(tmp_path), None)
    batches = follower.read(BEGINNING, ALL)
    assert [batch.entry.seq for batch in follower.read(BEGINNING, ALL, batches[3].place)] == [1, 2, 3]
    assert [batch.entry.seq for batch in follower.read(BEGINNING, 1)] == [1]
    assert batches[0].entry.stamp_wall_ns == WALL_NS + 10**9
    follower.close()


@pytest.mark.parametrize("reads_removed", [False, True])
def test_a_segment_that_is_kept_open_is_read_to_its_end_only_where_that_is_wanted(tmp_path: Path, reads_removed: bool) -> None:
    """A sink must not: what was removed before it read it counts as pruned."""
    path = put(tmp_path, FIRST, segment_of(1, segment=FIRST))
    follower = SpoolFollower(str(tmp_path), None, reads_removed=reads_removed)
    (first,) = follower.read(BEGINNING, ALL)
    path.write_bytes(segment_of(2, segment=FIRST))
    path.unlink()
    put(tmp_path, SECOND, segment_of(3, segment=SECOND))
    found = [batch.entry.seq for batch in follower.read(first.behind, ALL)]
    assert found == ([2, 1, 2, 3] if reads_removed else [1, 2, 3])
    follower.close()
