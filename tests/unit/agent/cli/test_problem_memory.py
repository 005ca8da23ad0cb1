"""What was killed for memory is named, and who holds and takes it."""

from fakes.calm_host import AT_NS, GIB, MIB, ended, host_row, process, sample

from agent.cli.problem import HostProblem, Severity
from agent.cli.problem_evidence import Rule, evidence_of
from agent.cli.problem_memory import memory_growth, memory_held, memory_short, memory_wait, oom_kill, swap_thrash
from agent.cli.top_sample import Sample
from agent.model.timebase import S

KILL = host_row(oom_kills=1)


def only(rule: Rule, of: Sample, *before: Sample) -> HostProblem:
    """The one problem that a rule finds."""
    (problem,) = rule(evidence_of(of, before))
    return problem


def none(rule: Rule, of: Sample, *before: Sample) -> bool:
    return not list(rule(evidence_of(of, before)))


def test_the_largest_process_that_sigkill_ended_is_the_victim() -> None:
    """A process that crashed at the same time is not, nor deaths that are only counted."""
    dead = (
        ended("small", pid=8, signal=9, rss_max_bytes=MIB),
        ended("hog", pid=9, signal=9, rss_max_bytes=190 * MIB),
        ended("crashed", pid=7, signal=11, rss_max_bytes=GIB),
        ended("sh", 40, signal=9),
    )
    problem = only(oom_kill, sample(host=KILL, ended=dead))
    assert problem.text == "hog (pid 9) was killed for lack of memory just now, it held 190.0 MiB"
    assert (problem.severity, problem.culprits[0].pid) == (Severity.CRITICAL, 9)


def test_a_kill_is_told_for_a_minute_and_its_victim_may_end_a_tick_later() -> None:
    """The kernel counts at once; a large process takes a moment to end."""
    killed = sample(host=KILL, at_wall_ns=AT_NS - 20 * S)
    died = sample(at_wall_ns=AT_NS - 19 * S, ended=(ended("hog", pid=9, signal=9, pod_uid="uid-1"),))
    other = sample(at_wall_ns=AT_NS - 5 * S, ended=(ended("later", pid=10, signal=9, rss_max_bytes=GIB),))
    (problem,) = oom_kill(evidence_of(sample(), (killed, died, other), pod_names={"uid-1": "shop/web"}))
    assert problem.text == "hog (pid 9) was killed for lack of memory in shop/web 20 s ago"


def test_kills_are_summed_and_one_row_of_the_host_counts_once() -> None:
    """Two ticks of processes may show the same tick of the host."""
    first = sample(host=host_row(oom_kills=2), at_wall_ns=AT_NS - S)
    again = Sample(AT_NS, "h", (), (), machine=first.machine)
    problem = only(oom_kill, again, first)
    assert problem.text == "A process was killed for lack of memory just now (2 in the last minute): it is not known which"
    assert problem.culprits == ()


def test_without_a_kill_nothing_is_told_of_sigkill() -> None:
    """`kill -9` is not the kernel's."""
    assert none(oom_kill, sample(ended=(ended("sh", pid=9, signal=9),)))
    assert none(oom_kill, sample(host={}))


