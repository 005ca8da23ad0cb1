"""What top shows sums up to the host, on any size of terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.render import text_of
from agent.cli.top_render import PROCESSES_OF_POD, SORTS, ProcessView, load_of, render, shares_of_room
from agent.cli.top_sample import NamedProcess, Sample, Tail
from agent.cli.width import display_width

PODS = st.sampled_from([None, "pod-a", "pod-b", "pod-c"])
SHARES = st.none() | st.floats(0, 64)
SIZES = st.none() | st.integers(0, 1 << 40)
PROCESSES = st.builds(
    NamedProcess,
    pid=st.integers(1, 1 << 22),
    command=st.text(min_size=1, max_size=200),
    uid=st.none() | st.integers(0, 1 << 32),
    pod_uid=PODS,
    state=st.none() | st.sampled_from("RSDZ"),
    threads=st.none() | st.integers(1, 10_000),
    cpu_share=SHARES,
    rss_bytes=SIZES,
)
TAILS = st.builds(Tail, pod_uid=PODS, processes=st.integers(1, 10_000), cpu_share=SHARES, rss_bytes=SIZES)
SAMPLES = st.builds(
    Sample,
    at_wall_ns=st.just(0),
    host=st.just("node-1"),
    processes=st.lists(PROCESSES, max_size=40).map(tuple),
    tail=st.lists(TAILS, max_size=5).map(tuple),
)


def view(*, sort: str = "cpu", width: int | None = 100, height: int = 24, now_wall_ns: int = 0, trouble: str = "") -> ProcessView:
    return ProcessView(width, height, sort, now_wall_ns, trouble, {"pod-a": "shop/web"}, user_name=lambda uid: f"u{uid}")


def process(pid: int, cpu: float, *, pod: str | None = None, rss: int = 1 << 20) -> NamedProcess:
    return NamedProcess(pid, f"task-{pid}", 0, pod, "S", 1, cpu, rss)


@given(SAMPLES, st.sampled_from(SORTS), st.integers(40, 200), st.integers(10, 60))
def test_a_render_fits_its_screen(sample: Sample, sort: str, width: int, height: int) -> None:
    """No line is too long, none is too many, and none holds a control character."""
    lines = render(sample, view(sort=sort, width=width, height=height))
    assert len(lines) <= height
    assert all(display_width(line) <= width and line.isprintable() for line in lines)


def cpu_column(line: str) -> float:
    found = re.search(r"([\d.]+|-) +[\d.]+ [KMGT]?i?B$", line)
    assert found is not None, line
    return 0.0 if found[1] == "-" else float(found[1])


@pytest.mark.parametrize("sort", ["cpu", "rss"])
@given(sample=SAMPLES, height=st.integers(10, 60))
def test_the_lines_count_every_process_of_the_host(sort: str, sample: Sample, height: int) -> None:
    """Shown processes and the last line are all processes that there are."""
    lines = render(sample, view(sort=sort, height=height))[4:]
    others = re.match(r"… (\d+) other", lines[-1]) if lines else None
    counted = len(lines) if others is None else len(lines) - 1 + int(others[1])
    assert counted == load_of([*sample.processes, *sample.tail]).processes


def test_cpu_and_memory_sum_up_to_the_host() -> None:
    """The figures of the shown lines and of the last line together are those of the header."""
    sample = Sample(0, "h", tuple(process(pid, pid / 10) for pid in range(1, 31)), (Tail("pod-a", 9, 1.5, 5 << 20),))
    lines = render(sample, view(height=15))
    assert sum(map(cpu_column, lines[4:])) == pytest.approx(4650 + 150)
    assert "39 processes   CPU 4800.0 %" in lines[1]
    assert lines[-1].startswith("… 29 others in 1 pod ")


def test_by_pod_each_pod_has_its_exact_total() -> None:
    """Named processes and tail of a pod are in its line; its heaviest processes stand below."""
    processes = (process(1, 0.1, pod="pod-a"), process(2, 0.3, pod="pod-a"), process(3, 0.2))
    sample = Sample(0, "h", processes, (Tail("pod-a", 5, 0.6, 1 << 20), Tail("pod-b", 4, 0.05, 0)))
    words = [line.split() for line in render(sample, view(sort="pod"))[4:]]
    assert [(line[0], line[-3]) for line in words] == [
        ("shop/web:", "100.0"),
        ("2", "30.0"),
        ("1", "10.0"),
        ("no", "20.0"),
        ("3", "20.0"),
        ("pod-b:", "5.0"),
    ]
    assert words[0][1:3] == ["7", "processes"]


def test_a_narrow_screen_keeps_who_uses_how_much() -> None:
    """Columns go one by one, CPU% and RSS never do."""
    sample = Sample(0, "h", (process(1234567, 63.9, pod="pod-a", rss=1 << 30),), (Tail("pod-b", 9, 1.5, 5 << 20),))
    titles = {width: render(sample, view(width=width))[3].split() for width in (80, 60, 50, 46, 40)}
    assert titles[80] == ["PID", "USER", "POD", "COMMAND", "STATE", "THREADS", "CPU%", "RSS"]
    assert titles[60] == ["PID", "USER", "COMMAND", "STATE", "THREADS", "CPU%", "RSS"]
    assert titles[50] == ["PID", "COMMAND", "STATE", "CPU%", "RSS"]
    assert titles[40] == ["PID", "COMMAND", "CPU%", "RSS"]
    for width in titles:
        lines = render(sample, view(width=width))
        assert max(map(len, lines)) <= width
        assert [line.split()[-3:] for line in lines[4:]] == [["6390.0", "1.0", "GiB"], ["150.0", "5.0", "MiB"]]


@given(SAMPLES, st.sampled_from(SORTS))
def test_without_an_end_of_the_line_nothing_is_cut(sample: Sample, sort: str) -> None:
    """Every command stands whole at the end of its line, and the words of sums are whole too."""
    lines = [line.rstrip() for line in render(sample, view(sort=sort, width=None, height=100_000))]
    for process in sample.processes:
        assert any(line.endswith(text_of(process.command).rstrip()) for line in lines[4:])
    assert sum(line.startswith("…") for line in lines) == bool(sample.tail and sort != "pod")
    assert not any("…" in line[1:] for line in lines if not sample.processes)


def test_by_pod_the_whole_screen_is_used() -> None:
    """Room that is left is shared by the pods that have more processes to show."""
    processes = tuple(process(pid, 1 / pid, pod="pod-a" if pid % 2 else "pod-b") for pid in range(1, 101))
    lines = render(Sample(0, "h", processes, ()), view(sort="pod", height=24))
    totals = [index for index, line in enumerate(lines) if "50 processes" in line]
    assert (len(lines), totals) == (24, [4, 14])


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


def test_pods_without_a_line_are_in_the_last_line() -> None:
    """What has no total of its own on a short screen is summed at the end."""
    sample = Sample(0, "h", tuple(process(pid, 1 / pid, pod=f"p{pid}") for pid in range(1, 21)), ())
    lines = render(sample, view(sort="pod", height=11))
    assert len(lines) == 11
    assert lines[-1].startswith("… 17 others in 17 pods")


def test_absent_values_are_neither_zero_nor_summed() -> None:
    """A first tick has no CPU figures, and says so."""
    sample = Sample(0, "h", (NamedProcess(1, "a", None, None, None, None, None, None),), ())
    lines = render(sample, view())
    assert "CPU -   RSS -" in lines[1]
    assert lines[4].split() == ["1", "-", "-", "a", "-", "-", "-", "-"]


def test_old_data_is_told() -> None:
    """Without an agent the age of the data stands in the first line."""
    sample = Sample(0, "h", (), ())
    trouble = view(now_wall_ns=180 * 10**9, trouble="agent not running")
    assert "agent not running: data is 3 min old" in render(sample, trouble)[0]
    assert "no new samples: data is 3 min old" in render(sample, view(now_wall_ns=180 * 10**9))[0]
    assert "data is 0.5 s old" in render(sample, view(now_wall_ns=5 * 10**8))[0]
