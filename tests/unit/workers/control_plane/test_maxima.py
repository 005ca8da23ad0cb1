"""The control plane at its declared maxima: whatever it does beats, so that nobody takes long work for a hang.

Silence is measured as CPU time of this thread between two beats: what other programs do on the machine does not count. What a
virtual machine is kept from does count: a life in which that happened is lived again.
"""

import time
from collections.abc import Callable, Iterator

import pytest
from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.memory_resctrl import MemoryResctrl
from fakes.outbox import RecordingOutbox
from fakes.thread_table import ThreadTable

from agent.config import HANG_TIMEOUT, Config
from agent.model.heartbeat import Heartbeat
from agent.model.message import Snapshot
from agent.model.rule import RULES_MAX, Action, GroupRule, Match, canonical, decode_assignment, rule_key
from agent.model.rule_state import RuleState
from agent.model.timebase import MS
from workers.control_plane.pods import UNITS_MAX
from workers.control_plane.work import ControlPlaneWork
from workers.resctrl.groups import MonitoringGroups
from workers.resctrl.plan import Plan
from workers.runtime.replica import RulesReplica

# Below what a person can set at the least as the time after which a worker counts as hung.
SILENCE_NS_MAX = HANG_TIMEOUT.least
LIVES = 3


class FlatTree:
    """`agent.ports.KernelTree` of one v2 hierarchy with a number of services side by side, each with one thread."""

    def __init__(self, services: int) -> None:
        self.names = [f"app-{'x' * 12}-web-{number:05}.service" for number in range(services)]

    def list_names(self, path: str = ".") -> list[str]:
        return ["cgroup.controllers"]

    def list_directories(self, path: str = ".") -> list[str]:
        return self.names if path == "." else []

    def read(self, path: str, bytes_max: int) -> bytes:
        return b"%d\n" % (int(path.partition(".service")[0][-5:]) + 2)

    def owner(self, path: str) -> int:
        return 0

    def device(self, path: str = ".") -> int:
        return 0


class Story:
    """One worker whose beats are counted and whose longest silence is kept."""

    def __init__(self, units: int, *, groups: MonitoringGroups | None = None, clock: FakeClock | None = None) -> None:
        self.beats = 0
        self.silence_ns = 0
        self._beat_at_ns = time.thread_time_ns()
        self.clock = clock or FakeClock()
        self.bus = RecordingBus()
        self.heartbeat = Heartbeat()
        self.heartbeat.beat = self.beat
        self.work = ControlPlaneWork(
            self.clock, FlatTree(units), RecordingOutbox(), self.bus, Config({}), run="r", groups=groups, heartbeat=self.heartbeat,  # type: ignore[arg-type]  # it opens no file
        )  # fmt: skip

    def beat(self) -> None:
        now_ns = time.thread_time_ns()
        self.silence_ns = max(self.silence_ns, now_ns - self._beat_at_ns)
        self._beat_at_ns = now_ns
        self.beats += 1

    def turns(self, count: int) -> Iterator[int]:
        """So many calls of the timer, each with the loop's own beat before and after."""
        for turn in range(count):
            self._beat_at_ns = time.thread_time_ns()
            deadline_ns = self.work.next_deadline_ns()
            assert deadline_ns is not None
            self.work.on_timer(self.clock.advance(max(0, deadline_ns - self.clock.now_ns())))
            self.beat()
            yield turn

    def hear(self, state: RuleState) -> None:
        """A change of rules, between two beats of the loop."""
        self._beat_at_ns = time.thread_time_ns()
        self.work.on_rules(state)
        self.beat()

    def entries(self, rules: list[GroupRule]) -> RuleState:
        """What the supervisor holds."""
        return RuleState([*self.bus.entries().items(), *((rule_key(rule.name), canonical(rule)) for rule in rules)])


def _rules(count: int, *, last: GroupRule | None = None) -> list[GroupRule]:
    rules = [GroupRule(f"r{number:05}", number, Match(pod=f"*x-web-?{number % 1000:03}-*")) for number in range(count)]
    return rules if last is None else [*rules, last]


def _play(story: Story, rules: list[GroupRule], *, turns: int = 1) -> None:
    """A whole life: start, looks, every rule at once, the supervisor's echo, a takeover, the end."""
    story.hear(RuleState())
    story.work.on_start(story.clock.now_ns())
    list(story.turns(turns))
    story.hear(story.entries(rules))
    list(story.turns(turns))
    story.work.on_taken_over(story.clock.now_ns())
    story.hear(story.entries(rules))
    list(story.turns(turns))


def _is_never_silent(live: Callable[[], int]) -> bool:
    """Whether a life, which gives its longest silence, has none that is too long."""
    return any(live() < SILENCE_NS_MAX for _ in range(LIVES))


@pytest.mark.parametrize(("rules", "units"), [(1_000, 4_000), (RULES_MAX, 50), (10, UNITS_MAX)])
def test_no_look_and_no_binding_is_taken_for_a_hang(rules: int, units: int) -> None:
    """As many rules and units as there may be: first look, new rules, repairs after a takeover, adoption, the end."""

    def live() -> int:
        story = Story(units)
        _play(story, _rules(rules))
        assert len(story.bus.entries()) == units
        successor = Story(units)
        successor.hear(story.entries(_rules(10)))
        successor.work.on_start(successor.clock.now_ns())
        list(successor.turns(1))
        successor.work.on_stop(successor.clock.now_ns(), for_good=True)
        successor.beat()
        assert successor.bus.entries() == {}
        return max(story.silence_ns, successor.silence_ns)

    assert _is_never_silent(live)


def test_all_units_of_a_host_may_share_one_group() -> None:
    """Moving all threads into it, and telling of every unit how it stands, beats; telling is linear in the units."""

    def live() -> int:
        clock, units = FakeClock(), UNITS_MAX
        resctrl = MemoryResctrl(ThreadTable(range(1, units + 2)), clock)
        story = Story(units, groups=MonitoringGroups(resctrl.view(), now_ns=clock.now_ns), clock=clock)

        _play(story, [GroupRule("all", 0, Match(), Action("shared", "all"))], turns=3)

        held = [decode_assignment(content) for content in story.bus.entries().values()]
        assert {each.group for each in held} == {"all"}
        assert all(each.monitoring is not None and each.monitoring.reconciled_containers == 1 for each in held)
        return story.silence_ns

    assert _is_never_silent(live)


def test_what_a_worker_holds_of_rules_is_taken_in_between_two_beats() -> None:
    """A snapshot of all rules and assignments in every worker; the sampler of groups decodes it with beats."""
    story = Story(UNITS_MAX)
    story.hear(RuleState())
    story.work.on_start(0)
    list(story.turns(1))
    state = story.entries(_rules(RULES_MAX))

    def take() -> int:
        story.silence_ns, story._beat_at_ns = 0, time.thread_time_ns()
        RulesReplica().take(Snapshot(1, 1, state.digest, list(state.items())))
        story.beat()
        assert Plan(story.heartbeat).take(state)
        story.beat()
        return story.silence_ns

    assert _is_never_silent(take)
    assert story.beats > 100
    assert SILENCE_NS_MAX == 200 * MS
