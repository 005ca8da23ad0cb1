"""Mergers, a group, a broker and a store that only exist in a test: one random step after the other.

A merger may be killed, or stand still while the group gives its partitions away; its commit may be delayed for as long as one
likes.
"""

from collections import Counter
from collections.abc import Mapping
from random import Random

from agent.lake.clickhouse_commit import (
    CommitStep,
    CommitSteps,
    InsertRows,
    PartitionPlace,
    PutIntents,
    PutMarks,
    PutOffsets,
    ReadStored,
    RowRange,
    StoredPlaces,
    commit_steps,
)
from agent.model.timebase import MS
from workers.merger.core import MergerCore, MergerTerms
from workers.merger.effect import (
    CommitRows,
    ConsumeFrom,
    MergerEffect,
    OffsetRange,
    OffsetsLost,
    PauseConsuming,
    ReadPlaces,
    ResumeConsuming,
    StorePlace,
    TakenMessage,
    TellGroup,
    TopicPartition,
)

PARTITIONS = tuple(TopicPartition(topic, number) for topic in ("proc.raw.v1", "proc.sketch.v1") for number in range(2))
STEP_NS = 50 * MS
TERMS = MergerTerms(interval_ns=400 * MS, commit_bytes=3_000, gathered_bytes=6_000)


class WorldStore:
    """A store that refuses a commit whose ranges do not begin where it ends: one step, as a log with a condition makes it."""

    def __init__(self) -> None:
        self.next: Counter[TopicPartition] = Counter()
        self.rows: Counter[tuple[TopicPartition, int]] = Counter()
        self.marks: dict[TopicPartition, int] = {}

    def places(self) -> dict[TopicPartition, StorePlace]:
        """Where each partition goes on."""
        return {partition: StorePlace(offset) for partition, offset in self.next.items()}

    def begin(self, commit: CommitRows) -> "WorldCommit":
        """A commit that is carried out step by step."""
        return LogCommit(self, commit)


class WorldCommit:
    """A commit on its way. `step`: whether it has ended; then `refused` says where the partitions go on, None: it is stored."""

    refused: Mapping[TopicPartition, StorePlace] | None = None

    def step(self) -> bool:
        """Do one more thing."""
        raise NotImplementedError


class LogCommit(WorldCommit):
    """Put files, then append."""

    def __init__(self, store: WorldStore, commit: CommitRows) -> None:
        self._store = store
        self._commit = commit
        self._is_put = False

    def step(self) -> bool:
        store = self._store
        if not self._is_put:
            self._is_put = True
            return False
        if any(store.next[each.partition] != each.base for each in self._commit.ranges):
            self.refused = store.places()
            return True
        for message in self._commit.messages:
            store.rows[message.partition, message.offset] += 1
        store.marks |= marks_of(self._commit)
        for each in self._commit.ranges:
            store.next[each.partition] = each.next
        return True


def marks_of(commit: CommitRows) -> dict[TopicPartition, int]:
    """The offset of the last message that is one, of each partition."""
    return {message.partition: message.offset for message in commit.messages if message.value == b"mark"}


