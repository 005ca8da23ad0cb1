"""What a governor rules when a worker uses more than it may."""

import itertools
from random import Random

import pytest

from agent.model.limit import CPU_PER_CORE, Ladder, LadderStep, Resource, WorkerLimits
from agent.model.timebase import HOUR, MINUTE, MS, S
from supervisor.core.governor import (
    OPEN_MOST_NS,
    OPEN_NS,
    PROBE_NS,
    QUIET_NS,
    RELAPSE_NS,
    WINDOW_NS,
    BreakerChanged,
    BreakerState,
    Governor,
    LevelChanged,
    OverLimit,
    RestartNeeded,
    Ruling,
    WithinLimit,
)
from supervisor.core.usage import WorkerUsage

BEAT_NS = 250 * MS
LADDER = Ladder((LadderStep.LONGER_INTERVAL, LadderStep.DEAR_FILES_OFF, LadderStep.LOWER_CAP), is_dispensable=True)
TENTH = CPU_PER_CORE // 10


class MeteredWorker:
    """A worker whose cost depends on its level, measured four times a second."""

    def __init__(
        self, limits: WorkerLimits, ladder: Ladder = LADDER, *, cost: dict[int, float] | None = None, beat_ns: int = BEAT_NS
    ) -> None:
        self._beat_ns = beat_ns
        self.governor = Governor(limits, ladder)
        self.now_ns = 0
        # Cores used at each level; at a level that is not named, nothing.
        self.cost = cost or {}
        self.cpu_ns = 0.0
        self.usage: dict[str, int] = {}
        self.rulings: list[tuple[float, Ruling]] = []
        self.governor.begin_process(0)

    def run(self, span_ns: int) -> "list[tuple[float, Ruling]]":
        """What is ruled in this time, with the seconds since the start."""
        begun = len(self.rulings)
        end_ns = self.now_ns + span_ns
        while self.now_ns < end_ns:
            self.now_ns += self._beat_ns
            self.cpu_ns += self.cost.get(self.governor.level, 0.0) * self._beat_ns
            usage = WorkerUsage(int(self.cpu_ns), **self.usage)
            self.rulings += [(self.now_ns / S, each) for each in self.governor.observe(usage, self.now_ns)]
        return self.rulings[begun:]

    def restart(self) -> None:
        """Another process does the work."""
        self.cpu_ns = 0.0
        self.governor.begin_process(self.now_ns)


def levels(rulings: "list[tuple[float, Ruling]]") -> list[tuple[int, int]]:
    """The changes of the level."""
    return [(each.before, each.after) for _, each in rulings if isinstance(each, LevelChanged)]


def of_kind(rulings: "list[tuple[float, Ruling]]", kind: type) -> list[tuple[float, Ruling]]:
    """The rulings of a kind, with their times."""
    return [(at, each) for at, each in rulings if isinstance(each, kind)]


def test_a_worker_within_its_limit_is_left_alone() -> None:
    """An hour just below the limit brings nothing at all."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 0.099})
    assert worker.run(1 * HOUR) == []


def test_bursts_within_a_window_are_left_alone() -> None:
    """A third of a core for a second in every ten is less than what four seconds allow."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH))
    for second in range(600):
        worker.cost = {0: 0.35 if second % 10 == 0 else 0.0}
        assert worker.run(1 * S) == []


