"""The word of long work that it goes on."""

from agent.model.pulse import Pulse


def test_a_pulse_beats_where_somebody_listens() -> None:
    """Until a loop has put its heartbeat there it does nothing."""
    beats: list[int] = []
    pulse = Pulse()
    pulse()
    pulse.beat = lambda: beats.append(1)
    pulse()
    assert beats == [1]
