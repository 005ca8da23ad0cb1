"""How the live state of a node travels: whole, or what has changed since the update before. PURE.

Each update has a version, one more than that of the update it builds on; one that builds on nothing is whole. The digest of a state
is a chain over the bytes of the updates that made it, so a hub that missed or misread one has another digest than the node's beat
says, and asks for the whole state.
"""

import zlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from agent.fleet.beat import DIGEST_BYTES, NO_DIGEST
from agent.fleet.live import UNITS_MAX, Key, NodeLabel, NodeUse, UnitLabel, UnitUse, trimmed
from agent.model.checksum import blake2b
from agent.model.errors import ProtocolError

UPDATE_MARK = b"U1"
# The same, compressed by zlib: an update that is large has many names in it. Smaller ones are mostly numbers, which compress to two
# thirds and cost the hub as much time as all the rest of an update.
COMPRESSED_MARK = b"Z1"
_COMPRESSED_FROM_BYTES = 8 << 10
# The least effort: 12 KiB in 0.1 ms, and half of them are left.
_COMPRESSION = 1
# A whole state of UNITS_MAX units with long names.
UPDATE_BYTES_MAX = 8 << 20

Version = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class Update(Struct, frozen=True, array_like=True):
    """One update. `base` 0: it is whole, and replaces what was there.

    `sampled_ms`: unix time by the node's clock of the newest row in it. `gone`: keys of units that are no more.
    """

    run: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
    base: Version
    version: Version
    sampled_ms: Annotated[int, Meta(ge=0, le=1 << 62)]
    node_label: NodeLabel | None
    node_use: NodeUse | None
    labels: Annotated[list[UnitLabel], Meta(max_length=UNITS_MAX)]
    uses: Annotated[list[UnitUse], Meta(max_length=UNITS_MAX)]
    gone: Annotated[list[Key], Meta(max_length=UNITS_MAX)]


_DECODER = msgspec.msgpack.Decoder(Update)
_ENCODER = msgspec.msgpack.Encoder()


def encode_update(update: Update) -> bytes:
    """The frame of an update; defaults at the end of a row do not travel."""
    label = None if update.node_label is None else trimmed(update.node_label)
    use = None if update.node_use is None else trimmed(update.node_use)
    fields: tuple[Any, ...] = (
        update.run,
        update.base,
        update.version,
        update.sampled_ms,
        label,
        use,
        [trimmed(row) for row in update.labels],
        [trimmed(row) for row in update.uses],
        update.gone,
    )
    body = _ENCODER.encode(fields)
    return UPDATE_MARK + body if len(body) < _COMPRESSED_FROM_BYTES else COMPRESSED_MARK + zlib.compress(body, _COMPRESSION)


def decode_update(frame: "bytes | memoryview") -> Update:
    """*Raises:* ProtocolError for bytes that are no update, and for one that could not come from a node."""
    mark = bytes(frame[:2])
    if mark not in (UPDATE_MARK, COMPRESSED_MARK) or len(frame) > UPDATE_BYTES_MAX:
        raise ProtocolError("update", f"{len(frame)} bytes are no update")
    body = memoryview(frame)[2:]
    try:
        update = _DECODER.decode(body if mark == UPDATE_MARK else _inflated(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise ProtocolError("update", str(cause)) from cause
    if update.base >= update.version:
        raise ProtocolError("update", f"version {update.version} cannot build on {update.base}")
    return update


def _inflated(body: memoryview) -> bytes:
    """*Raises:* ProtocolError; also for what becomes larger than an update may be."""
    inflation = zlib.decompressobj()
    try:
        found = inflation.decompress(body, UPDATE_BYTES_MAX)
    except zlib.error as cause:
        raise ProtocolError("update", str(cause)) from cause
    if not inflation.eof or inflation.unused_data:
        raise ProtocolError("update", "it is not compressed as a whole, or too large")
    return found


def next_digest(before: bytes, frame: "bytes | memoryview", *, is_whole: bool) -> bytes:
    """The digest of the state after this update, whose frame these bytes are."""
    found = blake2b(digest_size=DIGEST_BYTES)
    found.update(NO_DIGEST if is_whole else before)
    found.update(frame)
    return found.digest()


class LiveState(Struct):
    """The live state of one node as of some version. `labels` and `uses` have the same keys."""

    run: str = ""
    version: int = 0
    digest: bytes = NO_DIGEST
    sampled_ms: int = 0
    node_label: NodeLabel | None = None
    node_use: NodeUse | None = None
    labels: dict[int, UnitLabel] = {}
    uses: dict[int, UnitUse] = {}


def difference(before: LiveState, now: LiveState, *, whole: bool = False) -> Update | None:
    """The update that makes `now` of `before`; None: nothing has changed. `now.version` is not looked at."""
    if whole:
        return Update(
            now.run, 0, before.version + 1, now.sampled_ms, now.node_label, now.node_use,
            list(now.labels.values()), list(now.uses.values()), [],
        )  # fmt: skip
    labels = _changed(before.labels, now.labels)
    uses = _changed(before.uses, now.uses)
    gone = [key for key in before.labels if key not in now.labels]
    node_label = None if now.node_label == before.node_label else now.node_label
    node_use = None if now.node_use == before.node_use else now.node_use
    if not (labels or uses or gone or node_label is not None or node_use is not None):
        return None
    return Update(now.run, before.version, before.version + 1, now.sampled_ms, node_label, node_use, labels, uses, gone)


def _changed(before: Mapping[int, Any], now: Mapping[int, Any]) -> list[Any]:
    return [row for key, row in now.items() if before.get(key) != row]


def is_fitting(update: Update, state: LiveState) -> bool:
    """Whether an update can be applied to this state: it is whole, or builds on exactly this."""
    return update.base == 0 or (update.run == state.run and update.base == state.version)


def apply_update(state: LiveState, update: Update, digest: bytes) -> None:
    """Make the state what the update says. *Raises:* ProtocolError, and then the state is as it was."""
    assert is_fitting(update, state)
    is_whole = update.base == 0
    labels = {row.key: row for row in update.labels}
    uses = {row.key: row for row in update.uses}
    known = {} if is_whole else state.labels
    if strangers := uses.keys() - known.keys() - labels.keys():
        raise ProtocolError("update", f"unit {min(strangers)} has no label")
    # Those that end make room for those that begin. The sets are compared only where there may be too many.
    if len(labels) + len(known) > UNITS_MAX and len((labels.keys() | known.keys()).difference(update.gone)) > UNITS_MAX:
        raise ProtocolError("update", f"more than {UNITS_MAX} units")
    if is_whole:
        state.run, state.labels, state.uses = update.run, labels, uses
        state.node_label = state.node_use = None
    else:
        state.labels.update(labels)
        state.uses.update(uses)
    for key in labels.keys() - uses.keys():
        state.uses.setdefault(key, UnitUse(key))
    for key in update.gone:
        state.labels.pop(key, None)
        state.uses.pop(key, None)
    state.node_label = update.node_label or state.node_label
    state.node_use = update.node_use or state.node_use
    state.version, state.digest, state.sampled_ms = update.version, digest, update.sampled_ms
