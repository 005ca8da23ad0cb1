"""Speed and state of network interfaces, from files that can block: a driver may wait for its hardware, and both take a lock.

They are read aside, and rarely: a link that comes or goes is seen within `BELIEVED_NS`.
"""

from collections.abc import Hashable, Mapping, Sequence
from errno import EINVAL, ENOENT, EOPNOTSUPP

from agent.model.absence import Absence
from agent.model.timebase import S
from agent.side_reader import SideReader, Unanswered
from workers.host.files import reason_of
from workers.host.network import Link, parse_operstate, parse_speed

ROOT = "/sys/class/net"
# A speed has some digits, a state one word.
LINK_BYTES_MAX = 64
BELIEVED_NS = 10 * S

Answer = bytes | OSError | Unanswered


class LinkReader:
    """The links of interfaces, by name. `reader` reads below `ROOT`."""

    def __init__(self, reader: SideReader[bytes]) -> None:
        self._reader = reader
        self._links: dict[str, Link] = {}
        self._read_at_ns: dict[str, int] = {}

    def links(self, names: Sequence[str], now_ns: int) -> Mapping[str, Link]:
        """The link of each interface; those that were read long ago, or never, are read now. Others are forgotten."""
        for name in self._links.keys() - set(names):
            del self._links[name], self._read_at_ns[name]
        due = [name for name in names if name not in self._links or now_ns - self._read_at_ns[name] >= BELIEVED_NS]
        # The kernel allows no slash in a name.
        asks: list[tuple[Hashable, str]] = [
            ((name, file), f"{name}/{file}") for name in due if "/" not in name for file in ("operstate", "speed")
        ]
        answers = self._reader.read_all(asks) if asks else {}
        for name in due:
            missing = FileNotFoundError(ENOENT, name)
            self._links[name] = link_of(answers.get((name, "operstate"), missing), answers.get((name, "speed"), missing))
            self._read_at_ns[name] = now_ns
        return self._links

    @property
    def stuck(self) -> int:
        """How many reads do not come back."""
        return self._reader.stuck

    def close(self) -> None:
        """End the thread that reads."""
        self._reader.close()


def link_of(state: Answer, speed: Answer) -> Link:
    """What the two files say. An interface without a speed answers EINVAL, which is no failure."""
    is_up = parse_operstate(state) if isinstance(state, bytes) else None
    if isinstance(speed, bytes):
        bits, why_no_speed = parse_speed(speed), None
    else:
        bits, why_no_speed = None, _reason(speed)
        if isinstance(speed, OSError) and speed.errno in (EINVAL, EOPNOTSUPP):
            why_no_speed = None
    why_no_state = None if isinstance(state, bytes) else _reason(state)
    return Link(bits, is_up, why_no_state or why_no_speed)


def _reason(answer: OSError | Unanswered) -> Absence:
    if isinstance(answer, OSError):
        return reason_of(answer)
    return Absence.NOT_ANSWERED if answer is Unanswered.STUCK else Absence.READERS_STUCK
