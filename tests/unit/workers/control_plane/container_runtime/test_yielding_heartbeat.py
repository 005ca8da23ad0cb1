"""The loop lets a container start first."""

from agent.model.heartbeat import Heartbeat
from workers.control_plane.container_runtime.yielding_heartbeat import YieldingHeartbeat


def test_the_sign_of_progress_comes_before_the_pause() -> None:
    """The watchdog must not take a pause for a hang."""
    calls: list[str] = []
    own = Heartbeat()
    heartbeat = YieldingHeartbeat(own, lambda: calls.append("pause"))
    heartbeat()
    # The runtime's loop puts its beat into the heartbeat later.
    own.beat = lambda: calls.append("beat")
    heartbeat()

    assert calls == ["pause", "beat", "pause"]
