"""Workers that a dead supervisor left behind, from the first word to them until each has answered. PURE.

They go on with their work meanwhile. Their connection comes back within milliseconds, by itself; until then a word to
them is refused and tried again. One that does not answer is hung and is treated as one that does not become ready.
"""

from agent.model.message import TakenOver
from agent.model.timebase import MS
from supervisor.core.child import Child
from supervisor.core.effect import Effect, Log, Send, Survivors

# A worker's socket looks for ours again every 10 ms.
RETRY_NS = 10 * MS


class Takeover:
    """Who has not yet answered."""

    def __init__(self) -> None:
        self._silent: dict[str, Child] = {}
        self._refused: set[str] = set()
        self._next_try_at_ns: int | None = None

    def begin(self, children: dict[str, Child], survivors: Survivors, now_ns: int) -> list[Effect]:
        """Count on where the former supervisor stopped counting; speak to the workers that live."""
        for name, epoch in survivors.epochs.items():
            if name in children:
                children[name].epoch = epoch
        effects: list[Effect] = []
        for survivor in survivors.workers:
            child = children[survivor.child]
            child.take_over(survivor, now_ns)
            self._silent[child.name] = child
            effects += self._speak(child)
        names = ", ".join(self._silent)
        return [Log("taking_over", "info", {"workers": names}), *effects] if names else []

    def is_silent(self, name: str) -> bool:
        """Whether this one was left behind and has not answered."""
        return name in self._silent

    def on_refused(self, name: str, now_ns: int) -> None:
        """It is not connected yet."""
        if name in self._silent:
            self._refused.add(name)
            self._next_try_at_ns = now_ns + RETRY_NS

    def on_answered(self, name: str) -> None:
        """It has said hello, or it is gone."""
        self._silent.pop(name, None)
        self._refused.discard(name)

    def on_deadline(self, now_ns: int) -> list[Effect]:
        """Try those again that could not be reached."""
        if self._next_try_at_ns is None or self._next_try_at_ns > now_ns:
            return []
        again, self._refused, self._next_try_at_ns = self._refused, set(), None
        return [effect for name in sorted(again) for effect in self._speak(self._silent[name])]

    def next_deadline_ns(self) -> int | None:
        """When somebody is tried again."""
        return self._next_try_at_ns

    def _speak(self, child: Child) -> list[Effect]:
        return [Send(child.name, child.epoch, TakenOver())]
