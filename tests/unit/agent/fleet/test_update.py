"""Updates of the live state: whole and as differences, digests, and bytes that are none or too much."""

import os
import tracemalloc
import zlib
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.beat import NO_DIGEST
from agent.fleet.live import UNITS_MAX, GpuRow, NodeLabel, NodeUse, UnitLabel, UnitUse
from agent.fleet.update import (
    COMPRESSED_MARK,
    UPDATE_BYTES_MAX,
    UPDATE_MARK,
    LiveState,
    Update,
    apply_update,
    decode_update,
    difference,
    encode_update,
    is_fitting,
    next_digest,
)
from agent.model.errors import ProtocolError

RUN = "00112233445566aa"
AMOUNTS = st.none() | st.integers(0, 1 << 62)
NODE_LABEL = NodeLabel("node-1", "1.0", 8, 1 << 20, 1_700_000_000_000)
NODE_USE = NodeUse(500, 1 << 19, 10, 0, 5, 100, 20, (GpuRow("gpu-0", "A", 1000, 10, 0),), ("hub: x: y",))


def labelled(key: int, **values: Any) -> UnitLabel:
    """A unit of this key."""
    return UnitLabel(key, f"/unit-{key}.service", "service", f"unit-{key}", **values)


@st.composite
def states(draw: st.DrawFn) -> LiveState:
    """Some state of the node."""
    keys = draw(st.lists(st.integers(1, 12), unique=True, max_size=8))
    labels = {
        key: labelled(key, model=draw(st.none() | st.text(max_size=3)), lora=draw(st.just(()) | st.just(("a",)))) for key in keys
    }
    uses = {
        key: UnitUse(key, cpu=draw(AMOUNTS), memory_kib=draw(AMOUNTS), kv_cache=draw(st.none() | st.integers(0, 1000)))
        for key in keys
    }
    return LiveState(
        RUN,
        0,
        NO_DIGEST,
        draw(st.integers(0, 1 << 50)),
        NODE_LABEL,
        draw(st.just(NODE_USE) | st.builds(NodeUse, AMOUNTS)),
        labels,
        uses,
    )


def take(state: LiveState, frame: bytes) -> None:
    """As a hub does it."""
    update = decode_update(frame)
    apply_update(state, update, next_digest(state.digest, frame, is_whole=not update.base))


@given(first=states(), later=st.lists(states(), max_size=5))
def test_differences_make_of_one_state_the_next(first: LiveState, later: list[LiveState]) -> None:
    """Whole once and then what changes, both sides hold the same state with the same digest."""
    held, hub = LiveState(), LiveState()
    for now in (first, *later):
        update = difference(held, now, whole=held.version == 0)
        if update is None:
            assert (now.labels, now.uses, now.node_use) == (held.labels, held.uses, held.node_use)
            continue
        frame = encode_update(update)
        assert decode_update(frame) == update
        now.digest, now.version = next_digest(held.digest, frame, is_whole=not update.base), update.version
        assert is_fitting(update, hub)
        take(hub, frame)
        held = now
        assert (hub.labels, hub.uses) == (now.labels, now.uses)
        assert (hub.node_label, hub.node_use, hub.sampled_ms) == (now.node_label, now.node_use, now.sampled_ms)
        assert (hub.version, hub.digest) == (now.version, now.digest)


def test_a_state_that_has_not_changed_is_not_sent() -> None:
    """Asked for as a whole it is."""
    state = LiveState(RUN, 4, b"x" * 8, 1, NODE_LABEL, NODE_USE, {1: labelled(1)}, {1: UnitUse(1)})
    assert difference(state, state) is None
    whole = difference(state, state, whole=True)
    assert whole is not None
    assert (whole.base, whole.version, len(whole.labels), whole.gone) == (0, 5, 1, [])


def test_only_the_node_changes() -> None:
    """Its units do not travel with it; and the other way round."""
    before = LiveState(RUN, 4, NO_DIGEST, 1, NODE_LABEL, NODE_USE, {1: labelled(1)}, {1: UnitUse(1)})
    now = LiveState(RUN, 0, NO_DIGEST, 2, NODE_LABEL, NodeUse(1), before.labels, before.uses)
    found = difference(before, now)
    assert found == Update(RUN, 4, 5, 2, None, NodeUse(1), [], [], [])
    now = LiveState(RUN, 0, NO_DIGEST, 2, NODE_LABEL, NODE_USE, {2: labelled(2)}, {2: UnitUse(2)})
    found = difference(before, now)
    assert found == Update(RUN, 4, 5, 2, None, None, [labelled(2)], [UnitUse(2)], [1])
    other = NodeLabel("node-2", "1.0", 8, 1 << 20, 1)
    found = difference(before, LiveState(RUN, 0, NO_DIGEST, 2, other, NODE_USE, before.labels, before.uses))
    assert found == Update(RUN, 4, 5, 2, other, None, [], [], [])


