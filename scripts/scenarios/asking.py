"""Asks a router again and again while things go wrong, one question after the other, about all windows that have ended."""

import json
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Self

from harness.sinks.program import ask

from scenarios.router_evidence import WINDOW_NS, RouterAnswer, answer_of

# Each is answered from sketches and from raw rows.
QUESTIONS = (
    "percentile?metric=cpu&p=50,90,99,99.9",
    "percentile?metric=rss&p=50,90,99,99.9",
    "sum?metric=cpu",
    "max?metric=rss",
)
ANSWERED = 200
# After the window's end: a sketch has its way to go through topics and store.
LAST_SECONDS = 90.0


class Asker:
    """Use it as a context. `answers` fills; `refused` counts what was no answer, such as while nothing is stored yet."""

    def __init__(self, port: int, every_seconds: float) -> None:
        self._port, self._every_seconds = port, every_seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._since_ns = -(-time.time_ns() // WINDOW_NS) * WINDOW_NS
        self._number = 0
        self.answers: list[RouterAnswer] = []
        self.refused = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def wait_sketched(self, until_ns: int, say: Callable[[str], None]) -> None:
        """Until the last window that ended by then is read from its sketches, or that takes too long."""
        start_ns = until_ns // WINDOW_NS * WINDOW_NS - WINDOW_NS
        until = time.monotonic() + LAST_SECONDS
        while time.monotonic() < until:
            if self.answers and self.answers[-1].ways.get(start_ns) == "sketch":
                return
            time.sleep(1)
        say(f"the router does not read the last minute from sketches, after {LAST_SECONDS:g} s")

    def _run(self) -> None:
        while not self._is_over.wait(self._every_seconds):
            until_ns = time.time_ns() // WINDOW_NS * WINDOW_NS
            if until_ns > self._since_ns:
                self._ask(QUESTIONS[self._number % len(QUESTIONS)], until_ns)
                self._number += 1

    def _ask(self, question: str, until_ns: int) -> None:
        since, until = (_moment(at) for at in (self._since_ns, until_ns))
        asked_ns, begun = time.time_ns(), time.monotonic()
        try:
            status, body = ask(self._port, "GET", f"/v1/ask/{question}&since={since}&until={until}&explain=1")
        except (OSError, HTTPException):
            self.refused += 1
            return
        if status != ANSWERED:
            self.refused += 1
            return
        self.answers.append(answer_of(json.loads(body), asked_ns, time.monotonic() - begun, self._since_ns, until_ns))


def _moment(at_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ns // 1_000_000_000))
