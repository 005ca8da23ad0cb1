"""Which ticks of a worker's grid are missing between two of its batches, and which rows of table `gap` count them. PURE.

A worker numbers its ticks over all of its starts in one run of the agent, so every tick between the last that is known and
that of a new batch is missing. Each is counted once: by the reason that the worker gives for it, or by the
row for the death or the batches that it was lost with.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from agent.model.message import Identity, Missed, Tick
from agent.store.record import Mark
from workers.writer.gap import Gap, Reason


class Account(Struct, frozen=True):
    """Missing ticks: those that the worker explains, and how many others; `rest_last` is the last of these."""

    explained: tuple[Missed, ...]
    rest: int
    rest_last: int | None


def missing(known: int | None, tick: Tick) -> Account:
    """What is missing behind the tick `known`, up to and with `tick`, which is stored itself unless its reasons say otherwise.

    *Range:* without a known tick (the first of a run) only what is explained counts. What was counted before, or twice, is
    counted once.
    """
    explained: list[Missed] = []
    rest, rest_last = 0, None
    missed = sorted(tick.missed, key=lambda item: item.first_tick)
    cursor = min([tick.number, *(item.first_tick for item in missed)]) if known is None else known + 1
    for item in missed:
        first, last = max(cursor, item.first_tick), min(item.last_tick, tick.number)
        if first > last:
            continue
        if known is not None and first > cursor:
            rest, rest_last = rest + first - cursor, first - 1
        explained.append(Missed(first, last, item.reason))
        cursor = last + 1
    if known is not None and cursor < tick.number:
        rest, rest_last = rest + tick.number - cursor, tick.number - 1
    return Account(tuple(explained), rest, rest_last)


def count_ticks(gaps: Sequence[Gap], who: Identity, previous: Mark, account: Account, until_wall_ns: int, ending: str) -> list[Gap]:
    """These gaps with their ticks, and further ones for the ticks that belong to none of them.

    `previous` is what was known, perhaps of an earlier start, which ended by `ending`.
    """
    counted = [replace(gap, ticks=0) for gap in gaps]
    if counted:
        # One cause may have several rows (starts that died one after another); who missed which tick is not known.
        counted[0] = replace(counted[0], ticks=account.rest, last_tick=account.rest_last)
    elif account.rest:
        is_other_start = (previous.run, previous.epoch) != (who.run, who.epoch)
        owner = Identity(previous.run, previous.worker, previous.epoch) if is_other_start else who
        reason = ending if is_other_start else Reason.UNKNOWN
        counted.append(_gap(owner, previous, account.rest, account.rest_last, until_wall_ns, reason))
    for item in account.explained:
        ticks = item.last_tick - item.first_tick + 1
        counted.append(_gap(who, previous, ticks, item.last_tick, until_wall_ns, item.reason))
    return counted


def _gap(who: Identity, previous: Mark, ticks: int, last: int | None, until_wall_ns: int, reason: str) -> Gap:
    return Gap(who, None, None, None, None, previous.stamp_wall_ns, until_wall_ns, reason, ticks, last)
