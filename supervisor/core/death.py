"""How a worker's process ended, as it is recorded and shown. PURE."""

from msgspec import Struct

from agent.model.errors import exit_code_name
from agent.model.signal_name import signal_name


class Death(Struct, frozen=True):
    """One end of a process: of which worker, when (monotonic), how, after how long, the last lines of its stderr.

    `reason` is why we ended it; empty: we did not. The stderr of a hung worker ends with its stacks.
    """

    child: str
    epoch: int
    at_ns: int
    exit: str
    uptime_ns: int
    stderr_tail: tuple[str, ...]
    reason: str = ""


def describe_exit(status: int | None) -> str:
    """An exit status as operators read it: `SIGKILL`, `config (78)`, `done (0)`, `unknown`.

    *Absent:* the status when the fork server died before it could report it.
    """
    if status is None:
        return "unknown"
    if status < 0:
        return signal_name(-status)
    return f"{exit_code_name(status)} ({status})"


def telling_lines(stderr_tail: tuple[str, ...]) -> tuple[str, ...]:
    """The three most telling lines: where it was, if it wrote its stacks (faulthandler does, innermost first), else the last."""
    starts = [number + 1 for number, line in enumerate(stderr_tail) if line.endswith("(most recent call first):")]
    return stderr_tail[starts[0] : starts[0] + 3] if starts else stderr_tail[-3:]
