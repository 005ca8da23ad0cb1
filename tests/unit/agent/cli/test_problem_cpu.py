"""Who keeps the cores busy is named, and nobody where there is room."""

from fakes.calm_host import ended, host_row, process, sample
from msgspec.structs import replace

from agent.cli.problem import HostProblem, Severity
from agent.cli.problem_cpu import cpu_hog, cpu_saturated, many_threads, steal
from agent.cli.problem_evidence import Rule, evidence_of
from agent.cli.top_sample import NamedProcess, Sample

FULL = host_row(cpu_ns=3_900_000_000, running=9, pressure_cpu_some_ns=700_000_000)


def only(rule: Rule, of: Sample) -> HostProblem:
    """The one problem that a rule finds."""
    (problem,) = rule(evidence_of(of))
    return problem


def none(rule: Rule, of: Sample) -> bool:
    return not list(rule(evidence_of(of)))


def test_full_cores_name_the_process_that_uses_the_most() -> None:
    """With its part of all that was used, and how many wait."""
    problem = only(cpu_saturated, sample(process(77, "stress", cpu=2.9), host=FULL))
    assert problem.text == "CPU full: stress (pid 77) uses 2.9 cores; 3.9 of 4 cores busy, 9 threads want to run"
    assert (problem.severity, problem.culprits[0].pid) == (Severity.WARNING, 77)
    assert problem.culprits[0].share is not None
    assert 0.7 < problem.culprits[0].share < 0.8


def test_nobody_is_named_where_those_that_are_visible_use_little_of_it() -> None:
    """In a container the cores are full because of others."""
    inside = replace(sample(host=FULL), processes=(process(5, "agentd", cpu=0.02), process(6, "app", cpu=0.1)), tail=())
    problem = only(cpu_saturated, inside)
    assert problem.culprits == ()
    assert problem.text.startswith("CPU full: not by processes that are visible here, which use 0.1 cores; 3.9 of 4 cores busy")


def test_of_many_compilers_the_command_is_named() -> None:
    """Living and dead ones together: none of them alone is the culprit."""
    compilers = [process(pid, "cc1", cpu=0.3) for pid in range(1000, 1008)]
    problem = only(cpu_saturated, sample(*compilers, ended=(ended("cc1", 12, cpu_share=0.5),), host=FULL))
    assert "cc1 (20 processes) uses 2.9 cores" in problem.text
    assert (problem.culprits[0].kind, problem.culprits[0].pid) == ("command", None)


def test_of_many_commands_the_unit_that_started_them_is_named() -> None:
    """By the pod's name where it is known."""
    many = [process(pid, f"step-{pid}", cpu=0.2, pod_uid="uid-1") for pid in range(2000, 2014)]
    (problem,) = cpu_saturated(evidence_of(sample(*many, host=FULL), pod_names={"uid-1": "ci/build-7"}))
    assert "unit ci/build-7 (14 processes) uses 2.8 cores" in problem.text
    assert (problem.culprits[0].kind, problem.culprits[0].name) == ("unit", "ci/build-7")


def test_the_second_is_told_if_it_uses_nearly_as_much() -> None:
    """And scripts of one interpreter are different programs."""
    scripts = [
        process(pid, name, cpu=cpu, comm="python3") for pid, name, cpu in ((5, "a.py", 1.6), (6, "b.py", 1.1), (7, "c.py", 0.5))
    ]
    assert "a.py (pid 5) uses 1.6 cores and b.py (pid 6) 1.1 cores; 3.9" in only(cpu_saturated, sample(*scripts, host=FULL)).text


def test_full_cores_for_which_nothing_waits_are_no_problem() -> None:
    """A batch job that has its cores to itself; without pressure in the kernel the queue decides."""
    hog = process(77, "stress", cpu=3.8)
    assert none(cpu_saturated, sample(hog, host=FULL | {"pressure_cpu_some_ns": 20_000_000}))
    assert none(cpu_saturated, sample(hog, host=FULL | {"pressure_cpu_some_ns": None, "running": 4}))
    assert only(cpu_saturated, sample(hog, host=FULL | {"pressure_cpu_some_ns": None})).culprits[0].pid == 77


def test_room_on_the_cores_is_no_problem() -> None:
    """Also where something waits for a moment; and without figures of the host nothing is said."""
    assert none(cpu_saturated, sample(host=host_row(cpu_ns=3_500_000_000, pressure_cpu_some_ns=500_000_000)))
    assert none(cpu_saturated, sample(host={}))


def test_full_cores_that_nobody_is_known_to_use() -> None:
    """The fact is told without a culprit."""
    alone = Sample(1, "h", (), (), machine=sample(host=FULL | {"running": None}).machine)
    problem = only(cpu_saturated, alone)
    assert (problem.text, problem.culprits) == ("CPU full; 3.9 of 4 cores busy", ())


def test_processes_that_use_a_whole_core_are_named_the_heaviest_first() -> None:
    """Three at most; a process at 80 % is not one."""
    hogs = [process(pid, "job", cpu=cpu) for pid, cpu in ((1, 0.8), (2, 0.97), (3, 2.3), (4, 0.93), (5, 0.92))]
    problem = only(cpu_hog, sample(*hogs))
    assert problem.text == "job (pid 3) uses 2.3 cores; job (pid 2) uses 1.0 core; job (pid 4) uses 0.9 cores"
    assert [culprit.pid for culprit in problem.culprits] == [3, 2, 4]
    assert (problem.severity, problem.culprits[0].share) == (Severity.NOTICE, 2.3 / 4)


def test_a_hog_is_named_where_the_host_has_no_row() -> None:
    """Its part of all cores is not known then."""
    assert only(cpu_hog, sample(process(5, "job", cpu=1.0), host={})).culprits[0].share is None
    assert none(cpu_hog, sample(process(5, "job", cpu=None)))


def test_steal_is_told_and_blames_no_process() -> None:
    """From a tenth of all time on."""
    problem = only(steal, sample(host=host_row(cpu_steal_ns=1_000_000_000)))
    assert ("20% of the CPU" in problem.text, problem.culprits) == (True, ())
    assert none(steal, sample(host=host_row(cpu_steal_ns=40_000_000)))


def test_a_process_with_very_many_threads_is_named() -> None:
    """With its part of all threads; an application server with 180 is not one."""
    crowd: NamedProcess = process(9, "crowd", threads=520)
    problem = only(many_threads, sample(crowd))
    assert problem.text == "crowd (pid 9) has 520 of 480 threads"
    assert problem.culprits[0].share == 1.0
    assert none(many_threads, sample())
    assert none(many_threads, Sample(1, "h", (), ()))
    assert only(many_threads, Sample(1, "h", (crowd,), ())).text == "crowd (pid 9) has 520 threads"
