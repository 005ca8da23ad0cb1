"""A fleet for its page and its pictures: a hub's registry and HTTP over nodes in memory, whose loop turns in a thread of its own.

The test owns the time of the fleet, and everything is made from a seed. Only the page's own port is real.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import sin
from random import Random

from fakes.clock import FakeClock
from fakes.hub_story import TERMS, WALL_NS, HubStory, StoryNode
from fakes.interests import ready_of
from msgspec.structs import replace

from agent.fleet.live import GpuRow, NodeUse, UnitLabel, UnitUse
from agent.model.timebase import S
from workers.http.edge import edge_of
from workers.http.host import host_policy
from workers.hub.effect import HubEffect
from workers.hub.fleet_http import FleetHttp, HttpPlace
from workers.hub.fleet_operations import FleetOperations, HubPlace
from workers.hub.http_place import page_files
from workers.hub.membership import FORMAT, Membership, MembershipDocument
from workers.hub.reservation import Reservations

HOUR_STEPS = 360
STEP_NS = 10 * S
MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-32B", "mistralai/Mistral-Small-24B", "BAAI/bge-m3")
CONDITION = "sampler/gpu: gpu_stuck: GPU-2 has not answered for 40 s"


class ShownFleet:
    """`count` nodes, the last of which has joined and not reported. `say(work)` does something between two turns of the loop."""

    def __init__(self, count: int = 40, *, units: int = 5, seed: int = 7) -> None:
        self.random = Random(seed)
        self.story = HubStory(count, terms=replace(TERMS, name="rack-7", admissions_per_second=1 << 20))
        self.clock = FakeClock(self.story.now_ns, WALL_NS)
        self.nodes: dict[int, StoryNode] = {}
        self.connections: dict[int, tuple[bytes, bytes]] = {}
        self.labels: dict[int, list[UnitLabel]] = {}
        self.loads = {number: self.random.random() for number in range(1, count + 1)}
        registry = self.story.registry
        membership = Membership(MembershipDocument(FORMAT, [], []), 10)
        place = HubPlace("", "", 0, 0, "hub", b"", S)
        self.operations = FleetOperations(
            registry, self.story.index, Reservations(), membership, place, Random(seed), lambda size: bytes(size)
        )
        edge = edge_of("127.0.0.1", section="hub", cookie="evergauge-hub")
        self.place = HttpPlace("127.0.0.1", 0, host_policy("127.0.0.1", "", "hub.allowed_hosts"), edge, None, page_files().answer)
        self.http = FleetHttp(self.place, registry, self.operations, self.clock, Random(seed))
        self._orders: list[Callable[[], None]] = []
        self._jobs: list[tuple[int, UnitLabel]] = []
        self._job = 0
        for number in range(1, count):
            self.begin(number, units)

    @property
    def url(self) -> str:
        """Where the page is."""
        assert self.operations.page is not None
        return self.operations.page

    # ---- the fleet ----

    def begin(self, number: int, units: int, host: str = "") -> StoryNode:
        """A node comes, with what runs on it."""
        node = StoryNode(number, host=host or f"gpu-{number:03d}")
        node.label = replace(node.label, cpus=64, memory_kib=512 << 20)
        self.nodes[number] = node
        before = len(self.story.effects)
        self.connections[number] = self.story.connect(node)
        self.carry_out(self.story.effects[before:])
        self.labels[number] = [self.label(number, key) for key in range(1, units + 1)]
        self.beat(number)
        self.update(number)
        return node

    def label(self, number: int, key: int) -> UnitLabel:
        """A worker, or a service that is none."""
        if key == 1:
            return UnitLabel(key, "/system.slice/node-exporter.service", "service", "node-exporter.service")
        model = MODELS[(number + key) % len(MODELS)]
        unit, name = f"{number:08x}-{key:04x}-4222-8333-444444444444", f"{model.rpartition('/')[2].lower()}-{key}"
        return UnitLabel(key, unit, "pod", name, "serving", model, None, (), "vllm", "engine_api", WALL_NS // 10**6, 64 << 20)

    def use(self, number: int, key: int, load: float) -> UnitUse:
        """What it does; the engine of every seventh says nothing."""
        if key == 1:
            return UnitUse(key, 20, 30 << 10, 0, 0, 0)
        if (number + key) % 7 == 0:
            return UnitUse(key, int(8000 * load), 24 << 20, int(300 * load**3))
        requests = int(12 * load)
        return UnitUse(
            key, int(8000 * load), 24 << 20, int(300 * load**3), 0, 5, 0, 2048, 20 << 10, 3 << 20, int(1000 * load), 60 << 10,
            int((1 - load) * (80 << 10)), max(0, requests - 6), min(6, requests), int(900 * load),
        )  # fmt: skip

    def gpu(self, place: int, load: float, *, is_stuck: bool) -> GpuRow:
        """One of its GPUs; the driver of one does not answer."""
        busy = None if is_stuck else int(1000 * load)
        return GpuRow(f"GPU-{place}", "NVIDIA H200", 141 << 10, int(load * (141 << 10)), busy, is_stuck)

    def job(self) -> None:
        """A workload begins on some node, or one that has begun ends."""
        if self._jobs and self.random.random() < 0.45:
            number, label = self._jobs.pop(0)
            self.labels[number].remove(label)
        else:
            number, self._job = self.random.randrange(6, len(self.nodes)), self._job + 1
            name = f"{self.random.choice(('finetune', 'eval', 'index', 'export'))}-{self._job}"
            label = UnitLabel(1000 + self._job, f"/evergauge-workloads/{name}.workload", "workload", name)
            self.labels[number].append(label)
            self._jobs.append((number, label))
        self.update(number)

    def load(self, number: int) -> float:
        """Between 0 and 1, in slow waves of its own; few are near their limits."""
        base = self.loads[number]
        wave = sin(self.clock.now_ns() / S / (200 + 500 * base) + 40 * base)
        return 0.2 + 0.6 * base**2 + 0.14 * wave + self.random.uniform(-0.05, 0.05)

    def update(self, number: int) -> None:
        """A node says what runs on it and what that does."""
        node, load = self.nodes[number], self.load(number)
        gpus = tuple(self.gpu(place, load, is_stuck=(number, place) == (3, 2)) for place in range(4))
        use = NodeUse(
            int(64_000 * load), int((1 - 0.8 * load) * (512 << 20)), int(400 * load**3), 0, int(60 * load), 4096, 9000, gpus,
            (CONDITION,) if number == 3 else (),
        )  # fmt: skip
        uses = [self.use(number, label.key, load) for label in self.labels[number]]
        self.carry_out(self.story.update(self.connections[number][1], node.update(self.labels[number], uses, use)))

    def beat(self, number: int) -> None:
        """One beat."""
        self.carry_out(self.story.beat(self.nodes[number], self.connections[number][0], wall_ns=self.clock.wall_ns()))

    def carry_out(self, effects: list[HubEffect]) -> None:
        """What the hub does with what follows."""
        for effect in effects:
            self.http.on_effect(effect, self.clock.now_ns())

    def pass_seconds(self, seconds: int, *, silent: frozenset[int] = frozenset(), updates: bool = True) -> None:
        """Time goes by; nodes beat each second, and say what they do every ten."""
        for second in range(seconds):
            self.story.now_ns = self.clock.advance(S)
            self.story.wall_ns = self.clock.wall_ns()
            for number in self.nodes:
                if number not in silent:
                    self.beat(number)
                    if updates and second % 10 == 0:
                        self.update(number)
            self.carry_out(self.story.turn())
            self.http.on_timer(self.clock.now_ns())

    # ---- the thread ----

    def turn(self, wait_seconds: float) -> None:
        """One turn of the loop, and what was ordered meanwhile."""
        readable, writable = ready_of(self.http.interests(), wait_seconds)
        for descriptor in readable:
            self.http.on_readable(descriptor, self.clock.now_ns())
        for descriptor in writable:
            self.http.on_writable(descriptor, self.clock.now_ns())
        self.http.on_timer(self.clock.now_ns())
        while self._orders:
            self._orders.pop(0)()

    def say(self, work: Callable[[], None]) -> None:
        """Do it in the loop's thread, and wait until it is done."""
        done = threading.Event()
        self._orders.append(lambda: (work(), done.set())[0])  # type: ignore[func-returns-value]  # both are done
        assert done.wait(60), "the loop does not turn"


@contextmanager
def serving_fleet(shown: ShownFleet) -> Iterator[None]:
    """Its loop turns for the length of a block."""
    shown.http.on_timer(shown.clock.now_ns())
    over = threading.Event()

    def turn() -> None:
        while not over.is_set():
            shown.turn(0.005)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        shown.http.close()
