"""Names of segments and their order."""

import pytest
from fakes.segment import head_of
from hypothesis import given
from hypothesis import strategies as st

from agent.model.timebase import S, compact_utc
from agent.store.segment import (
    GENERATION_MAX,
    created_wall_ns,
    generation_in_sealed,
    generation_of,
    id_in,
    in_order,
    is_segment_name,
    is_set_aside_name,
    segment_id,
    segment_name,
)


@given(st.integers(1, GENERATION_MAX), st.integers(0, (1 << 32) - 1), st.integers(0, 250_000_000_000))
def test_a_name_tells_its_generation_id_and_time(generation: int, chance: int, second: int) -> None:
    """Whatever was put into a name is read out of it."""
    segment = segment_id(generation, f"{chance:08x}")
    name = f"{compact_utc(second * S)}-{segment}.spool"
    assert is_segment_name(name)
    assert (id_in(name), generation_of(segment), created_wall_ns(name)) == (segment, generation, second * S)


def test_ids_without_a_generation_are_older_than_all_others() -> None:
    """As they were made before there were generations; and whatever else somebody wrote there."""
    for segment in ("ffffffffffff", "", "a", "ffffffff-fffffff", "0123456789abcdef0", "0123456789ABCDEF"):
        assert generation_of(segment) == 0
    assert created_wall_ns("of-a-person.spool") is None


def test_order_follows_the_generation_and_no_clock() -> None:
    """A segment opened later is later, also with the clock set back by years; without generations the times decide."""
    names = [
        "20990101T000000Z-aaaaaaaaaaaa.spool",
        "20250101T000000Z-0000000100000000.spool",
        "20300101T000000Z-0000000200000000.spool",
        "20200101T000000Z-0000000a00000000.spool",
        "20210101T000000Z-0000001000000000.spool",
    ]
    assert in_order(reversed(names)) == names
    assert in_order(["20250102T000000Z-000000000001.spool", "20250101T000000Z-000000000002.spool"])[0].startswith("20250101")


@pytest.mark.parametrize(
    "name",
    [
        "x.spool",
        "\udcff.spool",
        ".20240101T000000Z-0123456789abcdef.spool.new",
        "20240101T000000Z-0123456789abcde.spool",
        "20240101T000000Z-0123456789abcdef.spool.1",
        "20240101T000000Z-0123456789abcdef.spool\n",
        "٢0240101T000000Z-0123456789abcdef.spool",
    ],
)
def test_other_names_are_no_segments(name: str) -> None:
    """They are a person's, whatever they look like."""
    assert not is_segment_name(name)


def test_set_aside_names_may_have_a_number() -> None:
    """The second of one name gets `.1`."""
    name = segment_name(head_of("0123456789abcdef"))
    assert is_set_aside_name(name)
    assert is_set_aside_name(f"{name}.12")
    assert not is_set_aside_name(f"{name}.bak")


def test_sealed_files_tell_the_generation() -> None:
    """Whatever the host is called."""
    assert generation_in_sealed("process-a-b-20240101T000000Z-20240101T000000Z-0000001f00000000.parquet") == 31
    assert generation_in_sealed("process-a-b-20240101T000000Z-0123456789ab.parquet") == 0
    assert generation_in_sealed("mine.parquet") == 0