def whole_frame(units: int = 3) -> bytes:
    """The frame of a whole state."""
    labels, uses = [labelled(key) for key in range(units)], [UnitUse(key, cpu=key) for key in range(units)]
    return encode_update(Update(RUN, 0, 1, 5, NODE_LABEL, NODE_USE, labels, uses, []))


def test_an_update_that_is_large_is_compressed() -> None:
    """A small one is not; both come back."""
    small, large = whole_frame(3), whole_frame(600)
    assert (small[:2], large[:2]) == (UPDATE_MARK, COMPRESSED_MARK)
    assert len(decode_update(memoryview(large)).labels) == 600


@pytest.mark.parametrize("is_compressed", [False, True])
def test_every_prefix_and_every_altered_byte_is_refused_or_another_update(is_compressed: bool) -> None:
    """Never another error; a digest over the bytes tells them apart."""
    frame = whole_frame(3)
    if is_compressed:
        frame = COMPRESSED_MARK + zlib.compress(whole_frame(40)[2:], 1)
    for end in range(len(frame)):
        with pytest.raises(ProtocolError):
            decode_update(frame[:end])
    for place in range(len(frame)):
        for flipped in (0x01, 0x80, 0xFF):
            altered = bytearray(frame)
            altered[place] ^= flipped
            assert next_digest(NO_DIGEST, bytes(altered), is_whole=True) != next_digest(NO_DIGEST, frame, is_whole=True)
            try:
                decode_update(bytes(altered))
            except ProtocolError:
                continue


@given(data=st.binary(max_size=200), mark=st.sampled_from([b"", UPDATE_MARK, COMPRESSED_MARK]), packed=st.booleans())
def test_nonsense_is_no_update(data: bytes, mark: bytes, *, packed: bool) -> None:
    """Bytes of a stranger, also well compressed ones."""
    with pytest.raises(ProtocolError):
        decode_update(mark + (zlib.compress(data) if packed else data))


