"""How much room each pod gets, and in which order processes stand."""

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.known_names import KnownNames
from agent.cli.top_rows import PROCESSES_OF_POD, RowView, order_by, rows_of, shares_of_room
from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail
from agent.cli.top_state import TopState


def process(pid: int, cpu: float, pod: str | None = None) -> NamedProcess:
    return NamedProcess(pid, f"task-{pid}", 0, pod, "S", 1, cpu, 1 << 20, f"task-{pid}")


def view(state: TopState) -> RowView:
    return RowView(state, KnownNames(), str)


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 100))
def test_room_is_shared_fairly(sizes: list[int], room: int) -> None:
    """No pod gets more than a line more than another that could have used it; no line is empty while one is hidden."""
    counts = shares_of_room(sizes, room)
    used = len(counts) + sum(counts)
    is_whole = len(counts) == len(sizes)
    assert used <= room + is_whole
    assert all(count <= size for count, size in zip(counts, sizes, strict=False))
    hungry = [count for count, size in zip(counts, sizes, strict=False) if count < size]
    if hungry:
        assert used == room + is_whole
        assert is_whole or used == room
    if is_whole and hungry:
        others = [count for count in counts if count > PROCESSES_OF_POD]
        assert max([0, *others]) <= max(min(hungry), PROCESSES_OF_POD) + 1


def test_by_pod_the_whole_screen_is_used() -> None:
    """Room that is left is shared by the pods that have more processes to show."""
    processes = tuple(process(pid, 1 / pid, "pod-a" if pid % 2 else "pod-b") for pid in range(1, 101))
    rows = rows_of(Sample(0, "h", processes, ()), view(TopState("pod")), 20).rows
    totals = [index for index, row in enumerate(rows) if row.lead == "50 processes"]
    assert (len(rows), totals) == (20, [0, 10])


def test_pods_without_a_line_are_in_the_last_line() -> None:
    """What has no total of its own on a short screen is summed at the end; whole pods are scrolled past."""
    sample = Sample(0, "h", tuple(process(pid, 1 / pid, f"p{pid}") for pid in range(1, 21)), ())
    for offset, first in ((0, "p1"), (5, "p6"), (90, "p20")):
        page = rows_of(sample, view(TopState("pod", offset=offset)), 7)
        assert page.offset_max == 19
        assert (page.rows[0].lead, page.rows[0].words["command"]) == ("1 process", first)
        shown = sum(row.lead == "1 process" for row in page.rows)
        assert page.rows[-1].lead == f"… {20 - shown} others in {20 - shown} pods"


def test_a_page_ends_where_the_processes_do() -> None:
    """The last page is full, and nothing is hidden behind it."""
    sample = Sample(0, "h", tuple(process(pid, 1 / pid) for pid in range(1, 31)), ())
    page = rows_of(sample, view(TopState("cpu", offset=99)), 10)
    assert (page.offset_max, page.rows[0].words["pid"], page.rows[8].words["pid"]) == (21, "22", "30")
    assert page.rows[-1].lead == "… 21 others"


def test_orders_put_the_most_first_and_the_unknown_last() -> None:
    """By what is read and written, sent and received; by start the latest first."""
    known = [
        NamedProcess(1, "a", 0, None, "S", 5, None, 1, read_bytes_per_second=1, sent_bytes_per_second=9, started_wall_ns=1),
        NamedProcess(2, "b", 0, None, "S", 9, 0.5, 3, write_bytes_per_second=2, started_wall_ns=7),
        NamedProcess(3, "c", 0, None, "S", None, 0.1, 2, received_bytes_per_second=1),
    ]
    orders = {
        sort: [each.pid for each in sorted(known, key=order_by(sort))] for sort in ("cpu", "rss", "io", "net", "threads", "age")
    }
    assert orders == {"cpu": [2, 3, 1], "rss": [2, 3, 1], "io": [2, 1, 3], "net": [1, 3, 2], "threads": [2, 1, 3], "age": [2, 1, 3]}


def test_several_commands_of_a_sum_are_named_by_the_heaviest() -> None:
    """A tail of one command says how many processes it has; one of several names none."""
    tails = (Tail(None, 30, 0.6, 0, "nginx"), Tail(None, 4, 0.9, 0, None), Tail("p", 1, 0.7, 0, "one"))
    (last,) = rows_of(Sample(0, "h", (), tails), view(TopState("cpu")), 5).rows
    assert (last.lead, last.words["command"]) == ("… 35 others in 1 pod", "one, nginx 30")


def family() -> tuple[NamedProcess, ...]:
    """Three generations, and a stranger; the parent of the oldest has no row."""
    line = [(10, 9, "shop-shell"), (11, 10, "make"), (12, 11, "cc1"), (40, 1, "other")]
    return tuple(NamedProcess(pid, name, 0, None, "S", 1, pid / 100, 1, name, ppid=ppid) for pid, ppid, name in line)


def test_a_tree_keeps_what_is_above_a_process_that_the_filter_keeps() -> None:
    """And a stub for the parent that has no row."""
    state = TopState("cpu", is_tree=True, filter="cc1")
    rows = rows_of(Sample(0, "h", family(), (Tail(None, 3, 0.1, 0, "cc1"),)), view(state), 10).rows
    commands = [row.words["command"] for row in rows if "pid" in row.words]
    assert [command.strip("│├└─ `|-+\\") for command in commands] == ["(not named)", "shop-shell", "make", "cc1"]
    assert rows[4].words["command"] == "cc1  (3 processes without a line)"


def test_in_a_tree_with_sums_a_line_has_all_below_it() -> None:
    """The stub too, which alone has nothing."""
    rows = rows_of(Sample(0, "h", family(), ()), view(TopState("cpu", is_tree=True, has_sums=True)), 10).rows
    shares = {row.words["pid"]: getattr(row.part, "cpu_share", None) for row in rows if "pid" in row.words}
    assert {pid: None if share is None else round(share, 2) for pid, share in shares.items()} == {
        "9": 0.33, "10": 0.33, "11": 0.23, "12": 0.12, "1": 0.4, "40": 0.4,
    }  # fmt: skip


def test_processes_without_a_line_are_found_by_a_filter() -> None:
    """By command and unit; several commands together are named as such."""
    tails = (Tail("pod-a", 30, 0.6, 0, "nginx"), Tail("pod-a", 4, 0.9, 0, None), Tail(None, 1, 0.7, 0, "sh"))
    rows = rows_of(Sample(0, "h", (), tails), view(TopState("cpu", filter="pod-a")), 10).rows
    assert [row.words["command"] for row in rows[:2]] == [
        "several commands  (4 processes without a line)",
        "nginx  (30 processes without a line)",
    ]


def test_what_a_signal_ended_is_named_before_what_ended_most() -> None:
    """With pid and signal; the number of all stands before it."""
    ended = (
        Ended("cc1", None, 8_000, 7_990, 7.5),
        Ended("sh", None, 3, 3, 0.1),
        Ended("cart", None, 1, 0, 0.4, pid=4711, signal=9),
        Ended("odd", None, 1, 0, 0.0, pid=5, signal=63),
    )
    (row, *_) = rows_of(Sample(0, "h", (), (), ended=ended), view(TopState("cpu")), 5).rows
    assert row.lead == "8,005 ended:"
    assert row.words["command"].startswith("cart (4711) by SIGKILL, odd (5) by signal 63, ")
    assert row.words["command"].endswith("cc1 8,000, sh 3")
