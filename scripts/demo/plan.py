"""What the demonstration consists of. PURE in spirit: nothing here touches the machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoLoad:
    """A workload: the share of one CPU that it uses in the mean, the seconds of its wave, and the MiB that it holds.

    `noisy`: for a third of each wave it uses a whole CPU and streams through its memory, and sleeps otherwise.
    """

    name: str
    share: float
    wave_seconds: float
    mib: int
    noisy: bool = False


@dataclass(frozen=True)
class DemoNode:
    """A node and what runs on it."""

    host: str
    loads: tuple[DemoLoad, ...]


NODES = (
    DemoNode("demo-1", (DemoLoad("web", 0.04, 60, 64), DemoLoad("cache", 0.02, 90, 128))),
    DemoNode("demo-2", (DemoLoad("api", 0.05, 45, 48), DemoLoad("batch", 0.06, 120, 96))),
    DemoNode("demo-3", (DemoLoad("web", 0.04, 60, 64), DemoLoad("noisy-import", 0.6, 75, 64, noisy=True))),
    DemoNode("demo-4", (DemoLoad("search", 0.05, 80, 96),)),
    DemoNode("demo-5", (DemoLoad("queue", 0.02, 30, 32), DemoLoad("report", 0.04, 150, 64))),
)
