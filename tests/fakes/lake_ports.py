"""A host for a lake's log: two clocks that a test sets, and waits that take no time."""

from random import Random

from agent.lake.log import LogPorts


class LakeHost:
    """`now_ns` is what both clocks say; waits move them."""

    def __init__(self, now_ns: int = 1_000) -> None:
        self.now_ns = now_ns
        self.waited_ns: list[int] = []

    def wait(self, duration_ns: int) -> None:
        """Note it, and let it pass."""
        self.waited_ns.append(duration_ns)
        self.now_ns += duration_ns

    @property
    def ports(self) -> LogPorts:
        """As the log takes them."""
        return LogPorts(lambda: self.now_ns, lambda: self.now_ns, Random(1), self.wait)
