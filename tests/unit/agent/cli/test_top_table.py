"""Which columns a width has room for, and how rows fill it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.top_columns import COLUMNS, COLUMNS_OF_SORT, COMMAND, PID, POD, USER, columns_for, command_least
from agent.cli.top_load import Load
from agent.cli.top_rows import SORTS
from agent.cli.top_sample import NamedProcess
from agent.cli.top_style import plain
from agent.cli.top_table import RowTable, TableRow, laid_out
from agent.cli.width import display_width

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
    assert names(WHOLE, "cpu", 220) == names(WHOLE, "cpu", None) == every
    assert names(BARE, "cpu", 220) == [PID, "cpu", "rss", COMMAND]
    assert POD not in names(WHOLE, "pod", 220)
    assert "net" in names(BARE, "net", 80)


@pytest.mark.parametrize("command", ["数据库备份 " * 30, "re\u0301sume\u0301 " * 30, "a" * 300, "short", "👩‍💻 x", "\u202eright"])
@given(width=st.integers(10, 240))
def test_names_of_any_script_keep_the_figures_below_each_other(command: str, width: int) -> None:
    """Letters of two columns, marks of none: the CPU column of every line ends in the same column."""
    rows = [
        TableRow(WHOLE, {PID: "1234567", USER: "用户用户用户", POD: "命名空间/名字" * 4, COMMAND: command}),
        TableRow(WHOLE, {PID: "1", USER: "root", POD: "-", COMMAND: "x"}),
        TableRow(Load(3, cpu_share=0.5), {COMMAND: "cc1, sh"}, "… 3 others"),
    ]
    lines = [plain(line) for line in laid_out(RowTable(rows, [WHOLE], "cpu", 0), width)]
    assert all(display_width(line) <= width for line in lines)
    if width >= 30:
        ends = {
            display_width(line[: line.index(word) + len(word)]) for line, word in zip(lines, ("CPU%", *["50.0"] * 3), strict=True)
        }
        assert len(ends) == 1


def test_room_that_commands_do_not_need_goes_to_names() -> None:
    """Nothing is cut that could be shown."""
    pod = "a-namespace-of-some-length/a-deployment-7d9c8b6f5-x2x4z"
    rows = [TableRow(WHOLE, {PID: "1", USER: "somebody-with-a-name", POD: pod, COMMAND: "short"})]
    wide, narrow = (plain(laid_out(RowTable(rows, [WHOLE], "cpu", 0), width)[1]) for width in (260, 100))
    assert pod in wide
    assert "somebody-with-a-name" in wide
    assert pod not in narrow


@pytest.mark.parametrize(
    ("width", "begin", "end"),
    [
        (220, "12,000 ended:     ", "  cc1 8,000, sh 3,000, as 1,000"),
        (60, "12,000 ended:        50.0    ", "  cc1 8,000, sh 3,000…"),
        (30, "         50.0 12,000 ended:", "…"),
    ],
)
def test_a_lead_goes_where_it_has_room(width: int, begin: str, end: str) -> None:
    """Over the empty columns at the beginning, else before the words of COMMAND."""
    process = NamedProcess(1234567, "x", 0, "pod", "S", 900_000, 0.5, 1 << 20, write_bytes_per_second=1.0)
    row = TableRow(Load(0, 9, cpu_share=0.5), {COMMAND: "cc1 8,000, sh 3,000, as 1,000"}, "12,000 ended:", has_cpu_only=True)
    user = TableRow(process, {PID: "1234567", USER: "user", POD: "a-long-pod-name", COMMAND: "x"})
    line = plain(laid_out(RowTable([user, row], [process], "cpu", 0), width)[2]).rstrip()
    assert line.startswith(begin), line
    assert line.endswith(end), line
