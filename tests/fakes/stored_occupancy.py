"""Rows of table `occupancy` and ticks of it, as its sampler stores them."""

from collections.abc import Sequence

from fakes.row_problem import problem_of_row
from fakes.stored_data import batch_of

from agent.model.table import Row
from agent.store.record import form_of
from workers.resctrl.row import OCCUPANCY as TABLE

MIB = 1 << 20
CACHE_BYTES = 32 * MIB

OCCUPANCY = form_of(TABLE)


def occupancy_row(
    at: int,
    uid: str,
    *,
    name: str | None = None,
    group: str | None = None,
    llc: int | None = MIB,
    total: float | None = 1e6,
    local: float | None = 5e5,
    containers: tuple[int, int] = (1, 1),
    absent: str | None = None,
    llc_size: int | None = CACHE_BYTES,
    pods_in_group: int = 1,
    emulated: bool | None = None,
) -> Row:
    """A row: the pod's name is `namespace/name`, its containers are those there are and those wholly in the group."""
    namespace, _, short = (name or "").rpartition("/")
    path = f"/sys/fs/resctrl/mon_groups/pod_{group or uid}"
    # Read a moment after the scan began, each at its own.
    read_at = at + 1_000 + len(uid)
    all_containers, reconciled = containers
    rates = (total, local)
    row = (
        *(read_at, namespace or None, short or None, uid, path, llc, at, all_containers, reconciled, 10**9, 10**8, *rates),
        *(absent, llc_size, pods_in_group, emulated),
    )
    assert problem_of_row(TABLE, row) is None
    return row


def occupancy_tick(at: int, rows: Sequence[Row]) -> bytes:
    """The batch of one tick, stamped as it is in a spool."""
    return batch_of("occupancy", rows, stamp_wall_ns=at)
