"""The last minute of a spool: batches are decoded once, a damaged one costs no other."""

import msgspec
import pytest
from fakes.stored_units import UNIT_FORM, UNIT_MODEL_FORM, unit_row

from agent.cli.unit_ticks import WAITING_MAX, UnitTicks
from agent.model.errors import FormatError

S = 10**9


def test_batches_become_a_sample() -> None:
    """Of several tables; rows that were read elsewhere count too."""
    ticks = UnitTicks()
    assert ticks.newest("h") is None
    ticks.put("unit", 5 * S, UNIT_FORM, msgspec.msgpack.encode([unit_row(5 * S, "/a.service", cpu_cores=0.5)]))
    ticks.take("unit_model", [dict(zip(UNIT_MODEL_FORM.names, (4 * S, "/a.service", "service", None, "m/x"), strict=False))])
    sample = ticks.newest("h")
    assert sample is not None
    (line,) = sample.lines
    assert (sample.at_wall_ns, line.reading.cpu_cores, line.model) == (5 * S, 0.5, "m/x")


def test_a_damaged_batch_costs_no_other() -> None:
    """It is told once; rows that do not fit are counted."""
    ticks = UnitTicks()
    good = unit_row(5 * S, "/a.service")
    ticks.put("unit", 4 * S, UNIT_FORM, b"\xc1")
    ticks.put("unit", 5 * S, UNIT_FORM, msgspec.msgpack.encode([good, good[:-1]]))
    ticks.put("unit", 5 * S, UNIT_FORM, msgspec.msgpack.encode([good[:-1]]))
    for _ in range(2):
        with pytest.raises(FormatError):
            ticks.newest("h")
    sample = ticks.newest("h")
    assert sample is not None
    assert (len(sample.lines), sample.bad_rows) == (1, 1)


def test_what_waits_is_bounded() -> None:
    """Nobody looked for long: the newest count."""
    ticks = UnitTicks()
    for at in range(WAITING_MAX + 5):
        ticks.put("unit", at, UNIT_FORM, msgspec.msgpack.encode([unit_row(at + 1, f"/{at}")]))
    sample = ticks.newest("h")
    assert sample is not None
    assert len(sample.lines) == WAITING_MAX
