"""How rows become rows of minutes: which columns are added up, taken from the last row, or have a most and a least. PURE."""

from collections.abc import Callable
from operator import itemgetter

from msgspec import Struct

from agent.model.column_type import DType
from agent.model.fleet_tables import HOST_MINUTE, UNIT_MINUTE
from agent.model.table import Row, Table, Value
from agent.store.record import TableForm

# Of every source: what says whose a row is, of which time, and how it is to be taken.
HEAD_COLUMNS = ("timestamp", "unit", "container", "kind", "elapsed_ns", "is_final", "absent")


class MinuteForm(Struct, frozen=True):
    """One table of minutes. The first of `sums` is the CPU time. `most` and `least` are pairs: column of the minute, source.

    *Shape:* a row of `table` is its time, the columns of its entity, what all minutes have, `sums`, mean and most of CPUs used,
    `lasts`, `least`, `most` and `absent`.
    """

    table: Table
    has_units: bool
    sums: tuple[str, ...]
    lasts: tuple[str, ...]
    most: tuple[tuple[str, str], ...]
    least: tuple[tuple[str, str], ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the source, in the order in which a reader gives them."""
        extremes = (*self.least, *self.most)
        return (*HEAD_COLUMNS, *self.sums, *self.lasts, *(source for _, source in extremes))


_PRESSURE_OF_HOST = (
    "pressure_cpu_some_ns", "pressure_memory_some_ns", "pressure_memory_full_ns", "pressure_io_some_ns", "pressure_io_full_ns",
)  # fmt: skip
# By the table that they are made of.
MINUTE_FORMS = {
    "unit": MinuteForm(
        UNIT_MINUTE,
        has_units=True,
        sums=(
            "cpu_ns", "cpu_periods", "cpu_throttled_periods", "cpu_throttled_ns", "io_read_bytes", "io_write_bytes",
            "pressure_cpu_some_ns", "pressure_cpu_full_ns", "pressure_memory_some_ns", "pressure_memory_full_ns",
            "pressure_io_some_ns", "pressure_io_full_ns", "oom_kills", "net_received_bytes", "net_sent_bytes",
        ),
        lasts=("memory_current_bytes", "memory_working_set_bytes", "memory_limit_bytes", "cpu_limit_cores"),
        most=(
            ("memory_current_max_bytes", "memory_current_bytes"),
            ("memory_working_set_max_bytes", "memory_working_set_bytes"),
        ),
    ),
    "host": MinuteForm(
        HOST_MINUTE,
        has_units=False,
        sums=("cpu_ns", "cpu_iowait_ns", "cpu_steal_ns", "read_in_bytes", "written_out_bytes", *_PRESSURE_OF_HOST, "oom_kills"),
        lasts=("cores", "memory_total_bytes", "memory_available_bytes", "swap_free_bytes", "load_1"),
        most=(("load_1_max", "load_1"),),
        least=(("memory_available_min_bytes", "memory_available_bytes"),),
    ),
}  # fmt: skip
_DTYPES = {
    "timestamp": DType.INT64, "unit": DType.UTF8, "container": DType.UTF8, "kind": DType.UTF8, "elapsed_ns": DType.INT64,
    "is_final": DType.BOOL, "absent": DType.UTF8,
}  # fmt: skip


def reader_of(minutes: MinuteForm, stored: TableForm) -> Callable[[Row], tuple[Value, ...]]:
    """What gives the values of `minutes.sources` of a stored row. A column that is not there, or is of another type, is null."""
    places = {name: place for place, name in enumerate(stored.names)}
    own = dict(zip(minutes.table.column_names, (column.dtype for column in minutes.table.columns), strict=True))
    own |= {source: own[name] for name, source in (*minutes.least, *minutes.most)} | _DTYPES
    absent = len(stored.names)
    wanted = [
        place if (place := places.get(name)) is not None and _fits(stored.dtypes[place], own[name]) else absent
        for name in minutes.sources
    ]
    take = itemgetter(*wanted)
    return lambda row: take((*row, None))


def _fits(word: str, dtype: DType) -> bool:
    """Whole numbers may stand for fractions."""
    return word == dtype or (dtype is DType.FLOAT64 and word == DType.INT64)
