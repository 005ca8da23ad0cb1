"""Kills for lack of memory that go on while the ledger reads: between any two readings cgroups are made, killed in and removed."""

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from fakes.cgroup_memory import CountingCgroups

from agent.model.timebase import MS, S
from workers.unit.oom_ledger import OomLedger
from workers.unit.oom_reading import OomReading

LIMIT = 4 << 20
ROOT = "/run"
GROUP = 4

Verdict = tuple[str, str, str | None, int]
# What happens next; None where the host waits until the ledger was told something.
Steps = Iterator[Callable[[], None] | None]


class RacingCgroups(CountingCgroups):
    """A host on which something happens at each reading with the likelihood `eagerness`. Its scenes are those of `oom_injector`."""

    def __init__(self, random: Random, eagerness: float) -> None:
        super().__init__(ROOT)
        self.now_ns = 100 * S
        self.made: list[str] = []
        self.killed: list[Verdict] = []
        self._random = random
        self._eagerness = eagerness
        self._scenes = 0
        self._steps: Steps = iter(())
        self.is_waiting = True

    def begin(self) -> None:
        """The next scene."""
        scenes = [self._own, self._above, self._far_above, self._inside, self._group, self._two_levels, self._two_at_once]
        self._steps = self._scene(scenes[self._scenes % len(scenes)], f"{ROOT}/pod{self._scenes}", self._steps)
        self._scenes += 1
        self.is_waiting = False

    def read(self, path: str) -> OomReading | None:
        """What the kernel shows at this moment; more may happen before and behind it."""
        self._go_on()
        reading = super().read(path)
        self._go_on()
        return reading

    def children(self, path: str) -> list[str]:
        """As they are at this moment."""
        self._go_on()
        return super().children(path)

    def step(self) -> None:
        """The next thing happens, if nobody is waited for."""
        if self.is_waiting:
            return
        self.now_ns += self._random.choice([0, 1, 1, 5, 20]) * MS
        happen = next(self._steps)
        if happen is None:
            self.is_waiting = True
        else:
            happen()

    def _go_on(self) -> None:
        while not self.is_waiting and self._random.random() < self._eagerness:
            self.step()

    def _scene(self, scene: Callable[[str], Steps], pod: str, rest: Steps) -> Steps:
        # The pod of the scene before is removed while this one begins.
        yield from rest
        yield from scene(pod)
        yield None
        for path in sorted((each for each in self.groups if each.startswith(pod)), key=len, reverse=True):
            yield lambda path=path: self.remove(path)  # type: ignore[misc]

    def _leaves(self, *paths: tuple[str, int | None]) -> Steps:
        for path, limit in paths:
            yield lambda path=path, limit=limit: self.make(path, limit)  # type: ignore[misc]
        self.made = [path for path, _limit in paths]
        yield None

    def _kill(self, victim: str, level: str, *, is_group: bool = False) -> Steps:
        yield lambda: self.hit(level)
        yield lambda: self.kill(victim)
        if is_group:
            yield lambda: self.kill_group(level)
            for _ in range(GROUP - 1):
                yield lambda: self.kill(victim)

    def _perhaps_removed(self, path: str) -> Steps:
        if self._random.random() < 0.5:
            yield lambda: self.remove(path)

    def _one(self, victim: str, level: str, told: Verdict, *, is_group: bool = False) -> Steps:
        yield from self._kill(victim, level, is_group=is_group)
        yield from self._perhaps_removed(victim)
        self.killed = [told]

    def _own(self, pod: str) -> Steps:
        unit = f"{pod}/c"
        yield lambda: self.make(pod)
        yield from self._leaves((unit, LIMIT))
        yield from self._one(unit, unit, (unit, "own_limit", None, 1))

    def _above(self, pod: str) -> Steps:
        unit = f"{pod}/c"
        yield lambda: self.make(pod, LIMIT)
        yield from self._leaves((unit, None))
        yield from self._one(unit, pod, (unit, "ancestor", pod, 1))

    def _far_above(self, pod: str) -> Steps:
        unit = f"{pod}/inner/c"
        yield lambda: self.make(pod, LIMIT)
        yield lambda: self.make(f"{pod}/inner", 16 * LIMIT)
        yield from self._leaves((unit, 8 * LIMIT))
        yield from self._one(unit, pod, (unit, "ancestor", pod, 1))

    def _inside(self, pod: str) -> Steps:
        unit = f"{pod}/c"
        yield lambda: self.make(pod)
        yield from self._leaves((unit, None))
        yield lambda: self.make(f"{unit}/inner", LIMIT)
        yield from self._one(f"{unit}/inner", f"{unit}/inner", (unit, "own_limit", None, 1))

    def _group(self, pod: str) -> Steps:
        unit = f"{pod}/c"
        yield lambda: self.make(pod)
        yield from self._leaves((unit, LIMIT))
        yield from self._one(unit, unit, (unit, "own_limit", None, GROUP), is_group=True)

    def _two_levels(self, pod: str) -> Steps:
        first, second = f"{pod}/a", f"{pod}/b"
        yield lambda: self.make(pod, 4 * LIMIT)
        yield from self._leaves((first, LIMIT), (second, None))
        yield from self._both(self._kill(first, first), self._kill(second, pod))
        yield from self._perhaps_removed(first)
        yield from self._perhaps_removed(second)
        self.killed = [(first, "own_limit", None, 1), (second, "ancestor", pod, 1)]

    def _two_at_once(self, pod: str) -> Steps:
        first, second = f"{pod}/a", f"{pod}/b"
        yield lambda: self.make(pod)
        yield from self._leaves((first, LIMIT), (second, LIMIT))
        yield from self._both(self._kill(first, first), self._kill(second, second))
        yield from self._perhaps_removed(first)
        yield from self._perhaps_removed(second)
        self.killed = [(first, "own_limit", None, 1), (second, "own_limit", None, 1)]

    def _both(self, *several: Steps) -> Steps:
        going = list(several)
        while going:
            one = self._random.choice(going)
            try:
                yield next(one)
            except StopIteration:
                going.remove(one)


