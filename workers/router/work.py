"""The router's work: answer questions, and look once in a while whether new windows have their sketches."""

from typing import Any

import msgspec
from msgspec import Struct

from agent.ports import Bus, Clock, Interest
from workers.framework.condition import Conditions
from workers.framework.work import BaseWork
from workers.router.api import NewestDocument
from workers.router.asking import AskEnd, Asking, AskTerms
from workers.router.fallback import FallbackWatch
from workers.router.router_http import RouterHttp, RouterPlace

# Rows of a window are written some ticks after it, and a merger stores them some seconds later.
_LOOK = ("ask", "count", "--metric=cpu", "--since=15m", "--json")
# Beside those that are answered.
CONNECTIONS_SPARE = 16


class _NewestTold(Struct):
    """What the work reads of an answer."""

    newest: NewestDocument


class RouterWork(BaseWork):
    """The `agent.ports.Work` of worker `router`."""

    def __init__(self, place: RouterPlace, terms: AskTerms, look_ns: int, clock: Clock, bus: Bus) -> None:
        super().__init__()
        now_ns = clock.now_ns()
        self._conditions = Conditions(bus)
        self._asking = Asking(terms)
        self._watch = FallbackWatch()
        self._look_ns = look_ns
        self._look_at_ns = now_ns + look_ns
        self._is_looking = False
        long_max = terms.at_once + terms.waiting_max + CONNECTIONS_SPARE
        self._http = RouterHttp(place, self._asking, terms.timeout_ns, long_max, self._take, now_ns)

    def next_deadline_ns(self) -> int | None:
        """When a question is too late, a client is, or the next look is due."""
        if self.is_stopped:
            return None
        deadlines = (self._asking.next_deadline_ns(), self._http.next_deadline_ns(), self._look_at_ns)
        return min(each for each in deadlines if each is not None)

    def interests(self) -> tuple[Interest, ...]:
        """Clients, and questions under way."""
        return () if self.is_stopped else (*self._asking.interests(), *self._http.interests())

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """A question or a client has something."""
        if not self._asking.on_readable(descriptor, now_ns):
            self._http.on_readable(descriptor, now_ns)

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """A client takes more of its answer."""
        self._http.on_writable(descriptor, now_ns)

    def on_timer(self, now_ns: int) -> None:
        """Do what is due."""
        if self.is_stopped:
            return
        self._asking.on_timer(now_ns)
        self._http.on_timer(now_ns)
        if now_ns >= self._look_at_ns:
            self._look_at_ns = now_ns + self._look_ns
            if not self._is_looking:
                self._is_looking = self._asking.ask(_LOOK, self._on_look, now_ns)
        self._conditions.tell("router_http", self._http.problem)

    def stats(self) -> dict[str, Any]:
        """Questions, and what the server says of itself."""
        asking = self._asking
        return {
            "questions": asking.asked,
            "failed": asking.failed,
            "busy": asking.refused,
            "under_way": asking.under_way,
            "waiting": asking.waiting,
            "is_fallback": int(bool(self._watch.sentence)),
            "http": self._http.stats(),
        }

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Questions under way are not answered."""
        super().on_stop(now_ns, for_good=for_good)
        self._asking.close()
        self._http.close()

    def _on_look(self, end: AskEnd, now_ns: int) -> None:
        self._is_looking = False
        if end.code == 0:
            self._take(end.output)

    def _take(self, answer: bytes) -> None:
        """Learn from an answer how the newest windows were read; one of a question of another kind does not say it."""
        try:
            newest = msgspec.json.decode(answer, type=_NewestTold).newest
        except msgspec.ValidationError:
            return
        self._watch.take(newest.sketch, newest.reasons)
        self._conditions.tell("router_fallback", self._watch.sentence)
