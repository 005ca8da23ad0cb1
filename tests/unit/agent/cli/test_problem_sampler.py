"""The screen says what its data do not show."""

from fakes.calm_host import AT_NS, account, host_row, sample

from agent.cli.problem import Severity
from agent.cli.problem_evidence import evidence_of
from agent.cli.problem_sampler import capture_low, data_old, exits_fallback
from agent.cli.top_sample import Named, Sample, ScanAccount
from agent.model.timebase import S

BARE = Sample(1, "h", (), ())


# Half of its cores are busy, its memory is nearly used, and something waits for its disks.
SHORT = host_row(cpu_ns=2 * S, memory_available_bytes=2 << 30, pressure_io_some_ns=S // 10)


def texts_of_capture(scan: ScanAccount, host: Named | None = SHORT) -> list[str]:
    return [problem.text for problem in capture_low(evidence_of(sample(scan=scan, host=host)))]


def test_old_data_are_a_problem_of_a_live_screen_alone() -> None:
    """A moment of the past is old by intention."""
    (problem,) = data_old(evidence_of(sample(), now_wall_ns=AT_NS + 12 * S))
    assert problem.text == "The data is 12 s old: the agent does not run or does not keep up"
    assert problem.severity is Severity.WARNING
    assert not list(data_old(evidence_of(sample(), now_wall_ns=AT_NS + 2 * S)))
    assert not list(data_old(evidence_of(sample())))


def test_a_capture_below_its_target_is_told() -> None:
    """Of each metric apart."""
    assert texts_of_capture(account(cpu_capture=0.8, rss_capture=0.9, cpu_dead_share=0.0)) == [
        "The processes shown by name hold only 80% of CPU, 90% of memory; the rest is in the sums"
    ]
    assert texts_of_capture(account(cpu_capture=0.8, cpu_dead_share=None)) == [
        "The processes shown by name hold only 80% of CPU; the rest is in the sums"
    ]
    assert texts_of_capture(account()) == []


def test_a_calm_host_of_many_small_processes_has_no_problem() -> None:
    """Who holds the rest of what is not short is no question at night; where the host is not known it may be one."""
    low = account(cpu_capture=0.6, rss_capture=0.7, io_capture=0.5, write_bytes_per_second=5e7, cpu_dead_share=0.0)
    assert texts_of_capture(low, host=None) == []
    assert texts_of_capture(low, host=host_row(cpu_ns=2 * S)) == [
        "The processes shown by name hold only 60% of CPU; the rest is in the sums"
    ]
    everything = ["The processes shown by name hold only 60% of CPU, 70% of memory, 50% of I/O; the rest is in the sums"]
    assert texts_of_capture(low) == texts_of_capture(low, host={}) == everything


def test_what_ended_has_no_name_and_is_shown_too() -> None:
    """A host that starts many short commands captures no more."""
    assert texts_of_capture(account(cpu_capture=0.6, cpu_share=1.0, cpu_dead_share=0.38)) == []


def test_a_low_capture_of_next_to_nothing_is_not_told() -> None:
    """A hundredth of a core is spread over many processes on any idle host."""
    assert texts_of_capture(account(cpu_capture=0.2, cpu_share=0.02)) == []
    assert texts_of_capture(account(io_capture=0.2, write_bytes_per_second=5_000.0)) == []
    assert texts_of_capture(account(io_capture=0.2, write_bytes_per_second=5e7)) == [
        "The processes shown by name hold only 20% of I/O; the rest is in the sums"
    ]
    assert not list(capture_low(evidence_of(BARE)))


def test_a_lesser_source_of_exits_and_lost_records_are_told() -> None:
    """They make short-lived processes less exact."""
    found = list(exits_fallback(evidence_of(sample(scan=account(exit_source="cutime", exit_records_lost=5)))))
    assert [problem.name for problem in found] == ["exits_lost", "exits_fallback"]
    assert "by cutime only" in found[1].text
    assert not list(exits_fallback(evidence_of(sample())))
    assert not list(exits_fallback(evidence_of(BARE)))
