"""Which processes have a row: for CPU, for memory, for input and output, and the one with the most threads."""

from random import Random

from fakes.sleeping import sleeping, totals_of

from workers.process.choice import MANY_THREADS, POOL_TICKS, Chooser, ProcessChoice, Wholes
from workers.process.exits.deaths import Deaths
from workers.process.scan_row import sum_of, wholes_of
from workers.process.top_n import PATIENCE_TICKS, Limits
from workers.process.tracked_process import ProcessIo, Scan, TrackedProcess

LIMITS = Limits(950, 1, 100)


def _always(process: TrackedProcess) -> bool:
    return True


def _wholes(processes: list[TrackedProcess], dead_cpu_ns: int = 0) -> Wholes:
    return wholes_of(sum_of(totals_of(processes).values()), Deaths(cpu_ns=dead_cpu_ns))


def _choose(chooser: Chooser, processes: list[TrackedProcess], dead_cpu_ns: int = 0) -> ProcessChoice:
    scan = Scan(active=[process for process in processes if process.interval_cpu_ns != 0], touched=processes, io_read=processes)
    return chooser.choose(processes, scan, _wholes(processes, dead_cpu_ns))


def test_a_row_says_what_chose_it() -> None:
    """The union of all metrics, most CPU first."""
    io = ProcessIo(9, 9, 100, 50)
    processes = [
        sleeping(1, interval_cpu_ns=900, rss_bytes=10),
        sleeping(2, rss_bytes=100_000),
        sleeping(3, interval_cpu_ns=2, io=io),
        sleeping(4, threads=MANY_THREADS, rss_bytes=3),
        sleeping(5, rss_bytes=5),
    ]
    choice = _choose(Chooser(LIMITS, _always), processes)
    assert {process.pid: word for process, word in choice.chosen_for.items()} == {1: "cpu", 2: "rss", 3: "io", 4: "threads"}
    assert (choice.cpu.rows, choice.rss.rows, choice.io.rows) == (1, 1, 1)
    assert (choice.cpu.capture, choice.io.capture) == (1.0, 1.0)
    assert choice.rss.capture == 100_013 / 100_018


def test_the_dead_count_in_the_whole() -> None:
    """The living must hold more for it, as long as they can."""
    processes = [sleeping(pid, interval_cpu_ns=value) for pid, value in enumerate([900, 60, 40], start=1)]
    assert _choose(Chooser(LIMITS, _always), processes).cpu.rows == 2
    choice = _choose(Chooser(LIMITS, _always), processes, dead_cpu_ns=50)
    assert (choice.cpu.rows, choice.cpu.held, choice.cpu.whole, choice.cpu.is_short) == (3, 1000, 1050, False)


def test_rows_are_not_spent_on_what_only_the_dead_hold() -> None:
    """Where all the living do not reach the share, it is the same share of the living; the ratio is that of the whole."""
    processes = [sleeping(pid, interval_cpu_ns=value) for pid, value in enumerate([960, 20, 20], start=1)]
    chooser = Chooser(LIMITS, _always)
    choice = _choose(chooser, processes, dead_cpu_ns=1000)
    assert (choice.cpu.rows, choice.cpu.capture, choice.cpu.is_short) == (1, 0.48, True)
    for _ in range(PATIENCE_TICKS):
        choice = _choose(chooser, processes, dead_cpu_ns=30)
    assert (choice.cpu.rows, choice.cpu.is_short) == (2, False)


def test_the_cap_is_told_by_the_ratio() -> None:
    """A flat load beyond the most rows."""
    processes = [sleeping(pid, rss_bytes=10) for pid in range(1, 201)]
    choice = _choose(Chooser(LIMITS, _always), processes)
    assert (choice.rss.rows, choice.rss.capture, choice.rss.is_short) == (100, 0.5, True)


def test_of_several_with_as_many_threads_one_stays() -> None:
    """A row that changes from tick to tick helps nobody."""
    chooser = Chooser(LIMITS, _always)
    processes = [sleeping(pid, threads=500) for pid in (1, 2, 3)]
    first = [process.pid for process, word in _choose(chooser, processes).chosen_for.items() if "threads" in word]
    processes.reverse()
    assert [process.pid for process, word in _choose(chooser, processes).chosen_for.items() if "threads" in word] == first
    for process in processes:
        process.threads = MANY_THREADS - 1
    assert not any("threads" in word for word in _choose(chooser, processes).chosen_for.values())


def test_without_anything_to_measure_there_is_no_ratio() -> None:
    """A host at rest, and one that shows nothing."""
    choice = _choose(Chooser(LIMITS, _always), [])
    assert (choice.chosen_for, choice.cpu.capture, choice.rss.capture, choice.io.capture) == ({}, None, None, None)


def test_looking_at_few_processes_chooses_what_looking_at_all_would() -> None:
    """Memory grows and shrinks, processes come and go; only those that were read are looked at between two full scans."""
    drawn = Random(5)
    living = [sleeping(pid, rss_bytes=drawn.randrange(1000)) for pid in range(200)]
    gone: set[TrackedProcess] = set()
    chooser = Chooser(Limits(950, 1, 5), lambda process: process not in gone)
    for tick in range(3 * POOL_TICKS):
        touched = drawn.sample(living, drawn.choice([0, 3, 60]))
        for process in touched:
            process.rss_bytes = drawn.randrange(1000 if tick % 7 else 5000)
        for process in drawn.sample(living, drawn.choice([0, 1, 40])):
            living.remove(process)
            gone.add(process)
            new = sleeping(1000 * (tick + 1) + process.pid, rss_bytes=drawn.randrange(1000))
            living.append(new)
            touched.append(new)
        choice = chooser.choose(living, Scan(touched=[p for p in touched if p not in gone]), _wholes(living))
        best = sum(sorted((process.rss_bytes for process in living), reverse=True)[:5])
        assert not gone & set(choice.chosen_for)
        assert 0.75 * best - 1 <= choice.rss.held <= best


def test_other_limits_hold_for_every_metric() -> None:
    """From the next tick on."""
    processes = [sleeping(pid, interval_cpu_ns=100, rss_bytes=100, io=ProcessIo(9, 9, 50, 50)) for pid in range(1, 41)]
    chooser = Chooser(LIMITS, _always)
    assert _choose(chooser, processes).cpu.rows > 10
    chooser.set_limits(Limits(950, 1, 10))
    for _ in range(2):
        choice = _choose(chooser, processes)
    assert [metric.rows for metric in (choice.cpu, choice.rss, choice.io)] == [10, 10, 10]


def test_without_rows_everything_is_left_and_said_to_be_short() -> None:
    """Of a metric of which there is nothing, nothing is missing."""
    choice = _choose(Chooser(LIMITS, _always), [sleeping(1, interval_cpu_ns=900, rss_bytes=10)]).without_rows()
    assert choice.chosen_for == {}
    assert [(metric.rows, metric.held, metric.whole, metric.is_short) for metric in (choice.cpu, choice.rss, choice.io)] == [
        (0, 0, 900, True),
        (0, 0, 10, True),
        (0, 0, 0, False),
    ]