def test_what_becomes_too_large_is_refused_before_it_is_there() -> None:
    """A zlib bomb of 64 MiB: no more memory than an update may have is taken for it."""
    bomb = COMPRESSED_MARK + zlib.compress(bytes(8 * UPDATE_BYTES_MAX), 9)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="not compressed as a whole, or too large"):
            decode_update(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3 * UPDATE_BYTES_MAX
    finally:
        tracemalloc.stop()
    with pytest.raises(ProtocolError, match="are no update"):
        decode_update(UPDATE_MARK + bytes(UPDATE_BYTES_MAX))
    with pytest.raises(ProtocolError, match="not compressed as a whole"):
        decode_update(whole_frame(600) + b"more")


def test_a_claim_of_two_gib_costs_nothing() -> None:
    """Lengths are believed by nobody."""
    for claim in (b"\xdd\x80\x00\x00\x00", b"\x99\xdb\x80\x00\x00\x00", b"\xdf\x80\x00\x00\x00"):
        with pytest.raises(ProtocolError):
            decode_update(UPDATE_MARK + claim)


def encoded(**changes: Any) -> bytes:
    """The frame of a whole update with other values of its fields, as another program might send it."""
    fields = {
        "run": RUN,
        "base": 0,
        "version": 1,
        "sampled_ms": 0,
        "label": None,
        "use": None,
        "labels": [],
        "uses": [],
        "gone": [],
    }
    assert set(changes) <= set(fields)
    return UPDATE_MARK + msgspec.msgpack.encode(list({**fields, **changes}.values()))


@pytest.mark.parametrize(
    "changes",
    [
        {"run": "short"},
        {"run": RUN + "\n"},
        {"base": 1},
        {"base": 5, "version": 5},
        {"version": 0},
        {"version": 1 << 32},
        {"sampled_ms": -1},
        {"labels": [[1, "/u", "service"]]},
        {"labels": [[-1, "/u", "service", "u"]]},
        {"labels": [[1, "x" * 5000, "service", "u"]]},
        {"labels": [[1, "/u", None, "u"]]},
        {"labels": [[1, "/u", "service", "u", None, None, None, ["a"] * 1000]]},
        {"uses": [[1, -5]]},
        {"uses": [[1, 1.5]]},
        {"uses": [[1, 1 << 63]]},
        {"gone": list(range(UNITS_MAX + 1))},
        {"use": [None] * 7 + [[["gpu", None, None, None, None]] * 65]},
        {"use": [None] * 8 + [["x"] * 65]},
        {"use": {"cpu": 5}},
    ],
)
def test_a_field_that_no_node_sends_is_refused(changes: dict[str, Any]) -> None:
    """Each bound."""
    assert decode_update(encoded()).version == 1
    with pytest.raises(ProtocolError):
        decode_update(encoded(**changes))


def test_fields_of_a_later_version_are_passed_over() -> None:
    """A hub reads what it knows of a newer node."""
    row = [1, *[None] * 15, "a later column"]
    found = decode_update(encoded(labels=[[1, "/u", "service", "u"]], uses=[row]))
    assert found.uses == [UnitUse(1)]


def test_one_unit_too_many_is_refused_and_the_state_stays() -> None:
    """10,001 in one update, and one beside 10,000."""
    rows = [[key, "/u", "service", "u"] for key in range(UNITS_MAX + 1)]
    with pytest.raises(ProtocolError):
        decode_update(encoded(labels=rows))
    state = LiveState()
    take(state, encoded(labels=rows[:-1]))
    assert len(state.uses) == UNITS_MAX
    one_more = decode_update(encoded(base=1, version=2, labels=rows[-1:]))
    with pytest.raises(ProtocolError, match="more than 10000 units"):
        apply_update(state, one_more, NO_DIGEST)
    assert (state.version, len(state.labels)) == (1, UNITS_MAX)


def test_a_full_node_may_exchange_a_unit() -> None:
    """One ends and another begins in one update: there are never more than may be."""
    state = LiveState()
    take(state, encoded(labels=[[key, "/u", "service", "u"] for key in range(UNITS_MAX)]))
    take(state, encoded(base=1, version=2, labels=[[UNITS_MAX, "/u", "service", "u"]], gone=[0]))
    assert (len(state.labels), len(state.uses), 0 in state.labels, UNITS_MAX in state.uses) == (UNITS_MAX, UNITS_MAX, False, True)


def test_numbers_of_a_unit_without_a_name_are_refused_and_the_state_stays() -> None:
    """A hub that missed its beginning asks for everything."""
    state = LiveState()
    take(state, encoded(labels=[[1, "/u", "service", "u"]]))
    before = msgspec.structs.replace(state)
    for frame in (encoded(base=1, version=2, uses=[[2, 5]]), encoded(version=2, labels=[], uses=[[1, 5]])):
        with pytest.raises(ProtocolError, match="has no label"):
            apply_update(state, decode_update(frame), NO_DIGEST)
        assert state == before


def test_an_update_fits_only_what_it_builds_on() -> None:
    """Of the same run and version, or it is whole."""
    state = LiveState(RUN, 3)
    assert is_fitting(decode_update(encoded(base=3, version=4)), state)
    assert not is_fitting(decode_update(encoded(base=2, version=4)), state)
    assert not is_fitting(decode_update(encoded(run="f" * 16, base=3, version=4)), state)
    assert is_fitting(decode_update(encoded(run="f" * 16)), state)


def test_the_digest_depends_on_all_bytes_since_the_last_whole_update() -> None:
    """And on nothing before it."""
    first = next_digest(b"before01", b"whole", is_whole=True)
    assert first == next_digest(NO_DIGEST, b"whole", is_whole=True)
    assert next_digest(first, b"one", is_whole=False) != next_digest(b"before01", b"one", is_whole=False)


def test_random_bytes_behind_the_mark_never_harm() -> None:
    """A thousand frames of noise; the seed is told."""
    seed = int(os.environ.get("EVERGAUGE_SEED", "1"))
    print(f"seed {seed}")
    rng = Random(seed)
    for _ in range(1000):
        with pytest.raises(ProtocolError):
            decode_update(UPDATE_MARK + rng.randbytes(rng.randrange(60)))