class IntentStore(WorldStore):
    """A store without transactions, which remembers tokens: as ClickHouse is used."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: set[str] = set()
        self.intents: dict[str, tuple[int, int]] = {}
        self.mark_of: dict[TopicPartition, int] = {}

    def places(self) -> dict[TopicPartition, StorePlace]:
        return _named(self.stored().places())

    def stored(self) -> StoredPlaces:
        """What the tables say."""
        return StoredPlaces({str(partition): offset for partition, offset in self.next.items()}, dict(self.intents))

    def begin(self, commit: CommitRows) -> WorldCommit:
        return IntentCommit(self, commit)


class IntentCommit(WorldCommit):
    """The real steps over this store."""

    def __init__(self, store: IntentStore, commit: CommitRows) -> None:
        self._store = store
        self._commit = commit
        ranges = [RowRange(str(each.partition), each.base, each.next) for each in commit.ranges]
        self._steps: CommitSteps = commit_steps(ranges, self._tables_of)
        self._answer: StoredPlaces | None = None

    def step(self) -> bool:
        try:
            step = self._steps.send(self._answer)
        except StopIteration as end:
            self.refused = None if end.value is None else _named(end.value)
            return True
        self._answer = None
        self._do(step)
        return False

    def _do(self, step: CommitStep) -> None:
        store = self._store
        match step:
            case PutIntents(ranges):
                for each in ranges:
                    if store.intents.get(each.partition, (-1, 0))[0] < each.base:
                        store.intents[each.partition] = (each.base, each.next)
            case ReadStored():
                self._answer = store.stored()
            case InsertRows():
                self._insert(step)
            case PutMarks():
                for partition, offset in marks_of(self._commit).items():
                    store.marks[partition] = max(offset, store.marks.get(partition, -1))
            case PutOffsets(ranges):
                for each in ranges:
                    partition = _partition(each.partition)
                    store.next[partition] = max(each.next, store.next[partition])

    def _insert(self, step: InsertRows) -> None:
        if step.token not in self._store.tokens:
            self._store.tokens.add(step.token)
            for message in self._messages(step.range):
                if _table_of(message) == step.table:
                    self._store.rows[message.partition, message.offset] += 1

    def _messages(self, stored: RowRange) -> list[TakenMessage]:
        return [message for message in self._commit.messages if str(message.partition) == stored.partition]

    def _tables_of(self, stored: RowRange) -> set[str]:
        return {_table_of(message) for message in self._messages(stored)}


def _table_of(message: TakenMessage) -> str:
    return f"table{message.offset % 3}"


def _partition(text: str) -> TopicPartition:
    topic, _, number = text.partition("/")
    return TopicPartition(topic, int(number))


def _named(places: Mapping[str, PartitionPlace]) -> dict[TopicPartition, StorePlace]:
    return {_partition(name): StorePlace(place.next, place.until) for name, place in places.items()}


class SimulatedMerger:
    """One process: the core, what its client reads, and its job."""

    def __init__(self, world: "MergerWorld") -> None:
        self.world = world
        self.core = MergerCore(TERMS, world.rng)
        self.reads: dict[TopicPartition, int] = {}
        self.job: ReadPlaces | WorldCommit | None = None
        self.is_paused = False
        # It stands still until then: a debugger, a machine without memory. Its requests to the store may still arrive.
        self.stands_until_ns = 0
        self.assigned: tuple[TopicPartition, ...] | None = None

    def step(self) -> None:
        """A moment of its time."""
        world, core = self.world, self.core
        if self.job is not None and world.rng.random() < 0.5:
            self._step_job()
        if world.now_ns < self.stands_until_ns:
            return
        self._rebalance()
        for _ in range(world.rng.randrange(4)):
            if core.is_consuming and not self.is_paused:
                self._consume()
        for effect in core.turn(world.now_ns):
            self._do(effect)
        world.told_at_ns.append(core.next_at_ns(world.now_ns))

    def _rebalance(self) -> None:
        """What the group has decided meanwhile is heard at a poll."""
        assigned = self.world.assignment.get(self, ())
        if assigned != self.assigned:
            self.core.on_revoked()
            self.core.on_assigned(assigned)
            self.assigned, self.reads = assigned, {}

    def _consume(self) -> None:
        world = self.world
        for partition in world.rng.sample(sorted(self.reads), len(self.reads)):
            offset = self.reads[partition]
            low, high = world.low[partition], world.high[partition]
            if not low <= offset <= high:
                del self.reads[partition]
                self.core.on_out_of_range(partition, low, high)
                return
            for message in world.logs[partition]:
                if message.offset >= offset:
                    self.reads[partition] = message.offset + 1
                    self.core.on_message(message, world.now_ns)
                    return

    def _do(self, effect: MergerEffect) -> None:
        match effect:
            case ReadPlaces():
                assert self.job is None
                self.job = effect
            case CommitRows():
                assert self.job is None
                self._check(effect)
                self.job = self.world.store.begin(effect)
            case ConsumeFrom(offsets):
                self.reads = dict(offsets)
                # As the client does it.
                self.is_paused = False
            case PauseConsuming():
                self.is_paused = True
            case ResumeConsuming():
                self.is_paused = False
            case TellGroup():
                pass
            case OffsetsLost(partition, first, following):
                assert first < following
                self.world.lost.add((partition, first, following))

    def _check(self, commit: CommitRows) -> None:
        sizes = [message.size_bytes for message in commit.messages]
        begun = self.world.is_with_intents
        assert begun or sum(sizes) - max(sizes) < TERMS.commit_bytes
        by_partition = {each.partition: each for each in commit.ranges}
        for message in commit.messages:
            assert by_partition[message.partition].base <= message.offset < by_partition[message.partition].next

    def _step_job(self) -> None:
        world, core, job = self.world, self.core, self.job
        if world.rng.random() < world.failing:
            # The request is lost, or its answer.
            if isinstance(job, WorldCommit) and world.rng.random() < 0.5:
                job.step()
            self.job = None
            core.on_job_failed(world.now_ns)
        elif isinstance(job, ReadPlaces):
            self.job = None
            core.on_places(world.store.places())
        elif job is not None and job.step():
            self.job = None
            if job.refused is None:
                core.on_committed()
            else:
                core.on_refused(job.refused)


class MergerWorld:
    """All of it. `check` after each `step`; `settle` lets them finish."""

    def __init__(self, rng: Random, *, is_with_intents: bool) -> None:
        self.rng = rng
        self.now_ns = 0
        self.is_with_intents = is_with_intents
        self.store = IntentStore() if is_with_intents else WorldStore()
        self.logs: dict[TopicPartition, list[TakenMessage]] = {partition: [] for partition in PARTITIONS}
        self.low: Counter[TopicPartition] = Counter()
        self.high: Counter[TopicPartition] = Counter()
        self.failing = 0.05
        self.mergers: list[SimulatedMerger] = []
        self.assignment: dict[SimulatedMerger, tuple[TopicPartition, ...]] = {}
        # Killed ones whose last request is still on its way.
        self.ghosts: list[WorldCommit] = []
        self.lost: set[tuple[TopicPartition, int, int]] = set()
        self.removed: set[tuple[TopicPartition, int]] = set()
        self.told_at_ns: list[int | None] = []
        self.start()

    def start(self) -> None:
        """One more, up to three."""
        if len(self.mergers) < 3:
            self.mergers.append(SimulatedMerger(self))
            self.rebalance()

    def rebalance(self) -> None:
        """The group divides the partitions among those that it believes to live."""
        living = [merger for merger in self.mergers if merger.stands_until_ns <= self.now_ns]
        shuffled = self.rng.sample(PARTITIONS, len(PARTITIONS))
        if living:
            self.assignment = {merger: tuple(sorted(shuffled[index :: len(living)])) for index, merger in enumerate(living)}

    def step(self) -> None:
        """One thing happens, and time passes."""
        happens = self.rng.choices(
            (self._produce, self._move, self._kill, self.start, self._stand, self.rebalance, self._ghost, self._remove),
            (40, 60, 1, 2, 1, 1, 5, 0.2),
        )[0]
        happens()
        self.now_ns += STEP_NS

    def settle(self) -> None:
        """Everything works again, and time passes until all is stored."""
        self.failing = 0.0
        for merger in self.mergers:
            merger.stands_until_ns = self.now_ns
        self.rebalance()
        for _ in range(4_000):
            self._move()
            self._ghost()
            self.now_ns += STEP_NS
            if all(self.store.next[partition] > log[-1].offset for partition, log in self.logs.items() if log):
                break

    def check(self) -> None:
        """Nothing is stored twice, and no mark is ahead of its rows."""
        assert set(self.store.rows.values()) <= {1}
        for partition, marked in self.store.marks.items():
            missing = [each.offset for each in self.logs[partition] if each.offset <= marked and not self._is_there(each)]
            assert not missing, (partition, marked, missing)

    def check_whole(self) -> None:
        """Everything is there that the broker did not remove before."""
        for partition, log in self.logs.items():
            assert [each.offset for each in log if not self._is_there(each)] == [], partition
        never = [each for each in self.removed if not self.store.rows[each]]
        assert all(any(lost[0] == each[0] and lost[1] <= each[1] < lost[2] for lost in self.lost) for each in never)

    def _is_there(self, message: TakenMessage) -> bool:
        return self.store.rows[message.partition, message.offset] == 1

    def _produce(self) -> None:
        partition = self.rng.choice(PARTITIONS)
        # The end of a transaction has an offset too.
        offset = self.high[partition] + self.rng.choice((0, 0, 1))
        value = self.rng.choice((b"mark", b"rows" * self.rng.randrange(1, 200)))
        self.logs[partition].append(TakenMessage(partition, offset, (), b"", value))
        self.high[partition] = offset + 1

    def _move(self) -> None:
        for merger in self.rng.sample(self.mergers, len(self.mergers)):
            merger.step()

    def _kill(self) -> None:
        if self.mergers:
            merger = self.mergers.pop(self.rng.randrange(len(self.mergers)))
            self.assignment.pop(merger, None)
            if isinstance(merger.job, WorldCommit):
                self.ghosts.append(merger.job)
            self.rebalance()

    def _stand(self) -> None:
        if self.mergers:
            merger = self.rng.choice(self.mergers)
            merger.stands_until_ns = self.now_ns + self.rng.randrange(1, 60) * STEP_NS
            self.rebalance()

    def _ghost(self) -> None:
        """What a killed one had asked for is done by the store: one more step at most, for nobody asks for the next one."""
        if self.ghosts:
            self.ghosts.pop(self.rng.randrange(len(self.ghosts))).step()

    def _remove(self) -> None:
        """The broker removes what is old, whether it was stored or not."""
        partition = self.rng.choice(PARTITIONS)
        log = self.logs[partition]
        if log:
            keep = self.rng.randrange(len(log))
            self.removed |= {(partition, message.offset) for message in log[:keep]}
            self.low[partition] = log[keep].offset
            del log[:keep]


def range_of(partition: TopicPartition, base: int, following: int) -> OffsetRange:
    """A range in fewer words."""
    return OffsetRange(partition, base, following)
