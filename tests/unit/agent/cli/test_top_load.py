"""Sums of processes, tails and what ended."""

from agent.cli.top_load import Load, io_of, load_of, network_of
from agent.cli.top_sample import Ended, NamedProcess, Tail

PROCESS = NamedProcess(1, "x", 0, None, "S", 3, 0.5, 100, user_share=0.4, read_bytes_per_second=5.0, sent_bytes_per_second=1.0)


def test_figures_are_summed_each_by_itself() -> None:
    """What ended has its CPU in the sum, and is no process."""
    total = load_of([PROCESS, PROCESS, Ended("cc1", None, 7, 7, 0.25), Load(2, 1, cpu_share=1.0)])
    assert (total.processes, total.ended, total.cpu_share, total.rss_bytes, total.threads) == (4, 8, 2.25, 200, 6)
    assert (total.user_share, total.write_bytes_per_second) == (0.8, None)


def test_a_tail_has_no_figure_that_only_named_processes_have() -> None:
    """A sum without it would be read as that of all."""
    total = load_of([PROCESS, Tail(None, 9, 0.5, 50, read_bytes_per_second=1.0)])
    assert (total.cpu_share, total.rss_bytes, total.read_bytes_per_second) == (1.0, 150, 6.0)
    assert (total.user_share, total.sent_bytes_per_second) == (None, None)


def test_of_two_directions_one_may_be_unknown() -> None:
    """Neither known is unknown, not none."""
    assert (io_of(PROCESS), network_of(PROCESS), io_of(Load())) == (5.0, 1.0, None)
