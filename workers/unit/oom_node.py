"""One cgroup in the account of lacks of memory: what was counted, what of it is explained, and what waits for a kill. PURE."""

from typing import NamedTuple

from agent.model.timebase import MS, S
from workers.unit.oom_reading import MemoryEvents, OomReading

# Between the moment at which a limit cannot be kept and the kill the kernel chooses a victim and writes its report, which takes
# seconds on a serial console. A limit that was hit for longer without a kill has made room in another way.
WAIT_FOR_KILL_NS = 5 * S
# Until its victim is gone a limit is hit some more times, without a further kill.
REPEAT_NS = 250 * MS
# The processes of a group are killed one after the other, with a line on the console for each. Where the kernel does not say that
# it kills a group, a shorter time has to do.
GROUP_NS, PERHAPS_GROUP_NS = 2 * S, 250 * MS


class LimitHits:
    """How often a limit was hit that no kill is known for yet."""

    def __init__(self) -> None:
        self.waiting = 0
        self._until_ns = 0

    def add(self, hits: int, now_ns: int) -> None:
        """It was hit again."""
        if hits > 0:
            self.waiting = hits + (self.waiting if now_ns <= self._until_ns else 0)
            self._until_ns = now_ns + WAIT_FOR_KILL_NS

    def is_waiting(self, now_ns: int) -> bool:
        """Whether a kill of now may be for this."""
        return self.waiting > 0 and now_ns <= self._until_ns

    def take(self, kills: int, now_ns: int) -> None:
        """So many kills were for this."""
        self.waiting = max(0, self.waiting - kills)
        self._until_ns = min(self._until_ns, now_ns + REPEAT_NS)


class OomLevel(NamedTuple):
    """Whose limit a kill may have been for; `is_own`: it counts as the victim's own."""

    node: "OomNode"
    hits: LimitHits
    is_own: bool


class OomNode:
    """One cgroup. Counts are the kernel's own, from zero; those `_done` are explained by this cgroup or by one below it.

    `own` are hits of its own limit, `inner` those of limits below it that belong to no cgroup that is known. `is_leaf`: what is
    below it belongs to it, whatever it is called.
    """

    def __init__(self, path: str, parent: "OomNode | None", *, is_leaf: bool = False) -> None:
        self.path = path
        self.parent = parent
        self.is_leaf = is_leaf
        # Counts up: which one was known first.
        self.number = 0
        self.children: dict[str, OomNode] = {}
        self.has_had_children = False
        # Children that are gone since it was last looked: their counts stay in those of this one.
        self.vanished: list[OomNode] = []
        # The look in which it was found to be gone; whether kills were counted to it since.
        self.gone_in = 0
        self.was_shared = False
        # What was read last, and what of it new children have been found to explain.
        self.last = MemoryEvents(0, 0)
        self.granted_kills = self.granted_ooms = 0
        self.kills_done = self.ooms_done = 0
        self.own_ooms = 0
        self.group_kills: int | None = 0
        # Of those here and below: how many are known to whom they belong.
        self.groups_done = 0
        self.own = LimitHits()
        self.inner = LimitHits()
        self.limit_bytes: int | None = None
        # What the last kill in it was for, and until when others of the same group may follow.
        self.last_level: OomLevel | None = None
        self.killed_at_ns: int | None = None
        self.is_group = False

    @property
    def chain(self) -> "list[OomNode]":
        """It and all above it, itself first."""
        found: list[OomNode] = []
        node: OomNode | None = self
        while node is not None:
            found.append(node)
            node = node.parent
        return found

    def begin(self, reading: OomReading) -> None:
        """What it has counted so far is not reported, unless its parent has as many that nothing explains: then it is new too."""
        self.last = reading.whole or reading.own
        self.kills_done, self.ooms_done, self.own_ooms = self.last.kills, self.last.ooms, reading.own.ooms
        self.group_kills = reading.own.group_kills
        self.groups_done = self.last.group_kills or 0
        if self.parent is None or reading.whole is None:
            return
        if 0 < self.kills_done <= self.parent.unexplained_kills - self.parent.granted_kills:
            self.parent.granted_kills += self.kills_done
            self.kills_done = 0
        if 0 < self.ooms_done <= self.parent.unexplained_ooms - self.parent.granted_ooms:
            self.parent.granted_ooms += self.ooms_done
            self.ooms_done = self.own_ooms = 0

    def has_counted_up(self, reading: OomReading) -> bool:
        """Whether these can be counts of the same cgroup, later; if so, they are its last."""
        counted = reading.whole or reading.own
        if counted.kills < self.last.kills or counted.ooms < self.last.ooms:
            return False
        self.see(reading)
        return True

    def see(self, reading: OomReading) -> None:
        """What was read now. Counts that fell are those of another cgroup that has taken the path: it counts from zero."""
        counted = reading.whole or reading.own
        if counted.kills < self.last.kills or counted.ooms < self.last.ooms:
            if self.parent is not None:
                self.parent.vanished.append(self._stand_in())
            self.kills_done = self.ooms_done = self.own_ooms = 0
            self.own, self.inner = LimitHits(), LimitHits()
        self.last = counted
        self.granted_kills = self.granted_ooms = 0

    def _stand_in(self) -> "OomNode":
        before = OomNode(self.path, self.parent, is_leaf=self.is_leaf)
        before.own, before.inner, before.limit_bytes = self.own, self.inner, self.limit_bytes
        return before

    def has_killed_group(self, own: MemoryEvents) -> bool:
        """Whether a whole group was killed here since the last time. Before Linux 5.17 nobody knows."""
        before, self.group_kills = self.group_kills, own.group_kills
        if own.group_kills is None or before is None or own.group_kills <= before:
            return False
        self._explain_groups(own.group_kills - before)
        return True

    def has_killed_group_below(self, whole: MemoryEvents | None) -> bool:
        """Whether that was in a cgroup below that is gone: those that are there have said so before."""
        if whole is None or whole.group_kills is None or whole.group_kills <= self.groups_done:
            return False
        self._explain_groups(whole.group_kills - self.groups_done)
        return True

    def _explain_groups(self, groups: int) -> None:
        for node in self.chain:
            node.groups_done += groups

    def is_group_killed(self, now_ns: int) -> bool:
        """Whether more kills of a group that was killed here may follow."""
        return (self.is_group or self.group_kills is None) and self.is_just_killed(now_ns)

    def is_just_killed(self, now_ns: int) -> bool:
        """Whether something was killed here, so short a time ago that it may go on."""
        within_ns = GROUP_NS if self.is_group else PERHAPS_GROUP_NS
        return self.last_level is not None and self._was_killed_within(within_ns, now_ns)

    def was_lately_killed(self, now_ns: int) -> bool:
        """Whether its kill was seen, so that others which are gone now are likelier to have had the next one."""
        return self._was_killed_within(WAIT_FOR_KILL_NS, now_ns)

    def _was_killed_within(self, within_ns: int, now_ns: int) -> bool:
        return self.killed_at_ns is not None and now_ns - self.killed_at_ns <= within_ns

    @property
    def unexplained_kills(self) -> int:
        """Of what was read last."""
        return max(0, self.last.kills - self.kills_done)

    @property
    def unexplained_ooms(self) -> int:
        """Of what was read last."""
        return max(0, self.last.ooms - self.ooms_done)

    def explain(self, *, kills: int = 0, ooms: int = 0, is_whole: bool = True) -> None:
        """So many more are explained here, and so in all above it, where the kernel counts them there too."""
        for node in self.chain if is_whole else [self]:
            node.kills_done += kills
            node.ooms_done += ooms
