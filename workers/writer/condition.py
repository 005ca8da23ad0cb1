"""The writer's lasting conditions: each kind is told when it begins, when its words change and when it ends."""

from agent.model.message import Condition
from agent.ports import Bus


class Conditions:
    """What holds now. `last_error` are the words of the one that began last, also when it has ended."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._held: dict[str, str] = {}
        self.last_error = ""

    def __contains__(self, kind: str) -> bool:
        return kind in self._held

    def begin(self, kind: str, detail: str, *, blocks_ready: bool = False) -> None:
        """It holds, with these words."""
        self.last_error = detail
        if self._held.get(kind) != detail:
            self._held[kind] = detail
            self._bus.condition(Condition(kind=kind, active=True, detail=detail, blocks_ready=blocks_ready))

    def end(self, kind: str) -> None:
        """It does not hold, or no longer."""
        if self._held.pop(kind, None) is not None:
            self._bus.condition(Condition(kind=kind, active=False, detail=""))
