"""Removes what no reader needs any more: files that count no more, files that nobody named, and old entries of the log.

A name is deleted only after the log says that it does not count, and is forgotten there only after it was deleted. Ages are told by
the store's own clock where a mistake would cost rows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from agent.failpoint import failpoint
from agent.lake.bucket import Bucket, PutOutcome
from agent.lake.commit import LakeCommit, LedgerStep
from agent.lake.lake_state import LakeState
from agent.lake.log import LakeLog
from agent.lake.path import (
    CONSUMED,
    LOG,
    MERGED,
    LandingPath,
    checkpoint_name,
    ledger_path,
    parse_checkpoint_name,
    parse_entry_name,
    parse_landing_path,
    parse_ledger_path,
    parse_merged_path,
)
from agent.lake.snapshot import LedgerCache
from agent.model.checksum import blake2b
from agent.model.timebase import DAY
from workers.compactor.report import LakeReport

# A merger or compactor that was stopped for so long between a put and its entry does both once more.
ORPHAN_NS = 1 * DAY
# Of the log. A reader that was not there for an hour reads it from the beginning.
LOG_KEPT_NS = 1 * DAY
# Of one round: the next goes on.
DELETIONS_MAX = 20_000
_FORGOTTEN_PER_ENTRY = 5_000
_PER_STEP = 200
_PRUNED_MAX = 100_000


class CleaningPlace(Struct, frozen=True):
    """What is cleaned. `now_ns`: this host's time, for the grace; `store_now_ns`: the store's, for the age of files.

    `requests`: how many are under way at once. `on_step` is called between two requests; False: stop here.
    """

    bucket: Bucket
    log: LakeLog
    ledgers: LedgerCache
    grace_ns: int
    now_ns: int
    store_now_ns: int
    requests: int = 1
    on_step: Callable[[], bool] = lambda: True


def clean(place: CleaningPlace, landing: Iterable[tuple[str, LandingPath]], report: LakeReport) -> None:
    """One round. `landing`: what was listed there. *Raises:* BucketFailure, FormatError, CommitRefused."""
    _remove_returned(place, landing, report)
    _delete_removed(place, report)
    _condemn(place, report)
    _prune_log(place, report)
    place.bucket.sweep(ORPHAN_NS)


def _remove_returned(place: CleaningPlace, landing: Iterable[tuple[str, LandingPath]], report: LakeReport) -> None:
    """Files that an exporter put once more, since it did not hear that they had arrived: readers pass them over already."""
    state = place.log.state()
    for path, where in landing:
        if path not in state.consumed and path in place.ledgers.of_day(state, f"{where.table}/{where.date}"):
            place.bucket.delete(path)
            report.returned += 1
            if not place.on_step():
                return


def _delete_removed(place: CleaningPlace, report: LakeReport) -> None:
    state = place.log.state()
    due = [path for path, at_ns in _waiting(state) if at_ns + place.grace_ns <= place.now_ns]
    report.waiting = len(state.removed) + len(state.consumed) - len(due)
    for begin in range(0, min(len(due), DELETIONS_MAX), _FORGOTTEN_PER_ENTRY):
        paths = due[begin : begin + _FORGOTTEN_PER_ENTRY]
        if not _delete_all(place, paths):
            return
        failpoint("clean.deleted")
        place.log.append(lambda state, paths=paths: _forget(place, paths, state))  # type: ignore[misc]  # its default is bound now
        failpoint("clean.forgotten")
        report.deleted += len(paths)


def _delete_all(place: CleaningPlace, paths: Sequence[str]) -> bool:
    """False: it was stopped in the middle."""
    with ThreadPoolExecutor(place.requests) as pool:
        for begin in range(0, len(paths), _PER_STEP):
            list(pool.map(place.bucket.delete, paths[begin : begin + _PER_STEP]))
            if not place.on_step():
                return False
    return True


def _waiting(state: LakeState) -> Iterator[tuple[str, int]]:
    yield from state.removed.items()
    yield from state.consumed.items()


def _forget(place: CleaningPlace, paths: Sequence[str], state: LakeState) -> LakeCommit | None:
    """The entry that forgets deleted files, with the ledgers that remember the names of landing files."""
    left = [path for path in paths if path in state.removed or path in state.consumed]
    of_day: dict[str, list[str]] = {}
    for path in left:
        found = parse_landing_path(path)
        if found is not None:
            of_day.setdefault(f"{found.table}/{found.date}", []).append(path)
    ledgers = {day: _next_ledger(place, state, day, names) for day, names in of_day.items()}
    return LakeCommit(forgotten=tuple(left), ledgers=ledgers) if left else None


def _next_ledger(place: CleaningPlace, state: LakeState, day: str, paths: Sequence[str]) -> LedgerStep:
    content = place.ledgers.of_day(state, day).with_paths(paths).encoded()
    table, _, date = day.partition("/")
    digest = blake2b(content, digest_size=16).hexdigest()
    for variant in range(state.number + 2):
        path = ledger_path(table, date, f"{digest}-{variant}" if variant else digest)
        if path in state.condemned or path in state.removed:
            continue
        outcome = place.bucket.put_new(path, content)
        assert outcome is not PutOutcome.OTHER, f"{path} is not what its name says"
        failpoint("clean.ledger")
        return LedgerStep(state.ledgers.get(day, ""), path)
    raise AssertionError("each entry takes one name at most")


def _condemn(place: CleaningPlace, report: LakeReport) -> None:
    """Say of files that no entry names that none may do so any more; the next round deletes them."""
    old: list[str] = []
    for top in (MERGED, CONSUMED):
        for page in place.bucket.pages(f"{top}/"):
            for head in page:
                is_ours = parse_merged_path(head.name) or parse_ledger_path(head.name)
                if is_ours and head.changed_ns + ORPHAN_NS <= place.store_now_ns:
                    old.append(head.name)
            if not place.on_step():
                return

    def make(state: LakeState) -> LakeCommit | None:
        known = {*state.files, *state.removed, *state.ledgers.values()}
        orphans = tuple(path for path in old if path not in known)[:_FORGOTTEN_PER_ENTRY]
        report.condemned += len(orphans)
        return LakeCommit(condemned=orphans) if orphans else None

    if old:
        place.log.append(make)


def _prune_log(place: CleaningPlace, report: LakeReport) -> None:
    """Remove entries that a checkpoint holds which is old enough, the first of them first: `agent.lake.log` relies on it."""
    names: list[str] = []
    bound = 0
    for page in place.bucket.pages(f"{LOG}/"):
        for head in page:
            number = parse_checkpoint_name(head.name)
            if number is not None and head.changed_ns + LOG_KEPT_NS <= place.store_now_ns:
                bound = max(bound, number)
            if number is not None or parse_entry_name(head.name) is not None:
                names.append(head.name)
    if not bound:
        return
    # The entry of the checkpoint itself stays: who appends behind it looks for it.
    old = [name for name in names if name < checkpoint_name(bound)]
    for name in sorted(old)[:_PRUNED_MAX]:
        place.bucket.delete(name)
        report.pruned += 1
        if not place.on_step():
            return
