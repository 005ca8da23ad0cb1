"""Whose limit was hit when a process was killed for lack of memory: a unit's own, one above it, or the host's. PURE.

The kernel counts in each cgroup and in all above it, so nothing is lost when a cgroup is removed at once: what the counts of a
parent have more than those of its children belongs to one that is gone. A look begins at the top and goes where something is new.
"""

from collections.abc import Iterable
from enum import StrEnum
from math import inf
from typing import Protocol

from msgspec import Struct

from workers.unit.oom_node import LimitHits, OomLevel, OomNode
from workers.unit.oom_reading import OomReading

# One look reads at most so many cgroups: 50 ms. What is left is read by the next one.
READS_MAX = 4096
VANISHED_MAX = 1024


class OomVerdict(StrEnum):
    """Whose limit it was. The words stand in the column `verdict` of table `unit_event`."""

    OWN_LIMIT = "own_limit"
    """The unit's own, or one inside it."""
    ANCESTOR = "ancestor"
    """That of a cgroup above the unit."""
    HOST = "host"
    """No cgroup's: the host had no memory left."""


class CgroupMemory(Protocol):
    """The memory controller's files of all cgroups."""

    def read(self, path: str) -> OomReading | None:
        """*Absent:* the cgroup is gone, or has no memory controller."""
        ...

    def children(self, path: str) -> list[str]:
        """The paths of the cgroups right below one; none when it is gone."""
        ...

    def limit_bytes(self, path: str) -> int | None:
        """*Absent:* there is none, or the cgroup is gone."""
        ...


class OomKill(Struct, frozen=True):
    """Kills in one cgroup for one cause. `culprit` is the cgroup whose limit was hit. *Absent:* as in table `unit_event`."""

    path: str
    verdict: OomVerdict | None
    kills: int
    culprit: str | None = None
    limit_bytes: int | None = None


class _Victims:
    """Kills in one cgroup that wait for their verdict; `node` is the cgroup, or the parent of one that is gone."""

    def __init__(self, node: OomNode, gone: OomNode | None, kills: int) -> None:
        self.node = node
        self.gone = gone
        self.kills = kills

    @property
    def victim(self) -> OomNode:
        return self.gone or self.node

    def levels(self) -> list[OomLevel]:
        """Whose limit it may have been, the innermost first; whether that is the unit's own."""
        innermost = self.victim
        found = [OomLevel(innermost, innermost.own, True), OomLevel(innermost, innermost.inner, True)]
        unlikely: list[OomLevel] = []
        lowest, is_below = innermost, self.gone is not None
        for node in innermost.chain[1:]:
            if is_below:
                # Limits below a node that no cgroup of now explains were those of one that is gone: the lowest, as it was known.
                # Limits inside one that had none itself are not excluded, but those above are likelier.
                inner = OomLevel(lowest, node.inner, lowest is innermost)
                (unlikely if lowest.limit_bytes is None else found).append(inner)
                lowest = lowest if _limit(lowest) <= _limit(node) else node
                is_below = node is not self.node
            found.append(OomLevel(node, node.own, False))
        return found + unlikely


