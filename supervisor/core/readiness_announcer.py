"""Announces readiness: the moment when a start is over, and each change between ready and not ready. PURE."""

from agent.model.timebase import S
from supervisor.core.child import ChildState
from supervisor.core.effect import Announce, Effect, Log, Settled
from supervisor.core.supervisor_state import SupervisorState

# A start takes a third of a second; after this time a person who waits for it is told why it takes longer.
SETTLE_NS = 2 * S


class ReadinessAnnouncer:
    """What was announced last. Whether the agent is ready is `SupervisorState.is_ready`, from what the supervisor knows alone."""

    def __init__(self, state: SupervisorState) -> None:
        self._state = state
        self._was_ready = False
        # When the start counts as over although the agent is not ready; None: it is over.
        self._settle_at_ns: int | None = None

    def begin(self, now_ns: int) -> None:
        """The start begins."""
        self._settle_at_ns = now_ns + SETTLE_NS

    def next_deadline_ns(self) -> int | None:
        """When the start counts as over at the latest. *Absent:* it is over."""
        return self._settle_at_ns

    def on_deadline(self, now_ns: int) -> list[Effect]:
        """End the start when its time is over."""
        if self._settle_at_ns is None or self._settle_at_ns > now_ns:
            return []
        return self._settle(tuple(self._state.reasons_not_ready(now_ns)))

    def on_change(self, now_ns: int) -> list[Effect]:
        """Announce a change of readiness; called after every event. At the end of the agent nothing is announced."""
        is_ready = not self._state.is_stopping and self._state.is_ready
        if is_ready == self._was_ready:
            return []
        self._was_ready = is_ready
        if is_ready:
            status = f"ready, {sum(child.state is ChildState.UP for child in self._state.children.values())} workers up"
            return [Log("ready", "info", {}), Announce(status), *self._settle(())]
        if self._state.is_stopping:
            return []
        reasons = "; ".join(self._state.reasons_not_ready(now_ns))
        return [Log("not_ready", "warning", {"reasons": reasons}), Announce(f"not ready: {reasons}")]

    def _settle(self, reasons: tuple[str, ...]) -> list[Effect]:
        if self._settle_at_ns is None:
            return []
        self._settle_at_ns = None
        return [Settled(reasons)]
