"""Which HTTP requests wait for which answer of the supervisor. PURE.

At most one question is under way, however many clients ask. A request that comes in the meantime waits for the next one,
so that no answer is older than its request, and a flood of clients costs the supervisor one question at a time.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from agent.model.timebase import S

# A supervisor's loop turns in milliseconds; a probe waits one to ten seconds.
ANSWER_TIMEOUT_NS = 1 * S

T = TypeVar("T")


class RequestCoalescer(Generic[T]):
    """Waiting requests of any kind `T`. *Range:* bounded by the connections that are open."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._question: int | None = None
        self._asked_at_ns = 0
        self._waiting: list[tuple[int, T]] = []
        self._next: list[tuple[int, T]] = []

    def add(self, request: T, now_ns: int) -> None:
        """The request waits for an answer to a question that is asked from now on."""
        self._next.append((now_ns + ANSWER_TIMEOUT_NS, request))
        if self._question is None:
            self._ask_for_next(now_ns)

    def on_answer(self, question: int, now_ns: int) -> list[T]:
        """The requests that this answer is for; none when the question has been given up."""
        if question != self._question:
            return []
        answered = [request for _, request in self._waiting]
        self._ask_for_next(now_ns)
        return answered

    def on_timer(self, now_ns: int) -> list[T]:
        """The requests that have waited long enough. A question without an answer is given up and asked again."""
        expired = [request for deadline_ns, request in (*self._waiting, *self._next) if deadline_ns <= now_ns]
        self._waiting = [item for item in self._waiting if item[0] > now_ns]
        self._next = [item for item in self._next if item[0] > now_ns]
        if self._question is not None and self._asked_at_ns + ANSWER_TIMEOUT_NS <= now_ns:
            self._ask_for_next(now_ns)
        return expired

    def next_deadline_ns(self) -> int | None:
        """When `on_timer` has something to do; None: nothing is under way."""
        return None if self._question is None else self._first_deadline_ns()

    def _first_deadline_ns(self) -> int:
        return min([self._asked_at_ns + ANSWER_TIMEOUT_NS, *(item[0] for item in (*self._waiting, *self._next))])

    def _ask_for_next(self, now_ns: int) -> None:
        assert not self._waiting or self._question is not None, "only a question under way is waited for"
        self._waiting, self._next = self._next, []
        self._asked_at_ns = now_ns
        self._question = self._ask() if self._waiting else None
