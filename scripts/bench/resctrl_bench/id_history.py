"""What became of each monitoring id, from the lines that `ids_log` wrote."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class IdHistory:
    """`waits_s`: for each time an id became free while it is known to have been wanted, how long until it was taken.

    `limbo_s`: how long a given-back id could not be given out. `unused`: instants at which ids became free that were still free at
    the end. `held`: how many ids were with a group at the end.
    """

    waits_s: list[float] = field(default_factory=list)
    limbo_s: list[float] = field(default_factory=list)
    unused_since_ns: list[int] = field(default_factory=list)
    held: int = 0


def read_history(lines: Iterable[str], begin_ns: int, end_ns: int) -> IdHistory:
    """What happened from `begin_ns` on until `end_ns`; an id's first wait counts only if it became free in that time."""
    history = IdHistory()
    free_since_ns: dict[str, int] = {}
    retired_at_ns: dict[str, int] = {}
    held: set[str] = set()
    for line in lines:
        instant, what, tag = line.split()
        at_ns = int(instant)
        if at_ns > end_ns:
            break
        if what == "taken":
            held.add(tag)
            since_ns = free_since_ns.pop(tag, None)
            if since_ns is not None and since_ns >= begin_ns:
                history.waits_s.append((at_ns - since_ns) / 1e9)
        else:
            held.discard(tag)
            if what == "retired":
                retired_at_ns[tag] = at_ns
            else:
                free_since_ns[tag] = at_ns
                if tag in retired_at_ns and at_ns >= begin_ns:
                    history.limbo_s.append((at_ns - retired_at_ns[tag]) / 1e9)
    history.unused_since_ns = [at_ns for at_ns in free_since_ns.values() if at_ns >= begin_ns]
    history.held = len(held)
    return history
