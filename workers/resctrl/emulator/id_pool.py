"""Allocates hardware ids: CLOSIDs (control of cache and bandwidth) and RMIDs (monitoring). PURE.

A given-back RMID still tags lines in the caches; it waits in limbo until each domain holds less of it than the threshold.
"""

from collections import deque
from collections.abc import Callable, Iterable
from errno import EBUSY, ENOSPC

from workers.resctrl.emulator.command import refusal

# The kernel's limbo worker checks each domain that has ids in limbo once a second.
LIMBO_PERIOD_NS = 1_000_000_000

Tag = tuple[int, int]
"""(closid, rmid). Where RMIDs do not depend on the CLOSID the first is always 0."""

ROOT_TAG: Tag = (0, 0)


class MonitorIds:
    """The RMIDs: a queue of free ids, the one free for longest first, and the ids in limbo."""

    def __init__(self, rmids: int, closids: int, *, depends_on_closid: bool, has_limbo: bool):
        self._depends_on_closid = depends_on_closid
        self._has_limbo = has_limbo
        spaces = range(closids) if depends_on_closid else range(1)
        self._free: deque[Tag] = deque((closid, rmid) for closid in spaces for rmid in range(rmids))
        self._free.remove(ROOT_TAG)
        self._busy_domains: dict[Tag, set[int]] = {}
        self._tags_by_domain: dict[int, set[Tag]] = {}
        self._deadline_ns: dict[int, int] = {}

    def tag(self, closid: int, rmid: int) -> Tag:
        """What identifies an RMID: with its CLOSID on MPAM, alone elsewhere."""
        return (closid if self._depends_on_closid else 0, rmid)

    def allocate(self, closid: int) -> int:
        """The RMID that has been free for longest. *Raises:* OSError: EBUSY when all unused ids are in limbo, else ENOSPC."""
        if not self._free:
            raise refusal(EBUSY if self._busy_domains else ENOSPC)
        if not self._depends_on_closid:
            return self._free.popleft()[1]
        for place, (tag_closid, rmid) in enumerate(self._free):
            if tag_closid == closid:
                del self._free[place]
                return rmid
        raise refusal(ENOSPC)

    def retire(self, tag: Tag, domains: Iterable[int], now_ns: int) -> bool:
        """Gives an id back. True: it is free at once, because this machine cannot measure occupancy."""
        busy = set(domains) if self._has_limbo else set()
        if not busy:
            self._free.append(tag)
            return True
        self._busy_domains[tag] = busy
        for domain in busy:
            self._tags_by_domain.setdefault(domain, set()).add(tag)
            self._deadline_ns.setdefault(domain, now_ns + LIMBO_PERIOD_NS)
        return False

    def next_deadline_ns(self) -> int | None:
        """When limbo is checked next. *Absent:* None when nothing is in limbo."""
        return min(self._deadline_ns.values(), default=None)

    def check_limbo(self, now_ns: int, is_dirty: Callable[[Tag, int, int], bool]) -> list[Tag]:
        """Makes every check that was due, in order, with `is_dirty(tag, domain, at_ns)`. Returns the tags that became free."""
        freed: list[Tag] = []
        while (due_ns := self.next_deadline_ns()) is not None and due_ns <= now_ns:
            domain = min(key for key, deadline_ns in self._deadline_ns.items() if deadline_ns == due_ns)
            for tag in sorted(self._tags_by_domain[domain]):
                if not is_dirty(tag, domain, due_ns):
                    freed += self._clean(tag, domain)
            if self._tags_by_domain[domain]:
                self._deadline_ns[domain] = due_ns + LIMBO_PERIOD_NS
            else:
                del self._deadline_ns[domain]
        return freed

    def forget_domain(self, domain: int) -> list[Tag]:
        """The domain is offline and cannot be checked any more, so no id waits for it. Returns the tags that became free."""
        freed = [tag for held in sorted(self._tags_by_domain.get(domain, ())) for tag in self._clean(held, domain)]
        self._deadline_ns.pop(domain, None)
        return freed

    def _clean(self, tag: Tag, domain: int) -> list[Tag]:
        self._tags_by_domain[domain].discard(tag)
        busy = self._busy_domains[tag]
        busy.discard(domain)
        if busy:
            return []
        del self._busy_domains[tag]
        self._free.append(tag)
        return [tag]

    def dirty_count(self, closid: int) -> int:
        """How many ids of a CLOSID are in limbo."""
        return sum(1 for tag in self._busy_domains if tag[0] == closid)

    @property
    def free_count(self) -> int:
        """How many ids are free."""
        return len(self._free)

    @property
    def limbo_count(self) -> int:
        """How many ids are in limbo."""
        return len(self._busy_domains)


class ClassIds:
    """The CLOSIDs: the lowest free one, or the one with the fewest RMIDs in limbo where these depend on it."""

    def __init__(self, closids: int):
        self._free = set(range(1, closids))

    def allocate(self, dirty_count: Callable[[int], int] | None) -> int:
        """*Raises:* OSError(ENOSPC)."""
        if not self._free:
            raise refusal(ENOSPC)
        closid = min(self._free, key=lambda one: (dirty_count(one) if dirty_count else 0, one))
        self._free.discard(closid)
        return closid

    def release(self, closid: int) -> None:
        """The CLOSID is free again."""
        self._free.add(closid)
