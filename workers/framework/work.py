"""A `Work` that does nothing: a kind of worker is built on it and overrides what it needs."""

from collections.abc import Sequence
from typing import Any

from agent.model.errors import ExitCode
from agent.model.message import StoreEvents
from agent.model.rule_state import RuleState
from agent.model.worker_kind import STATS
from agent.ports import Interest, Operation


class BaseWork:
    """`agent.ports.Work` with the answer of a kind that has no need of the method."""

    def __init__(self) -> None:
        self.is_stopped = False

    def on_start(self, now_ns: int) -> None:
        """Nothing to prepare."""

    def on_rules(self, rules: RuleState) -> None:
        """It does not depend on the rules."""

    def next_deadline_ns(self) -> int | None:
        """Never."""
        return None

    def on_timer(self, now_ns: int) -> None:
        """Never called without a deadline."""

    def interests(self) -> tuple[Interest, ...]:
        """None."""
        return ()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Never called without an interest."""

    def on_writable(self, descriptor: int, now_ns: int) -> None:
        """Never called without an interest."""

    def on_data(self, now_ns: int) -> bool:
        """Never called without a data socket."""
        return False

    def on_stored(self, now_ns: int) -> None:
        """Never called without a forwarder."""

    def stats(self) -> dict[str, Any]:
        """Its statistics for `status` and /metrics: JSON values by name."""
        return {}

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        """`stats`; anything else is a problem."""
        return self.stats() if what == STATS else {"problem": f"this worker has no answer to «{what}»"}

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """None: every answer is given at once."""
        return ()

    def on_operation(self, operation: Operation, now_ns: int) -> dict[str, Any] | None:
        """It carries out none."""
        sentence = f"this worker does not carry out {operation.name}"
        return {"refused": {"code": "no_such_operation", "sentence": sentence, "exit": int(ExitCode.MISUSE)}}

    def take_answers(self) -> Sequence[tuple[int, dict[str, Any]]]:
        """None: every answer is given at once."""
        return ()

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """Never called: it asks nothing."""

    def on_level(self, steps: Sequence[str], *, is_off: bool) -> None:
        """It has nothing to leave out."""

    def on_delivery(self, delivery: StoreEvents, now_ns: int) -> None:
        """Never called: its kind stores no rows of the supervisor's."""

    def on_taken_over(self, now_ns: int) -> None:
        """What it does is the same for every supervisor."""

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """There is nothing to end."""
        self.is_stopped = True

    def is_done(self) -> bool:
        """As soon as it was stopped."""
        return self.is_stopped
