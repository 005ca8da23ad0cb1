"""The gateway without a socket; `tests/integration/test_gateway_http.py` has the rest."""

from fakes.bus import RecordingBus
from fakes.clock import FakeClock

from agent.config import Config
from workers.gateway.work import GatewayWork


def test_an_empty_address_serves_nothing_and_says_so() -> None:
    """No descriptor, no timer, no condition: it was asked for."""
    bus = RecordingBus()
    work = GatewayWork(FakeClock(), bus, Config({"gateway.address": ""}), {}, "/nonexistent")
    work.on_start(0)
    assert work.on_ask("stats", 0) == {"address": None, "requests": 0, "refused": 0, "problem": None}
    assert (list(work.interests()), work.next_deadline_ns(), bus.conditions) == ([], None, [])
    work.on_stop(0, for_good=True)
    assert work.is_done()


def test_an_answer_nobody_waits_for_is_nobody_s() -> None:
    """Answers to questions that were given up come late and change nothing."""
    work = GatewayWork(FakeClock(), RecordingBus(), Config({"gateway.address": ""}), {}, "/nonexistent")
    work.on_answer(7, {"not": "a status"})
    assert list(work.take_replies()) == []


def test_measured_metrics_are_left_out_and_come_back() -> None:
    """Only where they are shown at all; the agent's own stay."""
    for setting, left_out in (("measured", "agent"), ("agent", "agent"), ("off", "off")):
        work = GatewayWork(
            FakeClock(), RecordingBus(), Config({"gateway.address": "", "gateway.metrics": setting}), {}, "/nonexistent"
        )
        work.on_level(["measured_metrics_off"], is_off=False)
        assert work._metrics == left_out
        work.on_level([], is_off=False)
        assert work._metrics == setting