@pytest.mark.parametrize("cores", [0.21, 0.5, 1.0, 3.0])
def test_an_overshoot_is_seen_within_two_seconds_and_over_within_ten(cores: float) -> None:
    """A worker that suddenly takes twice its limit or more is told so within two seconds, and costs less within ten."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 0.01})
    assert worker.run(1 * MINUTE) == []
    worker.cost = {0: cores, 1: cores / 2, 2: cores / 4, 3: 0.05}
    rulings = worker.run(10 * S)
    (seen_at, seen), *others = of_kind(rulings, OverLimit)
    assert seen_at - 60 <= 2.0, rulings
    assert isinstance(seen, OverLimit)
    assert seen.resource is Resource.CPU
    assert seen.limit == TENTH
    assert seen.measured > TENTH
    assert others == []
    assert worker.cost[worker.governor.level] <= 0.1 or worker.governor.level == LADDER.off_level


def test_a_large_overshoot_out_of_calm_takes_all_steps_at_once() -> None:
    """The window remembers the calm before it; what is used now is what counts."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 0.01})
    worker.run(1 * MINUTE)
    worker.cost = {0: 1.0, 3: 0.01}
    rulings = worker.run(10 * S)
    assert levels(rulings) == [(0, 3)]
    (changed_at,) = [at for at, each in rulings if isinstance(each, LevelChanged)]
    assert changed_at - 60 <= 2.0


def test_a_small_overshoot_is_answered_by_one_step_and_ends() -> None:
    """A fifth too much is over after one step: the worker takes half of the ticks, and is told to be within its limit again."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 0.12, 1: 0.06})
    rulings = worker.run(20 * S)
    assert levels(rulings) == [(0, 1)]
    (over_at, _), (within_at, _) = of_kind(rulings, OverLimit) + of_kind(rulings, WithinLimit)
    assert over_at <= 10
    assert within_at - over_at <= 10


def test_one_that_was_over_stays_so_while_five_seconds_are_above_its_limit() -> None:
    """Bursts may each be within what four seconds allow, and still not be within the limit."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 0.12})
    while not of_kind(worker.rulings, OverLimit):
        worker.run(BEAT_NS)
    over_ns = worker.now_ns
    worker.cost = {}
    worker.run(500 * MS)
    for pause_ns in (3750 * MS, 250 * MS):
        worker.cost = {1: 1.2}
        worker.run(BEAT_NS)
        worker.cost = {}
        worker.run(pause_ns)
    assert worker.now_ns - over_ns == 5 * S
    assert of_kind(worker.rulings, WithinLimit) == []
    # With the first burst the reason is gone.
    assert len(of_kind(worker.run(1 * S), WithinLimit)) == 1


def test_a_quiet_worker_is_restored_step_by_step() -> None:
    """After the load has gone each step is taken back, one quiet span after the other."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 1.0, 1: 0.6, 2: 0.4, 3: 0.05})
    worker.run(15 * S)
    assert worker.governor.level == 3
    worker.cost = dict.fromkeys(range(4), 0.01)
    rulings = worker.run(3 * QUIET_NS + 15 * S)
    assert levels(rulings) == [(3, 2), (2, 1), (1, 0)]
    at = [time for time, each in rulings if isinstance(each, LevelChanged)]
    assert [later - earlier for earlier, later in itertools.pairwise(at)] == [QUIET_NS / S] * 2


def test_a_worker_near_its_limit_is_not_restored() -> None:
    """At eight tenths of the limit a step taken back would be over it again: hysteresis."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 0.2, 1: 0.08})
    worker.run(20 * S)
    assert levels(worker.run(1 * HOUR)) == []


def test_a_relapse_makes_the_next_attempt_wait_twice_as_long() -> None:
    """A load that is quiet at level 1 and too much at level 0 does not make the worker flap: the waits double up to an hour."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 0.12, 1: 0.06}, beat_ns=1 * S)
    rulings = worker.run(4 * HOUR)
    up = [at for at, each in rulings if isinstance(each, LevelChanged) and each.after == 0]
    down = [at for at, each in rulings if isinstance(each, LevelChanged) and each.after == 1]
    waits = [later - earlier for earlier, later in zip(down, up, strict=False)]
    assert waits[:5] == [30, 60, 120, 240, 480]
    assert max(waits) <= HOUR / S + 1
    assert len(down) < 12


def test_the_breaker_opens_tries_and_closes_at_its_times() -> None:
    """With everything left out and still too much it is switched off; it is tried after a minute, and closes when it is quiet."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0})
    opened = of_kind(worker.run(30 * S), BreakerChanged)
    assert [each for _, each in opened] == [BreakerChanged(BreakerState.OPEN, OPEN_NS)]
    assert worker.governor.level == LADDER.off_level
    worker.cost = {3: 0.01}
    rulings = of_kind(worker.run(2 * MINUTE), BreakerChanged)
    assert [each for _, each in rulings] == [BreakerChanged(BreakerState.HALF_OPEN), BreakerChanged(BreakerState.CLOSED)]
    assert rulings[0][0] == opened[0][0] + OPEN_NS / S
    assert rulings[1][0] == rulings[0][0] + PROBE_NS / S


