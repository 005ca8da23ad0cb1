"""What the process sampler leaves out when it uses more than it may, and that all of it comes back."""

from typing import Any

import pytest
from fakes.host import Host

from agent.model.limit import LadderStep
from agent.model.sketch import SCALE, relative_error
from workers.process.setting import lower_cap
from workers.process.top_n import Limits

pytestmark = pytest.mark.usefixtures("watched_and_polled")


def _busy_host(**options: Any) -> Host:
    host = Host(**options)
    for pid in range(1, 41):
        host.born(pid)
    host.tick()
    return host


def _work(host: Host) -> None:
    for pid in range(1, 41):
        host.work(pid, pid)


def test_dear_files_are_not_read_and_their_values_have_a_reason() -> None:
    """`io` and `smaps_rollup` of processes; everything else is measured."""
    host = _busy_host()
    _work(host)
    host.tick()
    host.probe.on_steps(frozenset({LadderStep.DEAR_FILES_OFF}))
    _work(host)
    tick = host.tick()
    row = tick.row(40)
    assert row["read_bytes"] is None
    assert "breaker_open" in str(row["absent"])
    assert row["cpu_ns"]
    assert host.probe.stats()["breakers_open"]["io"] == 1
    host.probe.on_steps(frozenset())
    for _ in range(2):
        _work(host)
        tick = host.tick()
    assert tick.row(40)["read_bytes"] is not None
    assert host.probe.stats()["breakers_open"]["io"] == 0
    assert [told for told in host.bus.conditions if told.kind != "sampler_fallback:clocks"] == []


def test_a_lower_cap_allows_a_quarter_of_the_rows() -> None:
    """The remainder has the others, and the account says truthfully what the rows hold."""
    host = _busy_host(top_rows=40, top_rows_least=1)
    _work(host)
    whole = host.tick()
    host.probe.on_steps(frozenset({LadderStep.LOWER_CAP}))
    _work(host)
    less = host.tick()
    assert whole.scan["cpu_rows"] > 20
    assert less.scan["cpu_rows"] == 10
    assert less.scan["cpu_capture"] < whole.scan["cpu_capture"]
    assert less.scan["cpu_ns"] == whole.scan["cpu_ns"]


def test_the_cap_is_never_lower_than_the_least() -> None:
    """What the settings promise is kept."""
    assert lower_cap(Limits(950, 5, 100)) == Limits(950, 5, 25)
    assert lower_cap(Limits(950, 30, 100)) == Limits(950, 30, 30)


def test_without_rows_everything_is_in_the_remainder() -> None:
    """Nothing is lost: the tail has the CPU of all."""
    host = _busy_host()
    host.probe.on_steps(frozenset({LadderStep.SKETCH_ONLY}))
    _work(host)
    tick = host.tick()
    assert tick.rows == []
    assert sum(part["cpu_ns"] for part in tick.tails) == tick.scan["cpu_ns"] > 0
    assert tick.scan["cpu_capture"] == 0
    host.probe.on_steps(frozenset())
    _work(host)
    assert len(host.tick().rows) > 0


def test_coarser_sketches_say_their_scale_and_their_error() -> None:
    """A window that is begun after the step has a quarter of the buckets for each doubling."""
    host = _busy_host()
    host.probe.on_steps(frozenset({LadderStep.COARSER_SKETCH}))
    host.probe.rest()
    _work(host)
    host.tick()
    (_, rows), (_, raw) = host.probe.rest()
    assert not raw
    scales = {row[7] for row in rows} | {value for row in rows for value in row if value == SCALE - 2}
    assert SCALE - 2 in scales
    assert any(relative_error(SCALE - 2) in row for row in rows)
    assert not any(relative_error(SCALE) in row for row in rows)


def test_unknown_steps_change_nothing() -> None:
    """A later supervisor may know more of them."""
    host = _busy_host()
    _work(host)
    before = host.tick()
    host.probe.on_steps(frozenset({"dance"}))
    _work(host)
    after = host.tick()
    assert len(after.rows) == len(before.rows)
