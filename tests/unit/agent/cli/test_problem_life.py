"""Who starts too many processes, and what dies again and again."""

import pytest
from fakes.calm_host import AT_NS, account, ended, host_row, process, sample

from agent.cli.problem import HostProblem, Severity
from agent.cli.problem_evidence import Rule, evidence_of
from agent.cli.problem_life import crash_loop, fork_storm, zombies
from agent.cli.top_sample import Sample
from agent.model.timebase import S

STORM = account(deaths=850, started=3, cpu_dead_share=0.8)


def only(rule: Rule, of: Sample, *before: Sample) -> HostProblem:
    """The one problem that a rule finds."""
    (problem,) = rule(evidence_of(of, before))
    return problem


def none(rule: Rule, of: Sample, *before: Sample) -> bool:
    return not list(rule(evidence_of(of, before)))


def test_a_fork_storm_names_the_parent_and_its_commands() -> None:
    """The parent that most of the dead had, and what they were."""
    dead = (ended("true", 840, ppid=77), ended("cron", 10, ppid=1), ended("ls", 1, ppid=78), ended("burn", 900))
    problem = only(fork_storm, sample(process(77, "backup.sh", cpu=0.3), scan=STORM, ended=dead))
    assert problem.text == "backup.sh (pid 77) starts 850 processes a second, mostly true; they use 0.8 cores"
    assert [(culprit.kind, culprit.name) for culprit in problem.culprits] == [("process", "backup.sh"), ("command", "true")]
    assert problem.severity is Severity.NOTICE


def test_of_two_storms_the_larger_one_names_its_parent() -> None:
    """And does not get the deaths of the other."""
    dead = (ended("true", 40, ppid=77), ended("burn", 20, ppid=78))
    problem = only(fork_storm, sample(process(77, "backup.sh"), process(78, "burner"), scan=account(deaths=850), ended=dead))
    assert problem.text == "850 processes a second start, most by backup.sh (pid 77), mostly true"


@pytest.mark.parametrize("ppid", [None, 78])
def test_a_storm_whose_parent_is_not_known_names_the_commands(ppid: int | None) -> None:
    """The parent has no row, or the dead do not say it."""
    problem = only(fork_storm, sample(scan=STORM, ended=(ended("true", 840, ppid=ppid),)))
    assert problem.text == "850 processes a second start: mostly true; they use 0.8 cores"
    assert [culprit.name for culprit in problem.culprits] == ["true"]


def test_a_thousand_a_second_are_a_warning() -> None:
    """The tick may be shorter than a second."""
    fast = account(deaths=120, elapsed_ns=S // 10, cpu_dead_share=None)
    problem = only(fork_storm, sample(scan=fast))
    assert problem.text == "1200 processes a second start: which ones is not known"
    assert (problem.severity, problem.culprits) == (Severity.WARNING, ())


def test_a_storm_of_several_commands_together_names_none() -> None:
    """All that is known is their number."""
    problem = only(fork_storm, sample(process(77, "make"), scan=STORM, ended=(ended("?", 840, ppid=77),)))
    assert problem.text == "make (pid 77) starts 850 processes a second; they use 0.8 cores"


def test_children_of_their_parent_s_name_are_not_told_twice() -> None:
    """A shell that forks and does not execute."""
    dead = (ended("sh", 840, ppid=77),)
    assert only(fork_storm, sample(process(77, "sh"), scan=account(deaths=840, cpu_dead_share=0.01), ended=dead)).text == (
        "sh (pid 77) starts 840 processes a second"
    )


def test_without_the_scan_s_account_the_kernel_counts_the_starts() -> None:
    """And a host that starts some processes has no storm."""
    bare = Sample(AT_NS, "h", (), (), machine=sample(host=host_row(processes_started=400)).machine)
    assert only(fork_storm, bare).text.startswith("400 processes a second start")
    unknown = account(deaths=None, started=None)
    assert none(fork_storm, sample(scan=unknown))
    assert none(fork_storm, sample())
    assert none(fork_storm, Sample(1, "h", (), ()))


def test_three_crashes_of_a_command_within_a_minute_are_a_loop() -> None:
    """Two are not, nor two of each of two commands."""
    before = [sample(at_wall_ns=AT_NS - age * S, ended=(ended("web", pid=age, signal=11),)) for age in (40, 20)]
    problem = only(crash_loop, sample(ended=(ended("web", pid=7, signal=11),)), *before)
    assert problem.text == "web crashed 3 times in the last minute: signal 11 (SIGSEGV)"
    assert (problem.severity, problem.culprits[0].name) == (Severity.WARNING, "web")
    assert none(crash_loop, sample(ended=(ended("api", pid=7, signal=6),)), *before)


def test_jobs_that_end_with_the_same_error_are_a_notice() -> None:
    """Short commands end so all the time: grep, test."""
    failed = tuple(ended("sync", pid=pid, exit_code=3, lifetime_ns=2 * S) for pid in range(3))
    problem = only(crash_loop, sample(ended=failed))
    assert problem.text == "sync ended 3 times in the last minute with exit status 3"
    assert problem.severity is Severity.NOTICE
    assert none(crash_loop, sample(ended=failed[:2]))
    assert none(crash_loop, sample(ended=tuple(ended("grep", pid=pid, exit_code=1, lifetime_ns=S // 100) for pid in range(9))))
    assert none(crash_loop, sample(ended=tuple(ended("job", pid=pid, signal=15, exit_code=0) for pid in range(9))))


def test_many_zombies_of_one_parent_name_it() -> None:
    """By its pid alone where it has no row."""
    dead = [process(pid, "job", cpu=0.0, state="Z", ppid=77) for pid in range(200, 212)]
    problem = only(zombies, sample(process(77, "init.sh"), *dead))
    assert problem.text == "init.sh (pid 77) does not collect its ended children: 12 zombies"
    assert only(zombies, sample(*dead)).text.startswith("a process (pid 77) does not")
    assert none(zombies, sample(*dead[:3]))
