"""How an end is described."""

import pytest

from supervisor.core.death import describe_exit, telling_lines


@pytest.mark.parametrize(
    ("status", "text"),
    [(None, "unknown"), (0, "done (0)"), (78, "config (78)"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-64, "SIG64")],
)
def test_an_exit_status_is_described_in_the_words_of_operators(status: int | None, text: str) -> None:
    """Names where there are some, numbers where not."""
    assert describe_exit(status) == text


def test_the_last_lines_tell_most_of_a_traceback() -> None:
    """The exception is at its end."""
    assert telling_lines(("Traceback", "  a", "  b", "ValueError: c")) == ("  a", "  b", "ValueError: c")
    assert telling_lines(()) == ()


def test_the_innermost_lines_tell_most_of_written_stacks() -> None:
    """faulthandler writes them first, below its heading."""
    lines = ("noise", "Current thread 0x1 (most recent call first):", "  at 1", "  at 2", "  at 3", "  at 4")
    assert telling_lines(lines) == ("  at 1", "  at 2", "  at 3")