class _Judge:
    """A ledger that is asked again and again, and what it has said of the present scene."""

    def __init__(self, host: RacingCgroups, random: Random) -> None:
        self._host = host
        self._random = random
        self._counts: Counter[tuple[str, str, str | None]] = Counter()
        self.ledger = OomLedger(host)
        self.ledger.add(ROOT)

    def look(self) -> None:
        """Once."""
        for kill in self.ledger.look(self._host.now_ns):
            self._counts[kill.path, "" if kill.verdict is None else kill.verdict.value, kill.culprit] += kill.kills

    def follow(self) -> None:
        """Until the host waits."""
        while not self._host.is_waiting:
            (self._host.step if self._random.random() < 0.5 else self.look)()

    def said(self) -> Counter[Verdict]:
        """Since the last time."""
        counts, self._counts = self._counts, Counter()
        return Counter((*which, kills) for which, kills in counts.items())


def tell_scenes(seed: int, count: int, eagerness: float) -> list[tuple[Counter[Verdict], Counter[Verdict]]]:
    """What was done in so many scenes, one after the other, and what the ledger says of each; as `harness.lab.oom_run` does it."""
    random = Random(seed)
    host = RacingCgroups(random, eagerness)
    judge = _Judge(host, random)
    told: list[tuple[Counter[Verdict], Counter[Verdict]]] = []
    host.begin()
    for _ in range(count):
        judge.follow()
        units = host.made
        for path in units:
            judge.ledger.add(path, is_leaf=True)
        host.is_waiting = False
        judge.follow()
        done = Counter(host.killed)
        for path in units:
            judge.ledger.remove(path)
        # The pod is removed, and the next one made, while this is judged.
        host.begin()
        judge.look()
        told.append((done, judge.said()))
    return told
