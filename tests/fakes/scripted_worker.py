"""The entry of workers that do as they are told: the agent's own worker loop around a scripted work.

control-plane   tells that the host was seen, so that the agent becomes ready; else idle
idle            beats, holds its rules, answers
dies            ends with SIGKILL right after it is up
exits-N         ends with exit code N right after it is up
breeds          has a child of its own in a session of its own, deaf to what can be ignored
"""

import os
import signal
from collections.abc import Sequence
from typing import Any

from agent.model.rule_state import RuleState
from workers.runtime import worker_main

VARIABLE = "WORKFORCE"
SCRIPTS = ("idle", "dies", "breeds")


class ScriptedWork:
    """`agent.ports.Work` that does one thing when it starts and nothing after."""

    def __init__(self, script: str, bus: Any) -> None:
        self._script = script
        self._bus = bus
        self._done = False
        self._due: int | None = None

    def on_start(self, now_ns: int) -> None:
        """Do the one thing at the first turn after it is up."""
        if self._script != "idle":
            self._due = now_ns

    def on_rules(self, rules: RuleState) -> None:
        """They are held by the loop; nothing is done with them."""

    def next_deadline_ns(self) -> int | None:
        """At once, for a script with something to do."""
        return self._due

    def on_timer(self, now_ns: int) -> None:
        """The one thing."""
        self._due = None
        kind, _, argument = self._script.partition("-")
        match kind:
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                os._exit(int(argument))
            case "breeds":
                _breed()
            case "host":
                self._bus.publish([], complete=True)

    def descriptors(self) -> Sequence[int]:
        """None."""
        return ()

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Never called."""

    def on_ask(self, what: str, now_ns: int) -> dict[str, Any] | None:
        """Nothing to tell."""
        return {}

    def take_replies(self) -> Sequence[tuple[str, dict[str, Any]]]:
        """None."""
        return ()

    def on_answer(self, request: int, body: dict[str, Any]) -> None:
        """Never called."""

    def on_stop(self, now_ns: int, *, for_good: bool) -> None:
        """Nothing to end."""
        self._done = True

    def is_done(self) -> bool:
        """At once after the stop."""
        return self._done


def _breed() -> None:
    """A grandchild of the fork server that nobody knows: out of the process group, deaf to what can be ignored."""
    if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        os.execv("/bin/sleep", ["sleep", "1000"])


def be_worker(launch: bytes, page: int, words: int, parent: int) -> None:
    """The entry of these workers: the agent's own, with the scripts among the kinds."""
    worker_main.MAKERS.update({script: _maker(script) for script in _scripts()})
    worker_main.run_worker(launch, page, words, parent)


def _scripts() -> list[str]:
    return sorted({*SCRIPTS, "control-plane", *kinds().values()} - {"writer", "sampler", "gateway"})


def _maker(script: str) -> worker_main.Maker:
    # The machine takes pods from the kind `control-plane` alone, and is ready only when that has seen the host.
    what = "host" if script == "control-plane" else script
    return lambda _launch, _context, _clock, bus: (ScriptedWork(what, bus), None, None)


def kinds() -> dict[str, str]:
    """Worker name to kind, from the environment."""
    found = {}
    for part in os.environ[VARIABLE].split(","):
        name, _, kind = part.partition("=")
        name, _, count = name.partition("*")
        found |= {f"{name}{number}" if count else name: kind for number in range(int(count or 1))}
    return found
