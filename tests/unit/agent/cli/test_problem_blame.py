"""The culprit of a load is the process, the command or the unit that has most of it."""

from fakes.calm_host import ended, process

from agent.cli.problem_blame import CPU, MEMORY, READS, blamed, culprits, name_of, who
from agent.cli.top_sample import NamedProcess, Sample, Tail


def host(*processes: NamedProcess, tail: tuple[Tail, ...] = ()) -> Sample:
    return Sample(1, "h", processes, tail)


def test_nobody_is_blamed_where_nothing_is_used() -> None:
    """Nor where nothing is known."""
    assert blamed(host(), CPU, {}) == []
    assert blamed(host(process(1, cpu=None), process(2, cpu=0.0)), CPU, {}) == []


def test_a_process_stands_for_its_command_if_it_has_half_of_it() -> None:
    """The rest of the command may be in the tail."""
    heavy, light = process(1, "dd", cpu=0.6), process(2, "dd", cpu=0.1)
    (found,) = blamed(host(heavy, light, tail=(Tail(None, 5, 0.3, 0, command="dd"),)), CPU, {})
    assert (who(found), found.amount, found.total) == ("dd (pid 1)", 0.6, 1.0)
    (together,) = blamed(host(heavy, light, tail=(Tail(None, 5, 0.6, 0, command="dd"),)), CPU, {})
    assert (who(together), name_of(together.culprit)) == ("dd (7 processes)", "dd")


def test_the_order_is_that_of_what_is_blamed() -> None:
    """A process that stands for its command uses less than the command."""
    processes = (process(1, "py", cpu=0.29), process(2, "py", cpu=0.15), process(3, "py", cpu=0.15), process(4, "gzip", cpu=0.5))
    assert [blame.culprit.pid for blame in blamed(host(*processes), CPU, {})] == [None, 4]
    two = (process(1, "py", cpu=0.3), process(2, "py", cpu=0.25), process(4, "gzip", cpu=0.5))
    assert [blame.culprit.pid for blame in blamed(host(*two), CPU, {})] == [4, 1]


def test_lines_of_several_commands_count_and_are_blamed_for_nothing() -> None:
    """Their part is in the whole, so that the culprit's share is not too large."""
    (found,) = blamed(host(process(1, "dd", cpu=0.5), tail=(Tail(None, 90, 0.5, 0),)), CPU, {})
    assert found.culprit.share == 0.5
    assert blamed(host(tail=(Tail(None, 90, 0.5, 0),)), CPU, {}) == []


def test_a_unit_of_lines_without_commands_is_blamed() -> None:
    """All that is known of it is its sum."""
    (found,) = blamed(host(tail=(Tail("uid-1", 90, 0.5, 0),)), CPU, {})
    assert who(found) == "unit uid-1 (90 processes)"


def test_the_dead_use_cpu_too() -> None:
    """And no memory."""
    sample = Sample(1, "h", (process(1, "sh", cpu=0.1, rss=5),), (), ended=(ended("true", 800, cpu_share=0.7),))
    assert [who(found) for found in blamed(sample, CPU, {})] == ["true (800 processes)", "sh (pid 1)"]
    assert [who(found) for found in blamed(sample, MEMORY, {})] == ["sh (pid 1)"]
    assert blamed(sample, READS, {}) == []


def test_the_dead_of_several_commands_are_blamed_for_nothing() -> None:
    """Their CPU counts in the whole."""
    sample = Sample(1, "h", (process(1, "sh", cpu=0.1),), (), ended=(ended("?", 800, cpu_share=0.9),))
    (found,) = blamed(sample, CPU, {})
    assert (who(found), found.culprit.share) == ("sh (pid 1)", 0.1)


def test_three_are_blamed_at_most_and_names_are_made_safe() -> None:
    """A process may call itself anything."""
    many = [process(pid, f"job\x1b{pid}", cpu=pid / 10) for pid in range(1, 9)]
    found = blamed(host(*many), CPU, {})
    assert [culprit.pid for culprit in culprits(found)] == [8, 7, 6]
    assert who(found[0]) == r"job\x1b8 (pid 8)"