class OomLedger:
    """The account of all cgroups that are known. `is_root_hidden`: what is above the uppermost ones is not seen.

    `is_whole`: the kernel counts in all above a cgroup too; where not, each known cgroup is read at each look.
    """

    def __init__(self, memory: CgroupMemory, *, is_whole: bool = True, is_root_hidden: bool = False) -> None:
        self._memory = memory
        self._is_whole = is_whole
        self._is_root_hidden = is_root_hidden
        self._tops: dict[str, OomNode] = {}
        self._by_path: dict[str, OomNode] = {}
        self._with_vanished: list[OomNode] = []
        self._reads_left = READS_MAX
        self._begun = self._looks = 0

    def __len__(self) -> int:
        return len(self._by_path)

    @property
    def tops(self) -> tuple[str, ...]:
        """The uppermost cgroups that are known."""
        return tuple(self._tops)

    def add(self, path: str, *, is_leaf: bool = False) -> bool:
        """Account for a cgroup and all above it from now on. False: it has no memory controller, or is gone."""
        node: OomNode | None = None
        for each in _with_ancestors(path):
            known = self._by_path.get(each)
            # It may have its limit since it was found: a runtime makes a cgroup first.
            if known is not None and known.limit_bytes is None:
                known.limit_bytes = self._memory.limit_bytes(each)
            node = known or self._added(each, node, is_fresh=False) or node
        if node is not None and is_leaf:
            node.is_leaf = True
        return path in self._by_path

    def remove(self, path: str) -> None:
        """No longer account for a cgroup: it is gone, or no unit any more. Kills in it that are not reported yet will be."""
        node = self._by_path.get(path)
        if node is not None:
            self._vanish(node)

    def look(self, now_ns: int) -> list[OomKill]:
        """What was killed since the last look."""
        self._looks += 1
        self._reads_left = READS_MAX
        vanished_before = self._with_vanished
        self._with_vanished = []
        victims: list[_Victims] = []
        stack: list[tuple[OomNode, OomReading | None]] = [(top, None) for top in self._tops.values()]
        while stack:
            node, reading = stack.pop()
            if reading is not None:
                self._account(node, reading, victims, now_ns)
            elif (read := self._read(node)) is not None:
                stack.append((node, read))
                stack.extend((child, None) for child in node.children.values())
        found = self._judge(victims, now_ns)
        for node in vanished_before:
            if node not in self._with_vanished:
                node.vanished.clear()
        return found

    def _read(self, node: OomNode) -> OomReading | None:
        """What a cgroup has now, where something is new in it. *Absent:* nothing is new, or it is gone."""
        if self._reads_left <= 0:
            return None
        self._reads_left -= 1
        reading = self._memory.read(node.path)
        if reading is None:
            self._vanish(node)
            return None
        node.see(reading)
        if node.parent is not None and node.parent.vanished:
            self._with_vanished.append(node.parent)
        if self._is_whole and not node.unexplained_kills and not node.unexplained_ooms:
            return None
        node.limit_bytes = self._memory.limit_bytes(node.path) or node.limit_bytes
        if self._is_whole and not node.is_leaf:
            given_up = {each.path: each for each in node.vanished}
            for path in self._memory.children(node.path):
                if path not in self._by_path:
                    self._added(path, node, given_up.get(path))
        return reading

    def _added(self, path: str, parent: OomNode | None, before: OomNode | None = None, *, is_fresh: bool = True) -> OomNode | None:
        """`before` was given up, and goes on where the cgroup is still there."""
        reading = self._memory.read(path)
        if reading is None:
            return None
        # The parent is read after it, or it would not have what this one has just counted.
        if not is_fresh and parent is not None and (above := self._memory.read(parent.path)) is not None:
            parent.see(above)
        if parent is not None and before is not None and before.has_counted_up(reading):
            parent.vanished.remove(before)
            before.was_shared = False
            self._by_path[path] = parent.children[path] = before
            return before
        node = OomNode(path, parent)
        if parent is not None:
            parent.has_had_children = True
        self._begun += 1
        node.number = self._begun
        node.begin(reading)
        node.limit_bytes = self._memory.limit_bytes(path)
        self._by_path[path] = node
        (self._tops if parent is None else parent.children)[path] = node
        return node

    def _vanish(self, node: OomNode) -> None:
        stack = [node]
        while stack:
            each = stack.pop()
            each.gone_in = self._looks
            self._by_path.pop(each.path, None)
            stack.extend(each.children.values())
        if node.parent is None:
            self._tops.pop(node.path, None)
            return
        node.parent.children.pop(node.path, None)
        # Of the cgroups below it the innermost that was a unit is not known; it stands for them.
        if len(node.parent.vanished) < VANISHED_MAX:
            node.parent.vanished.append(node)
            self._with_vanished.append(node.parent)

    def _account(self, node: OomNode, reading: OomReading, victims: list[_Victims], now_ns: int) -> None:
        """Its own hits and kills: what its children, who were read after it, do not explain."""
        self._take_hits(node, reading, now_ns)
        if self._is_whole and (inner := node.unexplained_ooms):
            node.inner.add(inner, now_ns)
            node.explain(ooms=inner)
        if kills := node.unexplained_kills:
            node.explain(kills=kills, is_whole=self._is_whole)
            victims += _shared(node, kills, now_ns, self._looks)

    def _take_hits(self, node: OomNode, reading: OomReading, now_ns: int) -> None:
        hits = reading.own.ooms - node.own_ooms
        if hits > 0:
            node.own_ooms = reading.own.ooms
            node.own.add(hits, now_ns)
            node.explain(ooms=hits, is_whole=self._is_whole)
            node.limit_bytes = self._memory.limit_bytes(node.path)

    def _judge(self, victims: list[_Victims], now_ns: int) -> list[OomKill]:
        """Each limit is hit before its victim is killed: read after the kills were seen, the hits have them all."""
        killing: set[OomNode] = set()
        killing_below: set[OomNode] = set()
        # What is counted below is counted above at once: read from above, nothing is seen there that is not seen below.
        nodes = sorted(dict.fromkeys(node for each in victims for node in each.node.chain), key=lambda node: len(node.chain))
        readings = [(node, self._memory.read(node.path)) for node in nodes]
        for node, reading in reversed(readings):
            if reading is None:
                continue
            self._take_hits(node, reading, now_ns)
            if node.has_killed_group(reading.own):
                killing.add(node)
            if node.has_killed_group_below(reading.whole):
                killing_below.add(node)
        there = {node for node, reading in readings if reading is not None}
        killing_below |= killing
        found: list[OomKill] = []
        taken: set[LimitHits] = set()
        for each in sorted(victims, key=lambda each: sum(level.hits.is_waiting(now_ns) for level in each.levels())):
            # A limit that no other kill is for comes first, then the innermost.
            waiting = sorted(
                (level for level in each.levels() if level.hits.is_waiting(now_ns)), key=lambda level: level.hits in taken
            )
            is_counted_now = not (killing if each.victim in there else killing_below).isdisjoint(each.node.chain)
            if _goes_on(each.victim, now_ns, is_counted_now=is_counted_now) and not waiting and each.victim.last_level is not None:
                waiting = [each.victim.last_level]
            taken.update(level.hits for level in waiting[: each.kills])
            found += self._verdicts(each, waiting, now_ns)
        return found

    def _verdicts(self, victims: _Victims, levels: list[OomLevel], now_ns: int) -> list[OomKill]:
        """Each limit that was hit explains one kill, the first one all the others."""
        victims.victim.last_level = levels[0] if levels else None
        victims.victim.killed_at_ns = now_ns
        if not levels:
            return [OomKill(victims.victim.path, None if self._is_root_hidden else OomVerdict.HOST, victims.kills)]
        others = levels[1 : victims.kills]
        found: list[OomKill] = []
        for level, kills in [(levels[0], victims.kills - len(others)), *((level, 1) for level in others)]:
            level.hits.take(kills, now_ns)
            found.append(_kill(victims.victim.path, level, kills))
        return found


