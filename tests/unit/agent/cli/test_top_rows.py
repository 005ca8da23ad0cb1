"""How much room each pod gets, and in which order processes stand."""

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.top_rows import PROCESSES_OF_POD, RowView, order_by, rows_of, shares_of_room
from agent.cli.top_sample import NamedProcess, Sample, Tail
from agent.cli.top_state import TopState


def process(pid: int, cpu: float, pod: str | None = None) -> NamedProcess:
    return NamedProcess(pid, f"task-{pid}", 0, pod, "S", 1, cpu, 1 << 20, f"task-{pid}")


def view(state: TopState) -> RowView:
    return RowView(state, {}, str)


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
