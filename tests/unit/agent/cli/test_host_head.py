"""The head shows the host in five lines, and marks what is not as usual."""

from fakes.calm_host import AT_NS, GIB, MIB, account, host_row, network_row, process, sample

from agent.cli.problem import HeadLine, Severity
from agent.cli.top_problems import GAP, head_lines
from agent.cli.top_sample import Sample
from agent.model.timebase import S


def text(line: HeadLine) -> str:
    return GAP.join((line.title, *(part.text for part in line.parts)))


def marked(of: Sample) -> list[str]:
    return [part.text for line in head_lines(of, None) for part in line.parts if part.severity is not Severity.CALM]


def test_the_head_of_a_calm_host() -> None:
    """Nothing of it is marked."""
    assert [text(line) for line in head_lines(sample(), None)] == [
        "CPU  1.0 of 4 cores busy  user 20%  system 5%  iowait 0%  steal 0%  load 1.10 0.90 0.80  wait 3%",
        "MEM  6.0 GiB of 16.0 GiB used  10.0 GiB available  OOM kills 0  wait 0% all 0%  no swap",
        "DISK  vda 12% busy  read 1.0 MiB/s 0.4 ms  write 3.0 MiB/s 0.9 ms  wait 1% all 0%  queue 0.2",
        "NET  eth0 5%  in 6.0 MiB/s  out 2.0 MiB/s  errors 0  drops 2  TCP sent again 0",
        "PROC  220, 480 threads  4/s start  CPU of ended ones 1 %  D 0  named 97% 96% 100%",
    ]
    assert marked(sample()) == []


def test_a_narrow_head_keeps_the_first_parts() -> None:
    """Whole ones."""
    assert [text(line) for line in head_lines(sample(), 40)][:2] == [
        "CPU  1.0 of 4 cores busy  user 20%",
        "MEM  6.0 GiB of 16.0 GiB used",
    ]


def test_what_a_problem_is_about_is_marked() -> None:
    """With its severity."""
    short = sample(process(9, "hog", rss=12 * GIB), host=host_row(memory_available_bytes=GIB // 2, oom_kills=1))
    assert marked(short) == ["15.5 GiB of 16.0 GiB used", "512.0 MiB available", "OOM kills 1"]
    lines = head_lines(short, None)
    assert (lines[1].parts[0].severity, lines[1].parts[2].severity) == (Severity.WARNING, Severity.CRITICAL)


def test_kills_of_the_last_minute_are_summed() -> None:
    """The tick of a kill is gone in a second."""
    before = [sample(host=host_row(oom_kills=count), at_wall_ns=AT_NS - age * S) for count, age in ((2, 9), (1, 5))]
    assert "OOM kills 3" in text(head_lines(sample(), None, before)[1])


def test_swap_and_a_lesser_source_of_exits_are_shown_where_they_are() -> None:
    """How full it is, and how much goes out and comes in."""
    host = host_row(swap_total_bytes=2 * GIB, swap_free_bytes=GIB, swapped_out_bytes=MIB, swapped_in_bytes=0)
    lines = [text(line) for line in head_lines(sample(host=host, scan=account(exit_source="cutime")), None)]
    assert lines[1].endswith("swap 1.0 GiB of 2.0 GiB, 1.0 MiB/s out 0 B/s in")
    assert "by cutime" in lines[4]


def test_lines_of_which_nothing_is_known_are_left_out_and_single_figures_are_a_dash() -> None:
    """In a container there may be no disks."""
    some = sample(host=host_row(cpu_ns=None, cpu_user_ns=None, load_1=None, swap_total_bytes=None), disks=[], networks=[])
    assert [line.title for line in head_lines(some, None)] == ["CPU", "MEM", "PROC"]
    assert "load - 0.90" in text(head_lines(some, None)[0])
    assert text(head_lines(some, None)[1]).endswith("swap -")
    unknown = sample(host=host_row(cores=None, memory_total_bytes=None))
    assert [line.title for line in head_lines(unknown, None)] == ["DISK", "NET", "PROC"]
    bare = Sample(1, "h", (), (), machine=sample(networks=[network_row(interface="lo")]).machine)
    assert [line.title for line in head_lines(bare, None)] == ["CPU", "MEM", "DISK"]
