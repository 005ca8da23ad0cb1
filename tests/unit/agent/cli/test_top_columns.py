"""The columns of a screen: which of them a width has room for, and what they say of a process and of a sum."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.cli.top_columns import COLUMNS, COLUMNS_OF_SORT, COMMAND, PID, POD, columns_for, command_least
from agent.cli.top_load import Load, Part
from agent.cli.top_rows import SORTS
from agent.cli.top_sample import NamedProcess

S = 1_000_000_000
WHOLE = NamedProcess(
    1234567,
    "x",
    0,
    "pod",
    "S",
    9,
    0.5,
    1 << 20,
    ppid=1,
    started_wall_ns=0,
    user_share=0.25,
    system_share=0.25,
    pss_bytes=1,
    read_bytes_per_second=1.0,
    write_bytes_per_second=1.0,
    sent_bytes_per_second=1.0,
    received_bytes_per_second=1.0,
    minor_faults_per_second=1.0,
    major_faults_per_second=1.0,
    switches_per_second=1.0,
    container_name="nginx",
)
BARE = NamedProcess(1, "x", None, None, None, None, None, None)


def names(process: NamedProcess, sort: str, width: int | None) -> list[str]:
    return [column.name for column in columns_for([process], sort, width)]


@pytest.mark.parametrize("sort", SORTS)
@given(width=st.integers(1, 300))
def test_a_wider_screen_has_no_fewer_columns(sort: str, width: int) -> None:
    """CPU% and COMMAND are always there; those of the order before all that are not; COMMAND keeps its room."""
    narrow, wide = names(WHOLE, sort, width), names(WHOLE, sort, width + 40)
    assert {"cpu", COMMAND} <= set(narrow)
    assert len(narrow) <= len(wide)
    if len(narrow) > 4:
        assert set(COLUMNS_OF_SORT[sort]) <= set(narrow)
    widest = max(3, len(str(WHOLE.pid)))
    least = {column.name: column.least for column in COLUMNS} | {PID: widest, COMMAND: command_least(width, sort)}
    assert len(narrow) == 2 or sum(least[name] + 1 for name in narrow) - 1 <= width


def test_the_widest_usual_screen_has_every_column() -> None:
    """Without an end too; what no process has a value of has no column."""
    every = [column.name for column in COLUMNS]
    assert names(WHOLE, "cpu", 240) == names(WHOLE, "cpu", None) == every
    assert names(BARE, "cpu", 220) == [PID, "cpu", "rss", COMMAND]
    assert POD not in names(WHOLE, "pod", 220)
    assert "net" in names(BARE, "net", 80)


def cells(part: Part) -> dict[str, str]:
    """The text of each column that has figures, one hour after the epoch."""
    return {column.name: column.figure(part, 3600 * S) for column in COLUMNS if column.figure is not None}


def test_each_column_has_the_figure_of_a_process() -> None:
    """Shares as percent of a core, bytes in binary units, the start as a time and as an age."""
    expected = {
        "ppid": "1", "state": "S", "threads": "9", "cpu": "50.0", "user_cpu": "25.0", "system_cpu": "25.0", "rss": "1.0M",
        "pss": "1",
        "read": "1", "write": "1", "net": "2", "sent": "1", "received": "1", "minor": "1", "major": "1", "switches": "1",
        "start": "00:00:00", "age": "60m",
    }  # fmt: skip
    assert cells(WHOLE) == expected


def test_what_is_not_known_is_a_dash() -> None:
    """Never a zero."""
    assert set(cells(BARE).values()) == {"-"}


def test_a_sum_has_no_parent_state_or_start() -> None:
    """Several processes have none together; the figures that add up are there."""
    texts = cells(Load(3, cpu_share=0.5, rss_bytes=1 << 20))
    assert {texts[name] for name in ("ppid", "state", "start", "age")} == {""}
    assert (texts["cpu"], texts["rss"]) == ("50.0", "1.0M")


def test_pods_of_sums_alone_have_their_column() -> None:
    """Sleeping pods have no process with a row: without the column nobody sees which pod a sum is of."""
    outside = replace(WHOLE, pod_uid=None)
    assert [POD in [column.name for column in columns_for([outside], "cpu", 160, width)] for width in (0, 1, 9)] == [
        False,
        False,
        True,
    ]


def test_a_whole_name_of_a_pod_comes_before_columns_for_special_questions() -> None:
    """What an order sorts by is there in any case, and with short names nothing is held back."""
    short = [column.name for column in columns_for([WHOLE], "cpu", 160)]
    long = [column.name for column in columns_for([WHOLE], "cpu", 160, 30)]
    assert len(long) < len(short)
    assert {"container", "age", "major"} <= set(long) < set(short)
    assert [column.name for column in columns_for([WHOLE], "cpu", 160, 5)] == short
