"""What top shows sums up to the host, on any size of terminal."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.top_story import NAMES, STORY, USERS
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.cli.known_names import KnownNames
from agent.cli.problem import Culprit, HeadLine, HeadPart, HostProblem, Severity
from agent.cli.top_heading import HistoryMoment
from agent.cli.top_render import ProcessView, Screen, guilty_of, render
from agent.cli.top_rows import SORTS
from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail
from agent.cli.top_state import TopState
from agent.cli.top_style import CRITICAL, SORTED, plain, texts
from agent.cli.width import display_width

ROOT = Path(__file__).parents[4]
GOLDEN = ROOT / "tests" / "fixtures" / "top"
PODS = st.sampled_from([None, "pod-a", "pod-b", "pod-c"])
SHARES = st.none() | st.floats(0, 64)
SIZES = st.none() | st.integers(0, 1 << 40)
RATES = st.none() | st.floats(0, 1e12)
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
    name=st.text(min_size=1, max_size=15),
    ppid=st.none() | st.integers(0, 50),
    read_bytes_per_second=RATES,
    write_bytes_per_second=RATES,
    sent_bytes_per_second=RATES,
    major_faults_per_second=RATES,
    started_wall_ns=st.none() | st.integers(0, 1 << 62),
)
TAILS = st.builds(
    Tail,
    pod_uid=PODS,
    processes=st.integers(1, 10_000),
    cpu_share=SHARES,
    rss_bytes=SIZES,
    command=st.none() | st.text(min_size=1, max_size=15),
)
ENDED = st.builds(
    Ended,
    command=st.text(min_size=1, max_size=15),
    pod_uid=PODS,
    deaths=st.integers(1, 10_000),
    unseen=st.just(0),
    cpu_share=SHARES,
    pid=st.none() | st.integers(1, 1 << 22),
    signal=st.none() | st.integers(1, 64),
)
SAMPLES = st.builds(
    Sample,
    at_wall_ns=st.just(0),
    host=st.text(min_size=1, max_size=64),
    processes=st.lists(PROCESSES, max_size=40).map(tuple),
    tail=st.lists(TAILS, max_size=5).map(tuple),
    ended=st.lists(ENDED, max_size=5).map(tuple),
)
PROBLEMS = st.lists(st.builds(HostProblem, st.sampled_from(Severity), st.just("x"), st.text("ab 漢", max_size=200)), max_size=9)
STATES = st.builds(
    TopState,
    sort=st.sampled_from(SORTS),
    filter=st.sampled_from(["", "a", "pod-b", "漢"]),
    is_typing=st.booleans(),
    is_tree=st.booleans(),
    has_sums=st.booleans(),
    is_paused=st.booleans(),
    shows_help=st.booleans(),
    offset=st.integers(0, 60),
)

CPU = TopState("cpu")


@dataclass(frozen=True)
class Seen:
    """A screen with the usual values where a test says none."""

    state: TopState = CPU
    width: int | None = 100
    height: int = 24
    now_wall_ns: int = 0
    trouble: str = ""
    problems: tuple[HostProblem, ...] = ()
    figures: tuple[HeadLine, ...] = ()
    has_keys: bool = True
    time_keys: str = ""
    moment: HistoryMoment | None = None
    has_letters: bool = True

    def screen(self, sample: Sample) -> Screen:
        return render(
            sample,
            ProcessView(
                width=self.width,
                height=self.height,
                state=self.state,
                now_wall_ns=self.now_wall_ns,
                trouble=self.trouble,
                names=KnownNames(NAMES),
                user_name=lambda uid: USERS.get(uid, f"u{uid}"),
                problems=self.problems,
                figures=self.figures,
                has_keys=self.has_keys,
                has_letters=self.has_letters,
                time_keys=self.time_keys,
                moment=self.moment,
            ),
        )

    def lines(self, sample: Sample) -> list[str]:
        return [plain(line).rstrip() for line in self.screen(sample).lines]

    def rows(self, sample: Sample) -> list[str]:
        """The lines below the titles."""
        lines = self.lines(sample)
        return lines[next(index for index, line in enumerate(lines) if line.endswith("COMMAND")) + 1 :]


def process(pid: int, cpu: float | None, *, pod: str | None = None, rss: int = 1 << 20, ppid: int = 0) -> NamedProcess:
    return NamedProcess(pid, f"task-{pid}", 0, pod, "S", 1, cpu, rss, f"task-{pid}", ppid=ppid)


# ---- golden screens ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["20x5", "80x24", "100x30", "160x50", "220x60"])
@pytest.mark.parametrize("kind", ["cpu", "tree", "pod", "filter", "help"])
def test_screens_are_those_that_were_looked_at(size: str, kind: str, tmp_path: Path) -> None:
    """A fixed host at each size, as text files that a person can read; a screen that differs is written beside its name."""
    width, height = map(int, size.split("x"))
    states = {
        "cpu": TopState("cpu"),
        "tree": TopState("cpu", is_tree=True),
        "pod": TopState("pod"),
        "filter": TopState("io", filter="post", is_typing=True),
        "help": TopState("cpu", shows_help=True),
    }
    now = STORY.at_wall_ns + 400_000_000
    lines = Seen(states[kind], width, height, now, problems=PROBLEMS_OF_STORY, figures=FIGURES_OF_STORY).lines(STORY)
    path = GOLDEN / f"{size}-{kind}.txt"
    seen = tmp_path / path.name
    seen.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert seen.read_text(encoding="utf-8") == path.read_text(encoding="utf-8"), (
        f"it is now as in {seen}; was {path} meant to change?"
    )


PROBLEMS_OF_STORY = (
    HostProblem(
        Severity.CRITICAL,
        "oom_kill",
        "cart.jar (pid 4711) was killed for lack of memory in shop/cart-7d9c just now",
        (Culprit("process", "cart.jar", 4711),),
    ),
    HostProblem(
        Severity.WARNING,
        "disk_saturated",
        "Disk nvme0n1 97% busy: postgres (pid 900) writes 310.0 MiB/s",
        (Culprit("process", "postgres", 900),),
    ),
    HostProblem(Severity.WARNING, "fork_storm", "12034 processes a second start: mostly cc1", (Culprit("command", "cc1"),)),
    HostProblem(
        Severity.NOTICE, "many_threads", "indexer.py (pid 1200) has 512 of 4120 threads", (Culprit("process", "indexer.py", 1200),)
    ),
)
FIGURES_OF_STORY = (
    HeadLine("CPU", (HeadPart("31.0 of 32 cores busy", Severity.WARNING), HeadPart("load 41.2 38.0 21.7"), HeadPart("wait 61%"))),
    HeadLine("MEM", (HeadPart("27.0 GiB of 64.0 GiB used"), HeadPart("OOM kills 1", Severity.CRITICAL))),
    HeadLine("DISK", (HeadPart("nvme0n1 97% busy", Severity.WARNING), HeadPart("write 358.0 MiB/s"))),
    HeadLine("NET", (HeadPart("eth0  in 2.0 MiB/s  out 97.0 MiB/s"),)),
    HeadLine("PROC", (HeadPart("1840, 4120 threads"), HeadPart("12034/s start", Severity.WARNING))),
)


# ---- any sample ----------------------------------------------------------------------------------


@given(SAMPLES, STATES, PROBLEMS.map(tuple), st.integers(1, 240), st.integers(1, 70))
def test_a_render_fits_its_screen(
    sample: Sample, state: TopState, problems: tuple[HostProblem, ...], width: int, height: int
) -> None:
    """No line is too long, none is too many, and none holds a control character, whatever names there are."""
    lines = Seen(state, width, height, problems=problems).screen(sample).lines
    assert len(lines) <= height
    assert all(display_width(plain(line)) <= width and plain(line).isprintable() for line in lines)


@pytest.mark.parametrize("is_tree", [False, True])
@pytest.mark.parametrize("sort", ["cpu", "rss", "io", "age"])
@given(sample=SAMPLES, height=st.integers(10, 60), offset=st.integers(0, 50))
def test_the_lines_count_every_process_of_the_host(sort: str, is_tree: bool, sample: Sample, height: int, offset: int) -> None:
    """Shown processes and the last line are all processes that there are, however far it is scrolled."""
    unique = Sample(0, "h", tuple({each.pid: each for each in sample.processes}.values()), sample.tail, ended=sample.ended)
    rows = Seen(TopState(sort, is_tree=is_tree, offset=offset), height=height, width=None).rows(unique)
    rows = [row for row in rows if "ended:" not in row and "(not named)" not in row]
    others = re.search(r"… (\d+) other", rows[-1]) if rows else None
    counted = len(rows) if others is None else len(rows) - 1 + int(others[1])
    assert counted == len(unique.processes) + sum(tail.processes for tail in unique.tail)


@given(SAMPLES, st.sampled_from(SORTS))
def test_without_an_end_of_the_line_nothing_is_cut(sample: Sample, sort: str) -> None:
    """Every command stands whole at the end of its line, and there is no last line where everything has its own."""
    seen = Seen(TopState(sort), width=None, height=100_000)
    rows = seen.rows(sample)
    commands = [row.rstrip() for row in rows]
    for each in sample.processes:
        told = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in each.command).rstrip()
        assert any(told[-3:] in row for row in commands)
    assert sum(row.lstrip().startswith("…") or "  … " in row for row in rows) <= 1 + len(sample.processes)


# ---- what is in the lines ------------------------------------------------------------------------


def test_cpu_and_memory_sum_up_to_the_host() -> None:
    """The figures of the shown lines, of what ended and of the last line together are those above the table."""
    tail = (Tail("pod-a", 9, 1.5, 5 << 20, "nginx"),)
    ended = (Ended("cc1", None, 800, 790, 2.0), Ended("hog", None, 1, 0, 0.5, pid=77, signal=9))
    sample = Sample(0, "h", tuple(process(pid, pid / 10) for pid in range(1, 31)), tail, ended=ended)
    seen = Seen(height=15)
    rows = seen.rows(sample)
    shares = [float(found[1]) for row in rows if (found := re.search(r" (\d+\.\d)  ", row))]
    assert sum(shares) == pytest.approx(4650 + 150 + 250)
    assert any("39 processes   CPU 5050.0 %" in line for line in seen.lines(sample))
    assert rows[-2].startswith("801 ended:")
    assert rows[-2].endswith("hog (77) by SIGKILL, cc1 800")
    assert "… 30 others in 1 pod  task-21, task-20, task-19, " in rows[-1]


def test_by_pod_each_pod_has_its_exact_total() -> None:
    """Named processes, tail and what ended of a pod are in its line; its heaviest processes stand below."""
    processes = (process(1, 0.1, pod="pod-a"), process(2, 0.3, pod="pod-a"), process(3, 0.2))
    tail = (Tail("pod-a", 5, 0.6, 1 << 20), Tail("pod-b", 4, 0.05, 0))
    sample = Sample(0, "h", processes, tail, ended=(Ended("cc1", "pod-b", 7, 7, 0.01),))
    rows = Seen(TopState("pod")).rows(sample)
    assert [(row.split()[0] if "task" in row else "", re.split("B |M | 0 ", row)[-1].strip()) for row in rows] == [
        ("", "shop/web"),
        ("2", "task-2"),
        ("1", "task-1"),
        ("", "no pod"),
        ("3", "task-3"),
        ("", "pod-b, 7 ended"),
    ]
    assert rows[0].startswith("7 processes ")
    assert "100.0" in rows[0]
    assert "6.0" in rows[-1]


def test_a_tree_has_the_heaviest_first_and_parents_without_a_line_as_stubs() -> None:
    """Siblings are sorted by what is below them; with sums each line holds that."""
    processes = (process(10, 0.1, ppid=5), process(11, 0.2, ppid=10), process(12, 0.4, ppid=5), process(20, 0.5, ppid=1))
    sample = Sample(0, "h", processes, ())
    rows = Seen(TopState("cpu", is_tree=True)).rows(sample)
    assert [row.split()[0] for row in rows] == ["5", "12", "10", "11", "1", "20"]
    assert rows[0].endswith("(not named)")
    assert [row[row.index("M ") + 2 :] for row in rows[1:4]] == ["├ task-12", "└ task-10", "  └ task-11"]
    summed = Seen(TopState("cpu", is_tree=True, has_sums=True)).rows(sample)
    assert " 70.0 " in summed[0]
    assert " 30.0 " in summed[2]
    ascii_rows = Seen(TopState("cpu", is_tree=True), has_letters=False).rows(sample)
    assert all(row.isascii() for row in ascii_rows)


def test_a_filter_finds_named_processes_and_those_in_sums() -> None:
    """By command, pod, user or pid; what it leaves out is in the last line."""
    processes = (process(1, 0.1, pod="pod-a"), process(2, 0.3), process(33, 0.2))
    sample = Sample(0, "h", processes, (Tail(None, 30, 0.6, 1 << 20, "task-x"), Tail(None, 4, 0.1, 0, "other")))

    def found(text: str) -> list[str]:
        return [row.split()[-1] for row in Seen(TopState("cpu", filter=text)).rows(sample) if not row.startswith("…")]

    assert found("WEB") == ["task-1"]
    assert found("33") == ["task-33"]
    assert found("task root") == ["task-2", "task-33", "task-1"]
    rows = Seen(TopState("cpu", filter="task-x")).rows(sample)
    assert rows[0].endswith("task-x  (30 processes without a line)")
    assert rows[1].startswith("… 7 others")
    assert any("filter: task-x (30 found)" in line for line in Seen(TopState("cpu", filter="task-x")).lines(sample))


def test_the_column_of_an_order_is_there_and_marked() -> None:
    """Sorted by threads on a narrow screen, threads are shown; the title has its style."""
    sample = Sample(0, "h", (process(1, 0.1),), ())
    screen = Seen(TopState("threads"), width=36).screen(sample)
    titles = next(line for line in screen.lines if plain(line).rstrip().endswith("COMMAND"))
    assert [span.text.strip() for span in titles if span.style == SORTED] == ["THR"]


def test_a_narrow_screen_keeps_who_uses_how_much() -> None:
    """Columns go one by one, CPU% never does."""
    sample = Sample(0, "h", (process(1234567, 63.9, pod="pod-a", rss=1 << 30),), (Tail("pod-b", 9, 1.5, 5 << 20),))
    titles = {width: Seen(width=width).lines(sample)[3].split() for width in (80, 60, 47, 40, 30, 20)}
    assert titles[80] == ["PID", "USER", "POD/UNIT", "PPID", "S", "THR", "CPU%", "RSS", "COMMAND"]
    assert titles[47] == ["PID", "USER", "S", "THR", "CPU%", "RSS", "COMMAND"]
    assert titles[40] == ["PID", "S", "CPU%", "RSS", "COMMAND"]
    assert titles[30] == ["PID", "CPU%", "COMMAND"]
    assert titles[20] == ["CPU%", "COMMAND"]


def test_the_guilty_are_coloured_and_the_problems_come_first() -> None:
    """The worst first; where there is no room for all, their number is told. A mark says it without colours."""
    problems = tuple(HostProblem(Severity.CRITICAL, "x", f"problem {k}", (Culprit("process", "task-2", 2),)) for k in range(5))
    sample = Sample(0, "h", (process(1, 0.1), process(2, 0.05)), ())
    seen = Seen(problems=problems, height=12)
    lines = seen.lines(sample)
    assert lines[1:3] == ["CRITICAL problem 0", "+3 more, CRITICAL problem 1"]
    (guilty,) = [line for line in seen.screen(sample).lines if "task-2" in plain(line)]
    assert guilty[0].style == CRITICAL
    assert texts([guilty], has_colour=True)[0].startswith("\x1b[1;31m! 2")


def test_a_guilty_command_marks_all_its_processes() -> None:
    """Of forty compilers none is the culprit, and all are."""
    problem = HostProblem(Severity.WARNING, "x", "task-2 (2 processes)", (Culprit("command", "task-2"),))
    sample = Sample(0, "h", (process(1, 0.1), process(2, 0.05), replace(process(3, 0.01), name="task-2")), ())
    rows = Seen(problems=(problem,)).rows(sample)
    assert [row[0] for row in rows] == [" ", "!", "!"]


def test_absent_values_are_neither_zero_nor_summed() -> None:
    """A first tick has no CPU figures, and says so."""
    sample = Sample(0, "h", (NamedProcess(1, "a", None, None, None, None, None, None),), ())
    assert any("CPU -   RSS -" in line for line in Seen().lines(sample))
    assert Seen().rows(sample)[0].split() == ["1", "-", "-", "a"]


def test_what_was_chosen_is_told() -> None:
    """Order, tree, pause, and how far it is scrolled."""
    sample = Sample(0, "h", tuple(process(pid, 0.1) for pid in range(1, 101)), ())
    state = TopState("rss", is_tree=True, has_sums=True, is_paused=True, offset=10)
    (line,) = [line for line in Seen(state, width=132).lines(sample) if "processes" in line]
    assert "by rss   tree of sums   paused   from 11 on   ? help   q quit" in line


def test_old_data_is_told() -> None:
    """Without an agent the age of the data stands in the first line."""
    sample = Sample(0, "h", (), ())
    now = 180 * 10**9
    assert "agent not running: data is 3 min old" in Seen(now_wall_ns=now, trouble="agent not running").lines(sample)[0]
    assert "no new samples: data is 3 min old" in Seen(now_wall_ns=now).lines(sample)[0]
    assert "data is 0.5 s old" in Seen(now_wall_ns=5 * 10**8).lines(sample)[0]


def test_the_help_fits_the_smallest_usual_terminal() -> None:
    """All of it, on 80 x 24, in letters that every terminal has."""
    lines = Seen(TopState("cpu", shows_help=True), width=80).lines(STORY)
    assert len(Seen(TopState("cpu", shows_help=True), width=None, height=1000).lines(STORY)) == len(lines) <= 24
    assert all(line.isascii() and len(line) <= 80 for line in lines)


def test_the_pages_show_what_the_screen_shows() -> None:
    """The screens in the README and in docs/top.md are drawn, not written."""
    now = STORY.at_wall_ns + 400_000_000
    page = (ROOT / "docs/top.md").read_text(encoding="utf-8").split("```\n")[1].splitlines()
    assert page == Seen(CPU, 110, 28, now, problems=PROBLEMS_OF_STORY, figures=FIGURES_OF_STORY).lines(STORY)
    assert (GOLDEN / "80x24-cpu.txt").read_text(encoding="utf-8") in (ROOT / "README.md").read_text(encoding="utf-8")


def test_rows_that_were_left_out_are_told_and_keys_only_where_somebody_can_type() -> None:
    """In a file there is nobody."""
    sample = Sample(0, "h", (process(1, 0.1),), (), bad_rows=2)
    (line,) = [line for line in Seen(has_keys=False).lines(sample) if "processes" in line or "1 process " in line]
    assert line.endswith("by cpu   2 bad rows left out")


def test_in_the_past_a_line_says_how_to_go_on() -> None:
    """Where somebody can type, and the screen has room for it."""
    sample = Sample(0, "h", (process(1, 0.1),), ())
    past = Seen(moment=HistoryMoment(0, is_near=True), time_keys="(left right tick)")
    assert "(left right tick)" in past.lines(sample)
    assert "(left right tick)" not in dataclasses.replace(past, has_keys=False).lines(sample)
    assert "(left right tick)" not in dataclasses.replace(past, height=5).lines(sample)


def test_a_unit_that_is_to_blame_colours_no_process() -> None:
    """Neither does a problem that is none."""
    problems = (
        HostProblem(Severity.CRITICAL, "cpu", "x", (Culprit("unit", "shop/web"),)),
        HostProblem(Severity.CALM, "cpu", "x", (Culprit("process", "task-1", 1), Culprit("command", "task-1"))),
    )
    assert guilty_of(problems, (process(1, 0.1),)) == {}