def _kill(path: str, level: OomLevel, kills: int) -> OomKill:
    if level.is_own:
        return OomKill(path, OomVerdict.OWN_LIMIT, kills, None, level.node.limit_bytes)
    return OomKill(path, OomVerdict.ANCESTOR, kills, level.node.path, level.node.limit_bytes)


def _limit(node: OomNode) -> float:
    return inf if node.limit_bytes is None else node.limit_bytes


def _shared(node: OomNode, kills: int, now_ns: int, look: int) -> Iterable[_Victims]:
    """Kills that no child explains: of children that are gone, the likeliest first; else of the cgroup itself.

    The cgroup was read before a child that went in this `look`, and may not have had all of its kills yet.
    """
    gone = _leaves(node.vanished)
    # Where something was below, the processes were there.
    gone = [each for each in gone if not each.has_had_children] or gone
    is_hit = node.inner.is_waiting(now_ns) or any(_is_hit(each, node, now_ns) for each in gone)
    gone.sort(key=lambda each: _unlikeliness(each, now_ns, is_hit=is_hit))
    _forget_before(look, node)
    if not gone:
        yield _Victims(node, None, kills)
        return
    if gone[0].is_group_killed(now_ns) and not is_hit:
        gone = gone[:1]
    gone = [each for each in gone if not each.was_shared] or gone[:1]
    gone = [each for each in gone if not each.was_lately_killed(now_ns)] or gone
    for number, each in enumerate(gone[:kills]):
        each.was_shared = True
        # With fewer that are gone than kills, the first one had the rest.
        yield _Victims(node, each, kills - len(gone[:kills]) + 1 if number == 0 else 1)


def _forget_before(look: int, node: OomNode) -> None:
    """Those below a cgroup that were gone before this look have had all of their kills."""
    stack = [node]
    while stack:
        each = stack.pop()
        each.vanished = [gone for gone in each.vanished if gone.gone_in == look]
        stack += each.vanished


def _unlikeliness(gone: OomNode, now_ns: int, *, is_hit: bool) -> tuple[bool, bool, bool, int]:
    """A group that is being killed, unless another limit was hit; one that had no kill yet; one whose limit was hit; one that was
    known last, since what has long been gone may be seen only now."""
    is_group = gone.is_group_killed(now_ns) and not is_hit
    return not is_group, gone.killed_at_ns is not None, not gone.own.is_waiting(now_ns), -gone.number


def _is_hit(gone: OomNode, node: OomNode, now_ns: int) -> bool:
    """Whether a limit between a cgroup that is gone and one above it waits for a kill, and not for more of a group there."""
    if gone.is_group_killed(now_ns):
        return False
    chain = gone.chain
    return any(each.own.is_waiting(now_ns) or each.inner.is_waiting(now_ns) for each in chain[: chain.index(node)])


def _leaves(nodes: Iterable[OomNode]) -> list[OomNode]:
    """Of cgroups that are gone, those below which there was nothing: they had the processes."""
    found: list[OomNode] = []
    stack = list(nodes)
    while stack:
        node = stack.pop()
        below = [*node.children.values(), *node.vanished]
        stack += below
        if not below:
            found.append(node)
    return found


def _goes_on(victim: OomNode, now_ns: int, *, is_counted_now: bool) -> bool:
    """Whether these are further kills of a group of which some were seen before.

    From Linux 5.17 on the kernel counts a group when its first process has been killed: a count that is new belongs to the kill
    before it, unless that had one already.
    """
    is_known = victim.is_group
    goes_on = victim.is_just_killed(now_ns) and (victim.group_kills is None or is_counted_now != is_known)
    victim.is_group = is_counted_now or (is_known and goes_on)
    return goes_on


def _with_ancestors(path: str) -> list[str]:
    """`/a`, `/a/b`, `/a/b/c`; of `/` itself the root."""
    parts = [part for part in path.split("/") if part]
    return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts))] or ["/"]
