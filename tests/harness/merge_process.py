"""`agentctl merge` of a test's own: it fills a folder with rows from a broker, is killed, and started again on the same folder.

with MergeProcess(folder, broker.address_text, lake, redis=server.url) as merger:
    ...
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.sinks.program import SinkProgram

_PROGRAM = "from agent.cli.main import main; raise SystemExit(main())"


class MergeProcess(SinkProgram):
    """Use it as a context. `lake`: the store, such as file:///…; `redis`: where it publishes marks; `interval`: of commits."""

    component = "merger"

    def __init__(self, folder: Path, brokers: str, lake: str, *, redis: str = "", interval: str = "2s", prefix: str = "") -> None:
        super().__init__(folder)
        self._starts = 0
        self._words = ["--brokers", brokers, "--lake", lake, "--interval", interval, "--member", "merger"]
        self._words += ["--redis", redis] if redis else []
        self._words += ["--topic-prefix", prefix, "--group", f"evergauge-merger-{prefix.strip('.')}"] if prefix else []

    def find_programs(self) -> Path:
        """It is this checkout's."""
        return Path(sys.executable).parent

    @property
    def version(self) -> str:
        """Of the checkout."""
        from agent import __version__

        return __version__

    def start(self) -> None:
        """As any."""
        self._starts += 1
        super().start()

    def command(self) -> Sequence[str | Path]:
        """It says itself when it begins."""
        return [sys.executable, "-c", _PROGRAM, "merge", *self._words]

    def is_ready(self) -> bool:
        """Whether this start has said that it merges."""
        return self.output.count("; Ctrl-C ends it") >= self._starts
