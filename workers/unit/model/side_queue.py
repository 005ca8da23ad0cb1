"""Work that may wait for ever, done in a thread beside the loop: asked at one tick, collected at a later one.

Nothing here waits. A thread that does not get on for some ticks is left behind with what it was doing, and another one does the
rest; `agent.side_reader` is for callers that need the answer at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Generic, TypeVar

from agent.side_reader import Unanswered

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

# Counted in ticks and not in time: a process that was stopped or starved had no tick either.
PATIENCE_TICKS = 5
# Each costs a thread.
STUCK_MAX = 4


class SideQueue(Generic[Ask, Answer]):
    """`do` is called in the thread, for one ask after the other. It answers every error of the world; what it raises is a bug."""

    def __init__(self, do: Callable[[Ask], Answer], *, patience_ticks: int = PATIENCE_TICKS, stuck_max: int = STUCK_MAX) -> None:
        self._do = do
        self._patience_ticks = patience_ticks
        self._stuck_max = stuck_max
        # In the order in which they were asked, those that have no answer yet.
        self._waiting: dict[Hashable, Ask] = {}
        self._refused: list[Hashable] = []
        self._helper: _SideHelper[Ask, Answer] | None = None
        self._stuck: dict[Hashable, _SideHelper[Ask, Answer]] = {}
        self._idle_ticks = 0

    @property
    def waiting(self) -> int:
        """How many asks have no answer yet."""
        return len(self._waiting)

    @property
    def stuck(self) -> int:
        """How many threads were left behind and have not come back."""
        self._stuck = {key: helper for key, helper in self._stuck.items() if helper.is_alive}
        return len(self._stuck)

    def put(self, key: Hashable, ask: Ask) -> None:
        """Ask; the answer is collected later. A key that has no answer yet is not asked twice."""
        if key in self._waiting:
            return
        if self.stuck >= self._stuck_max or key in self._stuck:
            self._refused.append(key)
            return
        self._waiting[key] = ask
        if self._helper is None:
            self._helper = _SideHelper(self._do)
        self._helper.asks.put((key, ask))

    def collect(self) -> list[tuple[Hashable, Answer | Unanswered]]:
        """The answers that have come since the last tick, once each. Call it once a tick."""
        answers: list[tuple[Hashable, Answer | Unanswered]] = [(key, Unanswered.NOT_ASKED) for key in self._refused]
        self._refused = []
        helper = self._helper
        if helper is None:
            return answers
        came = [helper.answers.popleft() for _ in range(len(helper.answers))]
        for key, answer in came:
            if isinstance(answer, Exception):
                raise answer
            self._waiting.pop(key, None)
            answers.append((key, answer))
        self._idle_ticks = self._idle_ticks + 1 if self._waiting and not came else 0
        if self._idle_ticks > self._patience_ticks:
            answers.append((self._leave_behind(helper), Unanswered.STUCK))
        return answers

    def close(self) -> None:
        """End the thread; one that is stuck ends with what it waits for, or with the process."""
        if self._helper is not None:
            self._helper.asks.put(None)
            self._helper = None

    def _leave_behind(self, helper: "_SideHelper[Ask, Answer]") -> Hashable:
        """Its late answers are read by nobody, so what it may do of the rest too is done twice and harmless."""
        self._idle_ticks = 0
        helper.is_left_behind = True
        helper.asks.put(None)
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._stuck[key], self._helper = helper, None
        rest, self._waiting = self._waiting, {}
        for other, ask in rest.items():
            self.put(other, ask)
        return key


class _SideHelper(Generic[Ask, Answer]):
    """One thread; it ends when it is asked None, and when it comes back after it was left behind."""

    def __init__(self, do: Callable[[Ask], Answer]) -> None:
        self._do = do
        self.asks: SimpleQueue[tuple[Hashable, Ask] | None] = SimpleQueue()
        self.answers: deque[tuple[Hashable, Answer | Exception]] = deque()
        self.is_left_behind = False
        # A daemon: the interpreter does not wait for it when the process ends.
        self._thread = threading.Thread(target=self._serve, name="side-queue", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _serve(self) -> None:
        while not self.is_left_behind and (asked := self.asks.get()) is not None:
            key, ask = asked
            try:
                self.answers.append((key, self._do(ask)))
            except Exception as bug:  # noqa: BLE001  it is the caller's, who raises it in its own thread
                self.answers.append((key, bug))
                return