def test_short_memory_names_who_holds_the_most() -> None:
    """Below a twentieth a warning, below a fiftieth critical, or where all stands still."""
    hog = process(9, "hog", rss=11 * GIB)
    problem = only(memory_short, sample(hog, host=host_row(memory_available_bytes=GIB // 2)))
    assert problem.text == "Memory short, 512.0 MiB of 16.0 GiB available: hog (pid 9) holds 11.0 GiB"
    assert (problem.severity, problem.culprits[0].pid) == (Severity.WARNING, 9)
    less = host_row(memory_available_bytes=GIB // 4)
    still = host_row(memory_available_bytes=GIB // 2, pressure_memory_full_ns=300_000_000)
    assert [only(memory_short, sample(hog, host=host)).severity for host in (less, still)] == [Severity.CRITICAL] * 2
    assert none(memory_short, sample(hog))
    assert none(memory_short, sample(hog, host={}))


def test_short_memory_names_also_who_grew_the_most() -> None:
    """The largest may have been large for weeks."""
    before = sample(process(9, "hog", rss=GIB), at_wall_ns=AT_NS - 4 * S)
    now = sample(process(9, "hog", rss=2 * GIB), host=host_row(memory_available_bytes=GIB // 2))
    problem = only(memory_short, now, before)
    assert "postgres (pid 310) holds 3.0 GiB; hog (pid 9) grew most, 256.0 MiB/s" in problem.text
    assert problem.culprits[-1].pid == 9


def test_a_process_that_holds_much_of_a_memory_that_is_nearly_used_is_told() -> None:
    """Shared pages count once where that is known."""
    little = host_row(memory_available_bytes=2 * GIB)
    problem = only(memory_held, sample(process(9, "hog", rss=9 * GIB), host=little))
    assert problem.text == "hog (pid 9) holds 9.0 GiB of 16.0 GiB; 2.0 GiB are available"
    assert problem.severity is Severity.NOTICE
    assert none(memory_held, sample(process(9, "hog", rss=9 * GIB, pss_bytes=4 * GIB), host=little))
    assert none(memory_held, sample(process(9, "hog", rss=9 * GIB)))
    assert none(memory_held, sample(process(9, "hog", rss=9 * GIB), host={}))
    assert none(memory_held, Sample(1, "h", (), (), machine=sample(host=little).machine))


def test_a_process_that_fills_the_memory_within_two_minutes_is_told_before_it_does() -> None:
    """With how long it lasts."""
    before = sample(process(9, "hog", rss=GIB), at_wall_ns=AT_NS - 2 * S)
    problem = only(memory_growth, sample(process(9, "hog", rss=2 * GIB)), before)
    assert problem.text == "hog (pid 9) grows by 512.0 MiB/s to 2.0 GiB: memory is full in 20 s"
    assert (problem.culprits[0].pid, problem.culprits[0].share) == (9, 0.125)
    assert problem.severity is Severity.WARNING
    slower = only(memory_growth, sample(process(9, "hog", rss=GIB + 300 * MIB)), before)
    assert (slower.severity, "in 1 min 8 s" in slower.text) == (Severity.NOTICE, True)


def test_a_program_that_has_started_grows_no_more() -> None:
    """It holds what it held a tick ago."""
    before = [sample(process(9, "jvm", rss=held), at_wall_ns=AT_NS - age * S) for held, age in ((MIB, 4), (GIB, 2), (2 * GIB, 1))]
    assert none(memory_growth, sample(process(9, "jvm", rss=2 * GIB)), *before)
    assert only(memory_growth, sample(process(9, "jvm", rss=2 * GIB + MIB)), *before).culprits[0].pid == 9


def test_growth_that_takes_its_time_or_cannot_be_known_is_not_told() -> None:
    """Slow growth, another process with the pid, one that had no row, a start of a program, no earlier sample."""
    before = sample(process(9, "hog", rss=GIB), at_wall_ns=AT_NS - 2 * S)
    assert none(memory_growth, sample(process(9, "hog", rss=GIB + 100 * MIB)), before)
    assert none(memory_growth, sample(process(9, "hog", rss=GIB + 140 * MIB)), before)
    assert none(memory_growth, sample(process(9, "hog", rss=3 * GIB, start_ticks=5)), before)
    assert none(memory_growth, sample(process(10, "new", rss=3 * GIB)), before)
    assert none(memory_growth, sample(process(9, "hog", rss=3 * GIB)))
    assert none(memory_growth, sample(process(9, "hog", rss=3 * GIB), host={}), before)


def test_a_process_that_was_born_since_has_grown_from_nothing() -> None:
    """Its start says that it had nothing then."""
    before = sample(at_wall_ns=AT_NS - 2 * S)
    born = process(10, "new", rss=2 * GIB, started_wall_ns=AT_NS - S)
    assert only(memory_growth, sample(born), before).culprits[0].pid == 10


def test_growth_is_measured_over_the_last_ten_seconds() -> None:
    """And not against a sample that has no processes."""
    old = sample(process(9, "hog", rss=0), at_wall_ns=AT_NS - 30 * S)
    bare = Sample(AT_NS - 9 * S, "h", (), ())
    recent = sample(process(9, "hog", rss=GIB), at_wall_ns=AT_NS - 8 * S)
    assert "grows by 128.0 MiB/s" in only(memory_growth, sample(process(9, "hog", rss=2 * GIB)), old, bare, recent).text


def test_a_wait_for_memory_in_a_host_that_has_some_is_the_limit_of_a_unit() -> None:
    """Who reads pages back is named."""
    waits = host_row(pressure_memory_some_ns=400_000_000)
    problem = only(memory_wait, sample(process(9, "hog", major_faults_per_second=900.0), host=waits))
    assert problem.text == (
        "Processes wait for memory 40% of the time though 10.0 GiB are available: the limit of a unit; "
        "hog (pid 9) reads the most pages back"
    )
    short = only(
        memory_wait, sample(process(9, "sh", major_faults_per_second=9.0), host=waits | {"memory_available_bytes": 2 * GIB})
    )
    assert (short.text, short.culprits) == ("Processes wait for memory 40% of the time", ())
    assert none(memory_wait, sample())
    assert none(memory_wait, sample(host={}))


def test_swap_that_goes_both_ways_is_told() -> None:
    """Pages that only go out were not needed."""
    both = host_row(swapped_in_bytes=5 * MIB, swapped_out_bytes=9 * MIB)
    hog = process(9, "hog", major_faults_per_second=900.0)
    problem = only(swap_thrash, sample(hog, host=both))
    assert problem.text == "Swap goes both ways, 9.0 MiB/s out and 5.0 MiB/s in: hog (pid 9) reads the most back"
    assert only(swap_thrash, sample(host=both)).culprits == ()
    assert none(swap_thrash, sample(hog, host=both | {"swapped_in_bytes": 0}))
    assert none(swap_thrash, sample(hog, host={}))
