"""What is wrong with a host and who causes it, from one sample of `agentctl top`. PURE."""

from collections.abc import Sequence

from agent.cli.problem import ORDER, HeadLine, HeadPart, HostProblem
from agent.cli.top_sample import Sample
from agent.cli.width import display_width

# Between the title and the parts of a head line.
GAP = "  "
TITLE_COLUMNS = 4


def problems(sample: Sample, before: Sequence[Sample] = (), now_wall_ns: int | None = None) -> list[HostProblem]:
    """The problems of a tick, the worst first, a cause before its consequences; none on a calm host.

    `before` are earlier samples of the same host in their order, as far as a minute back; each may lack its processes. They tell
    what grew, and what happened a moment ago and matters still (a process killed for memory). `now_wall_ns` is given where the
    sample is to be live: then old data is a problem.
    """
    found: list[HostProblem] = []
    return sorted(found, key=lambda problem: -ORDER[problem.severity])


def head_lines(sample: Sample, width: int | None) -> list[HeadLine]:
    """The figures that always stand above the processes: a line each for CPU, memory, disk, network and processes.

    *Range:* no line is wider than `width`: its last parts go. *Absent:* what is unknown is `-`; a line of which nothing is
    known is left out. None of a sample without figures of the host.
    """
    lines: list[HeadLine] = []
    return [_fitted(line, width) for line in lines]


def _fitted(line: HeadLine, width: int | None) -> HeadLine:
    """The line with as many of its parts as fit."""
    if width is None:
        return line
    left = width - TITLE_COLUMNS
    kept: list[HeadPart] = []
    for part in line.parts:
        left -= len(GAP) + display_width(part.text)
        if left < 0:
            break
        kept.append(part)
    return HeadLine(line.title, tuple(kept))
