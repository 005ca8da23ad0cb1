"""How rows fill the columns that a width has room for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.top_columns import COMMAND, PID, POD, USER
from agent.cli.top_load import Load
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
        (60, "12,000 ended:         50.0    ", "  cc1 8,000, sh 3,00…"),
        (30, "          50.0 12,000 ended:", "…"),
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


def test_without_a_width_every_name_stands_whole() -> None:
    """In a file nothing is cut."""
    rows = [TableRow(WHOLE, {PID: "1", USER: "u" * 90, POD: "p" * 300, COMMAND: "c" * 900})]
    line = plain(laid_out(RowTable(rows, [WHOLE], "cpu", 0), None)[1])
    assert [word for word in ("u" * 90, "p" * 300, "c" * 900) if word not in line] == []
