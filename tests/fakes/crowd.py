"""Many clients of the control socket who want little, and some who want it slowly."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from harness.control_connection import ControlConnection

from agent.model.rule import GroupRule, Match
from supervisor.core.rulebook import Rulebook, encode_rulebook

REQUEST = b'{"op": "hello"}\n'


class Crowd:
    """Connections: `idle` ones that say nothing, `deaf` ones that ask for all rules and read nothing, and `slow` ones that send
    the end of a request byte by byte. Use it as a context."""

    def __init__(self, control: Path, *, idle: int, deaf: int, slow: int, seconds_each: float = 1.0, bytes_slow: int = 4) -> None:
        self._closes = ExitStack()
        self._seconds_each = seconds_each
        self._left = list(REQUEST[-bytes_slow:])
        self._bytes_slow = bytes_slow
        counts = (idle, deaf, slow)
        self.idle, self.deaf, self.slow = (
            [self._closes.enter_context(ControlConnection(control)) for _ in range(n)] for n in counts
        )
        for client in self.deaf:
            client.say(b'{"op": "list-rules"}\n')
        for client in self.slow:
            client.say(REQUEST[:-bytes_slow])
        self._begun = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_rest: object) -> None:
        self._closes.close()

    def go_on(self) -> bool:
        """Send the next byte of every slow one when it is time; whether there is one left."""
        due_at = self._begun + self._seconds_each * (self._bytes_slow - len(self._left))
        if self._left and time.monotonic() >= due_at:
            byte = bytes([self._left.pop(0)])
            for client in self.slow:
                client.say(byte)
        return bool(self._left)

    def slow_answers(self) -> list[bool]:
        """Whether each slow one, having said all, was answered what it asked."""
        return [bool(client.answer()["ok"]) for client in self.slow]


def give_many_rules(state_dir: Path, count: int) -> None:
    """So many rules, as an earlier agent left them, that one answer about them is longer than what a socket holds."""
    labels = {"app": "x" * 60, "tier": "y" * 60, "zone": "z" * 60}
    rules = tuple(GroupRule(f"rule-{number}", match=Match(labels=labels)) for number in range(count))
    state_dir.mkdir()
    (state_dir / "rules.json").write_bytes(encode_rulebook(Rulebook(1, rules)))