def test_a_failed_try_opens_it_for_twice_as_long() -> None:
    """The waits between tries double up to an hour."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}, beat_ns=1 * S)
    rulings = worker.run(6 * HOUR)
    opens = [each.open_ns for _, each in rulings if isinstance(each, BreakerChanged) and each.state is BreakerState.OPEN]
    assert opens[:4] == [OPEN_NS, 2 * OPEN_NS, 4 * OPEN_NS, 8 * OPEN_NS]
    assert max(opens) == OPEN_MOST_NS


def test_a_worker_that_all_need_is_never_switched_off() -> None:
    """It stays at its lowest level, and the condition stands."""
    ladder = Ladder((LadderStep.LONGER_INTERVAL,))
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), ladder, cost={0: 1.0, 1: 1.0})
    rulings = worker.run(10 * MINUTE)
    assert levels(rulings) == [(0, 1)]
    assert of_kind(rulings, BreakerChanged) == []
    assert [*worker.governor.over] == [Resource.CPU]


def test_a_worker_that_leaves_nothing_out_is_only_told_of() -> None:
    """The writer has nothing that it could leave out."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), Ladder(), cost={0: 1.0})
    assert [type(each) for _, each in worker.run(10 * MINUTE)] == [OverLimit]


def test_one_that_goes_on_while_it_is_switched_off_is_restarted_once() -> None:
    """What burns the processor is not its work: another process ends that."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost=dict.fromkeys(range(5), 1.0))
    rulings = worker.run(30 * S)
    assert len(of_kind(rulings, RestartNeeded)) == 1
    assert worker.governor.level == LADDER.off_level


@pytest.mark.parametrize("resource", [Resource.MEMORY, Resource.DESCRIPTORS])
def test_memory_and_open_files_are_answered_by_a_restart(resource: Resource) -> None:
    """What lasts for a second brings a restart; a value that comes back brings the next one only after a growing wait."""
    name = {Resource.MEMORY: "rss_bytes", Resource.DESCRIPTORS: "descriptors"}[resource]
    worker = MeteredWorker(WorkerLimits(**{resource.value: 1000}))
    worker.usage = {name: 1000}
    assert worker.run(1 * MINUTE) == []
    worker.usage = {name: 1001}
    rulings = worker.run(2 * S)
    assert [type(each) for _, each in rulings] == [OverLimit, RestartNeeded]
    worker.restart()
    worker.usage = {name: 10}
    assert [type(each) for _, each in worker.run(2 * S)] == [WithinLimit]
    worker.usage = {name: 1001}
    at = [time for time, each in worker.run(1 * HOUR) if isinstance(each, RestartNeeded)]
    assert [round(later - earlier) for earlier, later in itertools.pairwise(at)][:3] == [120, 240, 480]


def test_a_value_that_is_too_large_for_a_moment_is_nothing() -> None:
    """A reading in between two that are within the limit does not restart a worker."""
    worker = MeteredWorker(WorkerLimits(memory=1000))
    for _ in range(50):
        worker.usage = {"rss_bytes": 5000}
        worker.run(BEAT_NS * 3)
        worker.usage = {"rss_bytes": 10}
        worker.run(BEAT_NS)
    assert worker.rulings == []


def test_a_full_queue_slows_the_worker() -> None:
    """Rows that the writer does not take become fewer: one step in each window, and back when it is taken."""
    worker = MeteredWorker(WorkerLimits(queue=1000))
    worker.usage = {"queue_bytes": 900}
    assert worker.run(1 * MINUTE) == []
    worker.usage = {"queue_bytes": 1001}
    assert levels(worker.run(30 * S)) == [(0, 1), (1, 2), (2, 3)]
    assert levels(worker.run(1 * HOUR)) == []
    worker.usage = {"queue_bytes": 0}
    rulings = worker.run(10 * MINUTE)
    assert isinstance(rulings[0][1], WithinLimit)
    assert levels(rulings) == [(3, 2), (2, 1), (1, 0)]


def test_another_limit_gives_another_chance_at_once() -> None:
    """One that is switched off is tried the moment its limit is raised, and is whole again within minutes."""
    worker = MeteredWorker(WorkerLimits(cpu=100), cost={0: 0.01, 1: 0.006, 2: 0.004, 3: 0.003})
    worker.run(1 * MINUTE)
    assert worker.governor.breaker is BreakerState.OPEN
    rulings = worker.governor.set_limits(WorkerLimits(cpu=TENTH), worker.now_ns)
    assert rulings == [BreakerChanged(BreakerState.HALF_OPEN), LevelChanged(4, 3, "breaker_half_open")]
    rest = worker.run(2 * MINUTE)
    assert levels(rest) == [(3, 2), (2, 1), (1, 0)]
    assert len(of_kind(rest, WithinLimit)) == 1


def test_no_limit_ends_what_was_over_it() -> None:
    """A limit that is taken away is not exceeded any more."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), Ladder(), cost={0: 1.0})
    worker.run(30 * S)
    assert worker.governor.set_limits(WorkerLimits(), worker.now_ns) == [WithinLimit(Resource.CPU, 0, 0)]
    assert worker.run(1 * MINUTE) == []


