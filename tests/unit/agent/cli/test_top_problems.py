"""A newcomer sees the true culprit first, and nothing on a calm host."""

from fakes.calm_host import AT_NS, GIB, MIB, account, disk_row, ended, host_row, network_row, process, sample
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.problem import ORDER, HostProblem, Severity
from agent.cli.top_problems import CONSEQUENCES, GAP, RULES, SAYS_THE_SAME, TITLE_COLUMNS, head_lines, problems
from agent.cli.top_sample import Named, Sample
from agent.cli.width import display_width
from agent.model.timebase import S

FULL_CPU = host_row(cpu_ns=3_950_000_000, running=40, pressure_cpu_some_ns=900_000_000, load_1=55.0)


def names(found: list[HostProblem]) -> list[str]:
    return [problem.name for problem in found]


# ---- calm hosts ----------------------------------------------------------------------------------


def test_a_normally_busy_host_has_no_problem() -> None:
    """A database, an application server and a web server by day."""
    assert problems(sample(), [sample(at_wall_ns=AT_NS - S)], AT_NS + S) == []


def test_an_idle_host_has_no_problem() -> None:
    """Its few busy milliseconds are spread over many processes, and it captures little of them."""
    idle = host_row(cpu_ns=20_000_000, cpu_user_ns=10_000_000, cpu_system_ns=10_000_000, cpu_idle_ns=3_980_000_000, load_1=0.0)
    account_of_it = account(cpu_share=0.02, cpu_capture=0.4, io_capture=None, started=0, deaths=0)
    assert problems(sample(host=idle, scan=account_of_it), now_wall_ns=AT_NS) == []


def test_a_parallel_build_that_fits_its_cores_and_a_nightly_job_are_at_most_notices() -> None:
    """Hosts are there to be used."""
    build = [process(pid, "cc1", cpu=0.6) for pid in range(1000, 1005)]
    busy = host_row(cpu_ns=3_200_000_000, running=5, pressure_cpu_some_ns=80_000_000)
    assert problems(sample(*build, host=busy, scan=account(deaths=60, started=12))) == []
    assert {problem.severity for problem in problems(sample(process(7, "gzip", cpu=1.0)))} == {Severity.NOTICE}


def test_data_of_an_earlier_build_have_no_problem_and_no_head() -> None:
    """There are processes and nothing else."""
    bare = Sample(AT_NS, "h", (process(1),), ())
    assert (problems(bare), head_lines(bare, 80)) == ([], [])


def test_the_first_tick_has_no_rates_and_no_problem() -> None:
    """Everything since the last tick is absent."""
    first: Named = {
        "timestamp": AT_NS,
        "cores": 4,
        "memory_total_bytes": GIB,
        "memory_available_bytes": GIB // 2,
        "absent": "first_tick",
    }
    bare = sample(host=first, disks=[{"device": "vda"}], networks=[{"interface": "eth0"}], scan=account(elapsed_ns=None))
    assert problems(bare) == []
    assert head_lines(bare, None)[0].parts[0].text == "- of 4 cores busy"


# ---- causes before consequences ------------------------------------------------------------------


def test_a_fork_storm_stands_before_the_full_cores_that_it_brings() -> None:
    """It is as severe as they are."""
    dead = (ended("true", 700, ppid=77, cpu_share=2.0),)
    storm = sample(process(77, "loop.sh", cpu=0.8), host=FULL_CPU, scan=account(deaths=700), ended=dead)
    found = problems(storm)
    assert names(found)[:2] == ["fork_storm", "cpu_saturated"]
    assert (found[0].severity, found[0].culprits[0].pid) == (Severity.WARNING, 77)


def test_short_memory_stands_before_the_disk_that_it_keeps_busy() -> None:
    """Reclaim writes, faults read, and everything waits."""
    host = host_row(
        memory_available_bytes=GIB // 8,
        pressure_memory_some_ns=600_000_000,
        pressure_io_some_ns=900_000_000,
        swapped_in_bytes=20 * MIB,
        swapped_out_bytes=30 * MIB,
        blocked=9,
    )
    thrash = sample(process(9, "hog", rss=12 * GIB), host=host, disks=[disk_row(utilisation=1.0)])
    found = problems(thrash)
    assert names(found) == ["memory_short", "memory_wait", "swap_thrash", "disk_saturated", "blocked"]
    assert found[0].culprits[0].pid == 9


def test_who_holds_the_memory_stands_before_those_who_wait_for_it() -> None:
    """Also where a little is left."""
    host = host_row(memory_available_bytes=2 * GIB, pressure_memory_some_ns=200_000_000)
    found = problems(sample(process(9, "hog", rss=12 * GIB), host=host))
    assert names(found) == ["memory_held", "memory_wait"]
    assert {problem.severity for problem in found} == {Severity.WARNING}


def test_a_killed_process_stands_before_all() -> None:
    """Work was lost."""
    killed = sample(host=FULL_CPU | {"oom_kills": 1}, ended=(ended("hog", pid=9, signal=9, rss_max_bytes=GIB),))
    assert names(problems(killed))[:2] == ["oom_kill", "cpu_saturated"]


def test_what_says_nothing_more_is_left_out() -> None:
    """The process that fills the cores uses a whole core; another one that does so is told."""
    hog, other = process(77, "stress", cpu=2.5), process(78, "gzip", cpu=1.0)
    assert names(problems(sample(hog, host=FULL_CPU))) == ["cpu_saturated"]
    lots = [network_row(sent_bytes=110 * MIB, utilisation=0.92)]
    assert names(problems(sample(hog, host=FULL_CPU, networks=lots))) == ["network_full", "cpu_saturated"]
    assert names(problems(sample(other, disks=[disk_row(utilisation=1.0)]))) == ["cpu_hog"]


def test_tables_of_order_name_only_problems_that_rules_make() -> None:
    """And no problem is its own consequence."""
    known = {rule.__name__ for rule in RULES}
    named = {*CONSEQUENCES, *SAYS_THE_SAME}.union(*CONSEQUENCES.values(), *SAYS_THE_SAME.values())
    assert named <= known
    order = [rule.__name__ for rule in RULES]
    assert all(order.index(cause) < order.index(name) for cause, after in CONSEQUENCES.items() for name in after)


FIGURES = st.none() | st.integers(-5, 1 << 62) | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(
    st.dictionaries(st.sampled_from(sorted(host_row())), FIGURES),
    st.dictionaries(st.sampled_from(sorted(disk_row())), FIGURES),
    st.dictionaries(st.sampled_from(sorted(network_row())), FIGURES),
    st.integers(1, 200),
)
def test_any_rows_give_ordered_problems_and_a_head_that_fits(
    host: Named,
    disk: Named,
    network: Named,
    width: int,
) -> None:
    """Whatever a file holds: nothing fails, one line each, no control character."""
    odd = sample(
        process(9, "odd\x1b\nname", cpu=9.0), host=host_row() | host, disks=[disk_row() | disk], networks=[network_row() | network]
    )
    found = problems(odd, now_wall_ns=AT_NS)
    assert all(problem.text.isprintable() for problem in found)
    ranks = [ORDER[problem.severity] for problem in found]
    assert ranks == sorted(ranks, reverse=True)
    for line in head_lines(odd, width):
        assert TITLE_COLUMNS + sum(len(GAP) + display_width(part.text) for part in line.parts) <= max(width, TITLE_COLUMNS)
        assert all(part.text.isprintable() for part in line.parts)
