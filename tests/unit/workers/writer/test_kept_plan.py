"""Which sealed segments stay for sinks, and which go for which reason."""

from hypothesis import given
from hypothesis import strategies as st

from agent.store.place import BEGINNING, BEHIND_SEGMENT, Place
from workers.writer.kept_plan import KeptFile, Removal, SinkNeed, removals


def file(generation: int, size_bytes: int = 10) -> KeptFile:
    """The segment of a generation."""
    segment = f"{generation:08x}00000000"
    return KeptFile(f"20240101T000000Z-{segment}.spool", segment, size_bytes)


def need(generation: int | None, quota_bytes: int = 1000, offset: int = 5, sink: str = "s") -> SinkNeed:
    """A sink that is in the segment of a generation."""
    return SinkNeed(sink, quota_bytes, None if generation is None else Place(file(generation).segment, offset))


def gone(found: list[Removal]) -> list[tuple[int, str]]:
    """Generation and reason of each."""
    return [(int(each.file.segment[:8], 16), each.reason) for each in found]


KEPT = [file(1), file(2), file(3)]


def test_what_every_sink_has_passed_goes() -> None:
    """The segment in which a sink is stays, since something of it may be left."""
    assert gone(removals(KEPT, [need(3), need(2, sink="t")], 0)) == [(1, "")]


def test_a_sink_that_has_read_nothing_yet_needs_everything() -> None:
    """Without a cursor, or with one that has not begun."""
    assert removals(KEPT, [need(None), need(4)], 0) == []
    assert removals(KEPT, [SinkNeed("s", 1000, BEGINNING)], 0) == []


def test_a_segment_whose_end_a_sink_has_reached_is_not_needed() -> None:
    """Nothing of it is left, although the sink has not begun with a later one."""
    assert gone(removals(KEPT, [need(2, offset=BEHIND_SEGMENT)], 0)) == [(1, ""), (2, "")]
    assert gone(removals(KEPT, [need(2, offset=0)], 0)) == [(1, "")]


def test_without_sinks_everything_goes() -> None:
    """What an earlier configuration has left."""
    assert gone(removals(KEPT, [], 0)) == [(1, ""), (2, ""), (3, "")]


def test_a_sink_has_no_more_waiting_than_its_quota() -> None:
    """The oldest goes, and only as many as must."""
    assert gone(removals(KEPT, [need(None, quota_bytes=20)], 0)) == [(1, "sink_quota")]
    assert removals(KEPT, [need(None, quota_bytes=30)], 0) == []


def test_a_segment_that_another_sink_still_has_room_for_stays() -> None:
    """The quota of one sink costs another nothing."""
    assert removals(KEPT, [need(None, quota_bytes=1), need(None, quota_bytes=30, sink="t")], 0) == []


def test_the_quota_of_a_sink_that_is_ahead_does_not_count_for_what_it_has() -> None:
    """The one that is behind loses what is above its own."""
    assert gone(removals(KEPT, [need(3, quota_bytes=1000), need(1, quota_bytes=25, sink="t")], 0)) == [(1, "sink_quota")]


def test_all_together_have_their_part_of_the_storage_quota() -> None:
    """However much each sink may have waiting."""
    assert gone(removals(KEPT, [need(None)], 15)) == [(1, "storage_quota"), (2, "storage_quota")]
    assert removals(KEPT, [need(None)], 30) == []


def test_what_nobody_needs_makes_room_first() -> None:
    """No sink loses anything while what has been read is still there."""
    assert gone(removals(KEPT, [need(2)], 20)) == [(1, "")]


@given(
    sizes=st.lists(st.integers(0, 50), max_size=12),
    sinks=st.lists(st.tuples(st.none() | st.integers(0, 13), st.integers(0, 200)), max_size=4),
    cap=st.integers(0, 300),
)
def test_what_stays_is_within_every_bound_and_nothing_goes_without_a_reason(
    sizes: list[int], sinks: list[tuple[int | None, int]], cap: int
) -> None:
    """The oldest go first; each removal was needed; afterwards all bounds hold."""
    kept = [file(number, size) for number, size in enumerate(sizes, start=1)]
    needs = [need(generation, quota, sink=str(number)) for number, (generation, quota) in enumerate(sinks)]
    found = removals(kept, needs, cap)
    assert [each.file for each in found] == kept[: len(found)]
    for removal in found:
        needing = [each for each in needs if each.needs(removal.file.segment)]
        assert (removal.reason == "") == (not needing)
        rest = kept[kept.index(removal.file) :]
        if removal.reason == "sink_quota":
            waiting = {each.sink: sum(f.size_bytes for f in rest if each.needs(f.segment)) for each in needing}
            assert all(waiting[each.sink] > each.quota_bytes for each in needing)
        elif removal.reason:
            assert removal.reason == "storage_quota"
            assert sum(f.size_bytes for f in rest) > cap
    left = kept[len(found) :]
    assert not cap or not left or sum(f.size_bytes for f in left) <= cap
    assert not left or any(each.needs(left[0].segment) for each in needs)
    if left:
        assert any(
            sum(f.size_bytes for f in left if each.needs(f.segment)) <= each.quota_bytes
            for each in needs
            if each.needs(left[0].segment)
        )