def test_what_is_not_measured_rules_nothing() -> None:
    """Without a value there is no verdict."""
    governor = Governor(WorkerLimits(cpu=1, memory=1, descriptors=1, queue=1), LADDER)
    assert [governor.observe(WorkerUsage(), second * S) for second in range(100)] == [[]] * 100


def test_the_start_of_a_process_may_take_what_a_window_allows() -> None:
    """Half a second of work at a start is no overshoot of a tenth of a core."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 1.0})
    assert worker.run(750 * MS) == []
    worker.cost = {0: 0.01}
    assert worker.run(1 * MINUTE) == []


class _BreakerModel:
    """The life of a breaker as its description says it, written a second time: when it opens, tries and closes."""

    def __init__(self) -> None:
        self.open_ns = OPEN_NS

    def after_open(self, opened_at_ns: int) -> int:
        """When it tries."""
        return opened_at_ns + self.open_ns

    def after_failure(self) -> None:
        """A try failed."""
        self.open_ns = min(2 * self.open_ns, OPEN_MOST_NS)


@pytest.mark.parametrize("seed", range(100))
def test_in_random_worlds_a_breaker_lives_to_the_second(seed: int) -> None:
    """Whatever the load does: it never tries before or a second after its time, never closes before its probation is over, never
    doubles a wait that no failed try has doubled, and a worker is off exactly while it is open."""
    rng = Random(seed)
    ladder = Ladder(LADDER.steps[: rng.randint(0, 3)], is_dispensable=True)
    worker = MeteredWorker(WorkerLimits(cpu=rng.choice((100, 1_000, TENTH))), ladder, beat_ns=rng.choice((BEAT_NS, 500 * MS)))
    model = _BreakerModel()
    state, since_ns, closed_at_ns = BreakerState.CLOSED, 0, 0
    for _ in range(rng.randint(20, 120)):
        worker.cost = {level: rng.choice((0.0, 0.0, 0.0005, 0.02, 0.3, 1.0)) for level in range(ladder.off_level)}
        for at, ruling in worker.run(rng.randint(1, 90) * S):
            at_ns = int(at * S)
            if not isinstance(ruling, BreakerChanged):
                continue
            match ruling.state:
                case BreakerState.OPEN:
                    if state is BreakerState.HALF_OPEN:
                        assert at_ns - since_ns <= PROBE_NS + 1 * S, seed
                        model.after_failure()
                    elif model.open_ns != ruling.open_ns:
                        # Forgiven only after it was whole and quiet.
                        assert ruling.open_ns == OPEN_NS, seed
                        assert at_ns - closed_at_ns > 10 * MINUTE, seed
                        model.open_ns = OPEN_NS
                    assert ruling.open_ns == model.open_ns, seed
                case BreakerState.HALF_OPEN:
                    assert state is BreakerState.OPEN, seed
                    assert 0 <= at_ns - model.after_open(since_ns) < 1 * S, seed
                case BreakerState.CLOSED:
                    assert state is BreakerState.HALF_OPEN, seed
                    assert PROBE_NS <= at_ns - since_ns < PROBE_NS + 1 * S, seed
                    closed_at_ns = at_ns
            state, since_ns = ruling.state, at_ns
        assert (worker.governor.level == ladder.off_level) == (state is BreakerState.OPEN), seed
        assert worker.governor.breaker is state, seed


@pytest.mark.parametrize("seed", range(40))
def test_in_random_worlds_every_condition_that_begins_can_end(seed: int) -> None:
    """Whatever happened, an hour of quiet ends every condition and restores every step, except what an open breaker still waits."""
    rng = Random(seed)
    worker = MeteredWorker(WorkerLimits(cpu=1_000, memory=1000, queue=1000), beat_ns=1 * S)
    for _ in range(rng.randint(5, 40)):
        worker.cost = {level: rng.choice((0.0, 0.002, 0.05, 1.0)) for level in range(4)}
        worker.usage = {"rss_bytes": rng.choice((10, 2000)), "queue_bytes": rng.choice((10, 990, 5000))}
        worker.run(rng.randint(1, 60) * S)
    worker.cost, worker.usage = {}, {"rss_bytes": 10, "queue_bytes": 0}
    worker.run(OPEN_MOST_NS + 4 * HOUR)
    assert worker.governor.level == 0, seed
    assert worker.governor.breaker is BreakerState.CLOSED, seed
    assert not worker.governor.over, seed
    begun = [each.resource for _, each in worker.rulings if isinstance(each, OverLimit)]
    ended = [each.resource for _, each in worker.rulings if isinstance(each, WithinLimit)]
    assert sorted(begun) == sorted(ended), seed


def test_a_relapse_counts_only_soon_after_a_restoration() -> None:
    """A load that returns much later is a new one: the wait does not grow."""
    worker = MeteredWorker(WorkerLimits(cpu=TENTH), cost={0: 0.2, 1: 0.06})
    for _ in range(3):
        worker.cost = {0: 0.2, 1: 0.06}
        worker.run(1 * MINUTE)
        worker.cost = {0: 0.01, 1: 0.01}
        worker.run(RELAPSE_NS + WINDOW_NS + 5 * MINUTE)
    up = [at for at, each in worker.rulings if isinstance(each, LevelChanged) and each.after == 0]
    down = [at for at, each in worker.rulings if isinstance(each, LevelChanged) and each.after == 1]
    assert all(later - earlier < 2 * QUIET_NS / S + 30 for earlier, later in zip(down, up, strict=True))


def test_the_share_of_a_span_is_that_of_its_processor_time() -> None:
    """In thousandths of a percent; before there is anything to compare with it is not known."""
    worker = MeteredWorker(WorkerLimits(), cost={0: 0.25})
    assert worker.governor.cpu_share(0, 10 * S) is None
    worker.run(20 * S)
    assert worker.governor.cpu_share(worker.now_ns, 10 * S) == CPU_PER_CORE // 4
