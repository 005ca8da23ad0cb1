"""Workers that a dead supervisor left behind, from the first message to them until each has answered. PURE.

They go on with their work meanwhile. Their connections come back within milliseconds by themselves; until then a message to
them is refused and tried again. One that does not answer is treated as a worker that does not become ready.

They keep the rules and pods that they hold until ours are complete, so that no pod is missing in between. Workers that publish
make them complete.
"""

from agent.model.message import TakenOver
from agent.model.timebase import MS, S
from supervisor.core.child import Child
from supervisor.core.effect import Effect, Log, Send, Survivors
from supervisor.core.supervisor_state import SupervisorState

# A worker's socket tries to connect to ours every 10 ms.
RETRY_NS = 10 * MS
# A control plane that was left behind hung is replaced after three seconds, and its next generation looks at the host at once.
RELEASE_NS = 5 * S


class Takeover:
    """The workers that have not answered yet, and how long all of them keep their rules."""

    def __init__(self, state: SupervisorState) -> None:
        self._state = state
        self._silent: dict[str, Child] = {}
        self._refused: set[str] = set()
        self._next_try_at_ns: int | None = None
        # When workers get our rules although no worker has published the host's pods; None: no worker is held.
        self._release_at_ns: int | None = None

    def begin(self, survivors: Survivors, now_ns: int) -> list[Effect]:
        """Continue the epochs and revisions of the dead supervisor, and tell the living workers that they are taken over."""
        children = self._state.children
        assert all(epoch >= 0 for epoch in survivors.epochs.values()), survivors.epochs
        for name, epoch in survivors.epochs.items():
            if name in children:
                children[name].epoch = epoch
            elif epoch:
                self._state.former_epochs[name] = epoch
        self._release_at_ns = now_ns + RELEASE_NS
        self._state.authority.continue_after(max((survivor.revision for survivor in survivors.workers), default=0))
        effects: list[Effect] = []
        for survivor in survivors.workers:
            assert survivor.child in children, survivor
            child = children[survivor.child]
            child.take_over(survivor, now_ns)
            self._silent[child.name] = child
            effects += self._tell(child)
        names = ", ".join(self._silent)
        return [Log("taking_over", "info", {"workers": names}), *effects] if names else []

    def keeps_its_rules(self, child: Child) -> bool:
        """Whether a worker that says hello works on with the rules that it holds, until `on_deadline` or the first publication."""
        if self._release_at_ns is None or self._state.looked_at_host or child.kind.may_publish:
            return False
        # It may say hello twice: to a supervisor that died before it was heard, and to this one.
        replica = self._state.authority.replicas.get(child.name)
        was_held = replica is not None and replica.epoch == child.epoch and replica.is_held
        return was_held or child.name in self._silent

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
        """Try again to reach those that were not connected; release the rules when their time is over."""
        effects: list[Effect] = []
        if self._next_try_at_ns is not None and self._next_try_at_ns <= now_ns:
            again, self._refused, self._next_try_at_ns = self._refused, set(), None
            effects += [effect for name in sorted(again) for effect in self._tell(self._silent[name])]
        if self._release_at_ns is not None and self._release_at_ns <= now_ns:
            self._release_at_ns = None
            effects += self._state.authority.release()
        return effects

    def next_deadline_ns(self) -> int | None:
        """When `on_deadline` has something to do. *Absent:* never."""
        return min((each for each in (self._next_try_at_ns, self._release_at_ns) if each is not None), default=None)

    def _tell(self, child: Child) -> list[Effect]:
        return [Send(child.name, child.epoch, TakenOver())]
