"""Series as bytes, so that totals, live series and what was sent of them survive a restart exactly. PURE."""

from typing import Any

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.sketch import SketchColumns
from workers.export.series.identity import SeriesLabels, mark_of
from workers.export.series.tracked import Tracked
from workers.export.series.view_state import ViewState

FORMAT = 1


class HeldEntity(Struct, frozen=True, array_like=True):
    """One `Tracked`. A sketch stands as the list of its columns."""

    key: list[Any]
    pairs: list[tuple[str, str]]
    created_ns: int
    at_ns: int
    spacing_ns: int
    counts: list[int | float | None]
    values: list[Any]
    size: int
    slot: int
    sent: list[int]


class HeldView(Struct, frozen=True, array_like=True):
    """The entities of one view. `metrics` is a mark of its metrics: another catalogue has other places."""

    name: str
    metrics: str
    before_ns: int | None
    entities: list[HeldEntity]


class HeldSeries(Struct, frozen=True, array_like=True):
    """A whole `SeriesTable`; the amounts are those of the ranking that is not closed."""

    newest_ns: int
    settled_ns: int
    left_out_total: dict[str, int]
    amounts: list[list[tuple[tuple[str, int | None], int]]]
    ticks: int
    last_at_ns: int
    closed_at_ns: int | None
    views: list[HeldView]
    format: int = FORMAT


_DECODER = msgspec.msgpack.Decoder(HeldSeries)


def encoded(snapshot: HeldSeries) -> bytes:
    """The bytes of a snapshot."""
    return msgspec.msgpack.encode(snapshot)


def decoded(data: bytes) -> HeldSeries:
    """The snapshot of the bytes. *Raises:* FormatError for bytes that are none of this format."""
    try:
        found = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("series", f"their totals cannot be read: {cause}", "they begin again") from cause
    if found.format != FORMAT:
        raise FormatError("series", f"format {found.format} is not known to this version, which reads {FORMAT}", "they begin again")
    return found


def held_view(state: ViewState) -> HeldView:
    """A view as it is kept."""
    entities = [_held(tracked) for tracked in state.entities.values()]
    return HeldView(state.view.name, _metrics_of(state), state.before_ns, entities)


def put_back(state: ViewState, held: HeldView) -> None:
    """Make a view what it was. One that another version of the agent kept, with other metrics, begins with nothing."""
    if held.metrics != _metrics_of(state):
        return
    state.before_ns = held.before_ns
    for entity in held.entities:
        # Names are asked for again: the version of those names is no earlier one.
        tracked = Tracked(tuple(entity.key), SeriesLabels(tuple(entity.pairs)), -1, entity.created_ns)
        tracked.at_ns, tracked.spacing_ns, tracked.counts = entity.at_ns, entity.spacing_ns, entity.counts
        tracked.values = tuple(_value_of(value) for value in entity.values)
        tracked.size, tracked.slot, tracked.sent = entity.size, entity.slot, frozenset(entity.sent)
        state.hold(tracked)


def _metrics_of(state: ViewState) -> str:
    return mark_of(",".join(f"{metric.name}{metric.labels}{metric.source}{metric.per}" for metric in state.view.metrics))


def _held(tracked: Tracked) -> HeldEntity:
    return HeldEntity(
        list(tracked.key),
        list(tracked.labels.pairs),
        tracked.created_ns,
        tracked.at_ns,
        tracked.spacing_ns,
        tracked.counts,
        [
            msgspec.to_builtins(msgspec.structs.astuple(value)) if isinstance(value, SketchColumns) else value
            for value in tracked.values
        ],
        tracked.size,
        tracked.slot,
        sorted(tracked.sent),
    )


def _value_of(value: Any) -> Any:
    return SketchColumns(*value) if isinstance(value, list) else value
