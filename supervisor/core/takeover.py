"""Workers that a dead supervisor left behind, from the first message to them until each has answered. PURE.

They go on with their work meanwhile. Their connections come back within milliseconds by themselves; until then a message to
them is refused and tried again. One that does not answer is treated as a worker that does not become ready.
"""

from agent.model.message import TakenOver
from agent.model.timebase import MS
from supervisor.core.child import Child
from supervisor.core.effect import Effect, Log, Send, Survivors

# A worker's socket looks for ours again every 10 ms.
RETRY_NS = 10 * MS


class Takeover:
    """The workers that have not answered yet."""

    def __init__(self) -> None:
        self._silent: dict[str, Child] = {}
        self._refused: set[str] = set()
        self._next_try_at_ns: int | None = None

    def begin(self, children: dict[str, Child], survivors: Survivors, now_ns: int) -> list[Effect]:
        """Continue the epochs of the dead supervisor, and tell the living workers that they are taken over."""
        for name, epoch in survivors.epochs.items():
            if name in children:
                children[name].epoch = epoch
        effects: list[Effect] = []
        for survivor in survivors.workers:
            child = children[survivor.child]
            child.take_over(survivor, now_ns)
            self._silent[child.name] = child
            effects += self._tell(child)
        names = ", ".join(self._silent)
        return [Log("taking_over", "info", {"workers": names}), *effects] if names else []

    def is_silent(self, name: str) -> bool:
        """Whether this worker was left behind and has not answered yet."""
        return name in self._silent

    def on_refused(self, name: str, now_ns: int) -> None:
        """A message to it was refused: it is not connected yet, and is tried again."""
        if name in self._silent:
            self._refused.add(name)
            self._next_try_at_ns = now_ns + RETRY_NS

    def on_answered(self, name: str) -> None:
        """It said hello, or it is gone."""
        self._silent.pop(name, None)
        self._refused.discard(name)

    def on_deadline(self, now_ns: int) -> list[Effect]:
        """Try again to reach those that were not connected."""
        if self._next_try_at_ns is None or self._next_try_at_ns > now_ns:
            return []
        again, self._refused, self._next_try_at_ns = self._refused, set(), None
        return [effect for name in sorted(again) for effect in self._tell(self._silent[name])]

    def next_deadline_ns(self) -> int | None:
        """When the next try is due. *Absent:* none is."""
        return self._next_try_at_ns

    def _tell(self, child: Child) -> list[Effect]:
        return [Send(child.name, child.epoch, TakenOver())]
