"""Requests for a rotation that wait until all segments of that moment are sealed. PURE."""

from collections.abc import Collection
from typing import Any

from msgspec import Struct, to_builtins

from workers.writer.report import SealReport

WAITS_MAX = 64


class _Wait(Struct):
    """An ask `rotate` that is answered when these segments are sealed."""

    names: set[str]
    files: list[dict[str, Any]]
    rows: int = 0


class RotationAnswers:
    """The asks `rotate` that wait. *Range:* at most WAITS_MAX; a further one is refused with a sentence."""

    def __init__(self) -> None:
        self._waits: list[_Wait] = []
        self._replies: list[tuple[str, dict[str, Any]]] = []

    def wait_for(self, names: Collection[str]) -> dict[str, Any] | None:
        """The answer where no segment is waiting, or too many asks are; None: it comes through `take_replies`."""
        if not names:
            return {"files": [], "rows": 0}
        if len(self._waits) >= WAITS_MAX:
            return {"files": [], "rows": 0, "problem": f"{WAITS_MAX} others wait for a rotation; try again later"}
        self._waits.append(_Wait(names=set(names), files=[]))
        return None

    def on_sealed(self, name: str, report: SealReport) -> None:
        """A segment is done with; a request that waited for no other is answered."""
        for wait in self._waits:
            if name in wait.names:
                wait.names.discard(name)
                wait.files.extend(to_builtins(file) for file in report.files)
                wait.rows += report.rows
        ready = [wait for wait in self._waits if not wait.names]
        self._waits = [wait for wait in self._waits if wait.names]
        self._replies.extend(("rotate", {"files": wait.files, "rows": wait.rows}) for wait in ready)

    def take_replies(self) -> list[tuple[str, dict[str, Any]]]:
        """Answers that have become ready, once."""
        replies, self._replies = self._replies, []
        return replies
