"""What a merger decides: when it commits what, where it reads on, what it forgets. PURE: the caller has clock, chance and threads.

The store is right, the group's offsets are not: where partitions are given, the store says where each goes on. A commit is of whole
ranges, each of which begins where the store's last one of this partition ended; the store refuses any other. So two mergers that
both believe to have a partition cannot both store a row, and what was refused is forgotten and read again from where the store is.
One job is under way at a time, a reading of the store or a commit; what is taken meanwhile is gathered, up to a bound.
A range that somebody else has begun to store is taken alone, one after the other, so that each has room: nothing else can be.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

from msgspec import Struct

from agent.model.timebase import MS, S
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

RETRY_FIRST_NS = 250 * MS
RETRY_MOST_NS = 15 * S
# A short stop of the reading is cheaper than a pause, which makes the client forget what it has fetched.
PAUSE_AFTER_NS = 5 * S


class MergerTerms(Struct, frozen=True):
    """A commit comes `interval_ns` after the first message that it has, or with `commit_bytes`, whichever is earlier.

    *Range:* a commit is at most one message larger. At most `gathered_bytes` wait for the next ones, beside the one under way.
    """

    interval_ns: int = 2 * S
    commit_bytes: int = 8 << 20
    gathered_bytes: int = 16 << 20


class _HeldPartition(Struct):
    """One that was given: the store has it up to `base`; those gathered follow, up to the one before `next`."""

    base: int
    next: int
    until: int | None
    gathered: list[TakenMessage] = []
    # It is not read: its offset is not in the topic.
    is_beyond_end: bool = False

    @property
    def is_until_here(self) -> bool:
        """Whether the range that must be the next commit is gathered whole."""
        return self.until is not None and self.next >= self.until

    def ready(self) -> list[TakenMessage]:
        """What the next commit may have of it, in order."""
        if self.until is None:
            return self.gathered
        return [message for message in self.gathered if message.offset < self.until] if self.is_until_here else []

    def is_ready(self) -> bool:
        """Whether a commit of it would store something. A range that must be committed may have lost all its messages."""
        return self.is_until_here or bool(self.ready())


class _Job(Struct):
    """What is under way or waits for its next attempt. `ranges` are those of a commit; a reading of the store has none."""

    effect: ReadPlaces | CommitRows
    # Of which rebalance: what one of an earlier one brings is of no partition that is held now.
    generation: int
    is_under_way: bool = False


class MergerCore:
    """Takes what happens, and gives what to do at each `turn`. Times are monotonic nanoseconds."""

    def __init__(self, terms: MergerTerms, chance: Random) -> None:
        self._terms = terms
        self._chance = chance
        self._held: dict[TopicPartition, _HeldPartition] = {}
        self._wanted: tuple[TopicPartition, ...] = ()
        self._generation = 0
        self._is_placed = True
        self._job: _Job | None = None
        self._failures = 0
        self._not_before_ns = 0
        self._gathered_bytes = 0
        # When the first of what is gathered came, and when there was no room for more.
        self._since_ns: int | None = None
        self._full_since_ns: int | None = None
        self._is_paused = False
        self._is_stopping = False
        # The client has not been told yet from where it is to read.
        self._is_moving = False
        self._pending: list[MergerEffect] = []
        # The first partition of the next commit: each has its turn.
        self._turns = 0
        self.refused = 0

    # ---- what is known ----

    @property
    def gathered_bytes(self) -> int:
        """What waits for the next commits."""
        return self._gathered_bytes

    @property
    def is_consuming(self) -> bool:
        """Whether messages are to be taken now."""
        return self._is_placed and not (self._is_moving or self._is_stopping or self._is_full or self._is_paused)

    @property
    def is_paused(self) -> bool:
        """Whether the client was told to give no messages."""
        return self._is_paused

    @property
    def is_done(self) -> bool:
        """After `on_stop`: everything that could be stored is."""
        return self._is_stopping and self._job is None and not any(held.is_ready() for held in self._held.values())

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of each partition that is held."""
        return {partition: held.next for partition, held in self._held.items()}

    @property
    def beyond_end(self) -> list[TopicPartition]:
        """Partitions that end before the offset to which the store has them."""
        return sorted(partition for partition, held in self._held.items() if held.is_beyond_end)

    @property
    def _begun(self) -> TopicPartition | None:
        """The one that is taken alone now."""
        begun = (partition for partition, held in self._held.items() if held.until is not None and not held.is_beyond_end)
        return next(begun, None)

    @property
    def _is_full(self) -> bool:
        begun = self._begun
        # It has room whatever its size is: another merger may have had other bounds.
        is_open = begun is not None and not self._held[begun].is_until_here
        return self._gathered_bytes >= self._terms.gathered_bytes and not is_open

    # ---- the group ----

    def on_assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """These are ours, and no others. Nothing is taken before the store has said where they go on."""
        self.on_revoked()
        self._wanted = tuple(sorted(partitions))
        self._is_placed = not self._wanted

    def on_revoked(self) -> None:
        """Nothing is ours. What is under way may still be stored; what is gathered is read again by the next owner."""
        self._generation += 1
        self._held, self._wanted, self._is_placed = {}, (), True
        self._pending = [effect for effect in self._pending if not isinstance(effect, ConsumeFrom | PauseConsuming)]
        self._is_moving = False
        self._forget_gathered()
        if self._job is not None and not self._job.is_under_way:
            self._job = None

    def on_stop(self) -> None:
        """Take nothing more, store what is gathered."""
        self._is_stopping = True

    # ---- messages ----

    def on_message(self, message: TakenMessage, now_ns: int) -> None:
        """One more. One that was taken already, or is of no partition of ours, is left out.

        So is what comes before the client was told where to read on: it may be from behind that place.
        """
        held = self._held.get(message.partition)
        if held is None or message.offset < held.next or self._is_moving:
            return
        held.gathered.append(message)
        held.next = message.offset + 1
        self._gathered_bytes += message.size_bytes
        if self._since_ns is None:
            self._since_ns = now_ns
        if self._is_full and self._full_since_ns is None:
            self._full_since_ns = now_ns

    def on_out_of_range(self, partition: TopicPartition, low: int, high: int) -> None:
        """The broker has no message of the next offset: it has those from `low` up to the one before `high`."""
        held = self._held.get(partition)
        if held is None or low <= held.next <= high:
            return
        if held.next < low:
            self._pending.append(OffsetsLost(partition, held.next, low))
            held.next = low
        else:
            held.is_beyond_end = True
        self._consume()

    # ---- jobs ----

    def turn(self, now_ns: int) -> list[MergerEffect]:
        """What is to be done now, in this order."""
        effects, self._pending, self._is_moving = self._pending, [], False
        if self._job is None:
            self._job = self._next_job(now_ns)
        job = self._job
        if job is not None and not job.is_under_way and now_ns >= self._not_before_ns:
            job.is_under_way = True
            effects.append(job.effect)
        effects += self._pausing(now_ns)
        return effects

    def next_at_ns(self, now_ns: int) -> int | None:
        """When the next turn has something to do, if nothing happens before. *Absent:* None: nothing."""
        if self._pending:
            return now_ns
        if self._job is not None:
            times = [] if self._job.is_under_way else [self._not_before_ns]
        else:
            times = [] if self._since_ns is None else [self._since_ns + self._terms.interval_ns]
            if not self._is_placed or self._is_stopping:
                times.append(now_ns)
        if self._full_since_ns is not None and not self._is_paused:
            times.append(self._full_since_ns + PAUSE_AFTER_NS)
        return max(now_ns, min(times)) if times else None

    def on_places(self, places: Mapping[TopicPartition, StorePlace]) -> None:
        """The store has answered. What it does not name it has nothing of."""
        job = self._end_job()
        if job.generation != self._generation:
            return
        self._is_placed = True
        for partition in self._wanted:
            self._place(partition, places.get(partition, StorePlace(0)))
        self._consume()

    def on_committed(self) -> None:
        """The commit is in the store."""
        job = self._end_job()
        assert isinstance(job.effect, CommitRows)
        if job.generation == self._generation:
            was_begun = self._begun is not None
            for stored in job.effect.ranges:
                held = self._held[stored.partition]
                held.base, held.until = stored.next, None
            self._pending.append(TellGroup({stored.partition: stored.next for stored in job.effect.ranges}))
            if was_begun:
                self._consume()

    def on_refused(self, places: Mapping[TopicPartition, StorePlace]) -> None:
        """The store has other offsets than the commit builds on: somebody else stores these partitions, or did."""
        job = self._end_job()
        assert isinstance(job.effect, CommitRows)
        self.refused += 1
        if job.generation != self._generation:
            return
        for stored in job.effect.ranges:
            self._gathered_bytes -= sum(message.size_bytes for message in self._held[stored.partition].gathered)
            self._place(stored.partition, places.get(stored.partition, StorePlace(0)))
        self._note_room()
        self._consume()

    def on_job_failed(self, now_ns: int) -> None:
        """The store cannot be read or written now: the same is tried again after a while."""
        job = self._job
        assert job is not None
        assert job.is_under_way
        self._failures += 1
        span_ns = min(RETRY_MOST_NS, RETRY_FIRST_NS << min(self._failures, 16))
        self._not_before_ns = now_ns + self._chance.randint(span_ns // 2, span_ns)
        if job.generation == self._generation:
            job.is_under_way = False
        else:
            self._job = None

    # ---- inside ----

    def _end_job(self) -> _Job:
        job = self._job
        assert job is not None
        assert job.is_under_way
        self._job = None
        self._failures = self._not_before_ns = 0
        return job

    def _next_job(self, now_ns: int) -> _Job | None:
        if not self._is_placed:
            return None if self._is_stopping else _Job(ReadPlaces(), self._generation)
        is_due = self._since_ns is not None and now_ns >= self._since_ns + self._terms.interval_ns
        begun = self._begun
        is_begun_here = begun is not None and self._held[begun].is_until_here
        if not (is_due or is_begun_here or self._is_stopping or self._gathered_bytes >= self._terms.commit_bytes):
            return None
        commit = self._take(now_ns)
        return None if commit is None else _Job(commit, self._generation)

    def _take(self, now_ns: int) -> CommitRows | None:
        """The next commit: of each partition what is first. What is left is due after the interval, or with the bytes."""
        partitions = list(self._held)
        self._turns += 1
        turn = self._turns % max(1, len(partitions))
        ranges: list[OffsetRange] = []
        messages: list[TakenMessage] = []
        size = 0
        for partition in partitions[turn:] + partitions[:turn]:
            if size >= self._terms.commit_bytes:
                break
            held = self._held[partition]
            taken = _first_of(held.ready(), self._terms.commit_bytes - size, is_whole=held.until is not None)
            if taken or held.is_until_here:
                size += sum(message.size_bytes for message in taken)
                del held.gathered[: len(taken)]
                # Up to its end where that is said, though the last messages may have been removed.
                ranges.append(OffsetRange(partition, held.base, held.until or taken[-1].offset + 1))
                messages += taken
        self._gathered_bytes -= size
        self._since_ns = now_ns if any(held.gathered for held in self._held.values()) else None
        self._note_room()
        return CommitRows(tuple(sorted(ranges, key=lambda each: each.partition)), tuple(messages)) if ranges else None

    def _place(self, partition: TopicPartition, place: StorePlace) -> None:
        self._held[partition] = _HeldPartition(place.next, place.next, place.until)

    def _consume(self) -> None:
        self._is_moving = True
        begun = self._begun
        held = self._held if begun is None else {begun: self._held[begun]}
        self._pending.append(ConsumeFrom({partition: each.next for partition, each in held.items() if not each.is_beyond_end}))
        if self._is_paused:
            # What is consumed from another place is not paused.
            self._pending.append(PauseConsuming())

    def _forget_gathered(self) -> None:
        self._gathered_bytes = 0
        self._since_ns = None
        self._note_room()

    def _note_room(self) -> None:
        if not self._is_full:
            self._full_since_ns = None

    def _pausing(self, now_ns: int) -> Sequence[MergerEffect]:
        is_long = self._full_since_ns is not None and now_ns >= self._full_since_ns + PAUSE_AFTER_NS
        if is_long == self._is_paused:
            return ()
        self._is_paused = is_long
        return (PauseConsuming() if is_long else ResumeConsuming(),)


def _first_of(messages: Sequence[TakenMessage], bytes_max: int, *, is_whole: bool) -> list[TakenMessage]:
    """The first ones that fit, at least one; all where they must stay together."""
    if is_whole:
        return list(messages)
    taken: list[TakenMessage] = []
    for message in messages:
        if bytes_max <= 0 and taken:
            break
        taken.append(message)
        bytes_max -= message.size_bytes
    return taken
