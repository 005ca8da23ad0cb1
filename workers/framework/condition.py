"""Lasting conditions of a worker: each is announced when it begins, when its sentence changes and when it ends. PURE."""

from agent.model.message import Condition
from agent.ports import Bus


class Conditions:
    """What holds now, by kind. `last_error` is the sentence of the one that began last, also after it has ended."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._held: dict[str, tuple[str, bool]] = {}
        self.last_error = ""

    def __contains__(self, kind: str) -> bool:
        return kind in self._held

    def detail(self, kind: str) -> str:
        """The sentence of a condition; empty when it does not hold."""
        return self._held.get(kind, ("", False))[0]

    def begin(self, kind: str, detail: str, *, blocks_ready: bool = False) -> None:
        """It holds, with this sentence; nothing is announced while both stay the same."""
        assert detail, f"condition {kind} needs a sentence"
        self.last_error = detail
        if self._held.get(kind) != (detail, blocks_ready):
            self._held[kind] = (detail, blocks_ready)
            self._bus.condition(Condition(kind, active=True, detail=detail, blocks_ready=blocks_ready))

    def end(self, kind: str, detail: str = "") -> None:
        """It does not hold; `detail` may say what is the case now. Nothing is announced of one that did not hold."""
        if self._held.pop(kind, None) is not None:
            self._bus.condition(Condition(kind, active=False, detail=detail))

    def tell(self, kind: str, detail: str, *, blocks_ready: bool = False) -> None:
        """It holds with this sentence, or, where the sentence is empty, it does not hold."""
        if detail:
            self.begin(kind, detail, blocks_ready=blocks_ready)
        else:
            self.end(kind)
