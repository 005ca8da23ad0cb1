"""Pods with groups in a folder, and the resctrl sampler's work that measures them, told by assignments."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes.bus import RecordingBus
from fakes.clock import FakeClock
from fakes.outbox import RecordingOutbox
from fakes.resctrl_folder import ResctrlFolder

from agent.config import Config
from agent.model.heartbeat import Heartbeat
from agent.model.rule import Assignment, Monitoring, Unit, UnitKind, canonical, pod_key
from agent.model.rule_state import RuleState
from agent.model.table import Row, Table, Value
from agent.model.timebase import S
from agent.ports import Clock, Outbox
from workers.framework.sampler_work import SamplerWork
from workers.resctrl.ports import FileReader
from workers.resctrl.row import OCCUPANCY, OCCUPANCY_DOMAIN
from workers.samplers.resctrl import SAMPLER, ResctrlProbe

LLC_BYTES = {0: 32 << 20, 1: 32 << 20}


class OccupancyStory:
    """A sampler that is started; `tick` measures once. `folder` is the resctrl tree, unless another file system is measured."""

    def __init__(
        self,
        tmp_path: Path,
        *,
        filesystem: FileReader | None = None,
        clock: Clock | None = None,
        outbox: Outbox | None = None,
        **settings: int | str | bool,
    ) -> None:
        self.folder = ResctrlFolder(tmp_path / "plain")
        self.fake_clock = clock if isinstance(clock, FakeClock) else FakeClock()
        self.clock = clock or self.fake_clock
        self.recorded = RecordingOutbox()
        self.bus = RecordingBus()
        self.rules = RuleState()
        self.beats = 0
        self.heartbeat = Heartbeat()
        self.heartbeat.beat = self._beat
        self.config = Config({f"sampler.resctrl.{key}": value for key, value in settings.items()})
        self.probe = ResctrlProbe(
            filesystem or self.folder, self.config, self.clock, self.bus, self.heartbeat, lambda filesystem: LLC_BYTES
        )
        self.work = SamplerWork(SAMPLER, self.probe, self.clock, outbox or self.recorded, self.bus, self.config)

    def start(self) -> None:
        """With the rules that are there by now, as the runtime does."""
        self.work.on_rules(self.rules)
        self.work.on_start(self.clock.now_ns())

    def assign(
        self, uid: str, *paths: str, namespace: str | None = None, name: str | None = None, containers: tuple[int, int] = (1, 1)
    ) -> None:
        """The control plane says in which groups a pod is (absolute paths; without any it has none) and what it is called."""
        unit = Unit(uid, UnitKind.POD, f"/kubepods/pod{uid}", containers[0], namespace, name)
        monitoring = Monitoring(paths, "" if paths else "capacity", "", *containers)
        self.rules.put(pod_key(uid), canonical(Assignment(unit, uid, None, 0, 0, monitoring)))
        self.work.on_rules(self.rules)

    def make_pod(self, uid: str, **values: int) -> str:
        """A pod with a group of its own; gives the group's path below the root."""
        path = f"mon_groups/pod_{uid}"
        self.assign(uid, self.folder.make_group(path, (0, 1), **values))
        return path

    def remove_pod(self, uid: str) -> None:
        """The pod is gone, for the control plane and for everybody."""
        self.rules.put(pod_key(uid), None)
        self.work.on_rules(self.rules)

    def tick(self, after_ns: int = S) -> list[dict[str, Value]]:
        """Time passes, then it measures; gives the pods' rows of this tick."""
        self.fake_clock.advance(after_ns)
        already = len(self.recorded.offers)
        self.work.on_timer(self.clock.now_ns())
        self._last = self.recorded.offers[already:]
        return self._records(OCCUPANCY)

    @property
    def domain_rows(self) -> list[dict[str, Value]]:
        """The rows per domain of the last tick."""
        return self._records(OCCUPANCY_DOMAIN)

    def close(self) -> None:
        """The sampler ends, and has given every descriptor back."""
        self.work.on_stop(self.clock.now_ns(), for_good=True)
        assert self.folder.descriptors == {}

    def _records(self, table: Table) -> list[dict[str, Value]]:
        rows: list[Row] = [row for offer in self._last if offer.table is table for row in offer.rows]
        return [dict(zip(table.column_names, row, strict=True)) for row in rows]

    def _beat(self) -> None:
        self.beats += 1


NewStory = Callable[..., OccupancyStory]


@contextmanager
def occupancy_stories(tmp_path: Path) -> Iterator[NewStory]:
    """Makes stories with the settings that a test names, not yet started; at the end each has given back what it held."""
    made: list[OccupancyStory] = []

    def make(**settings: Any) -> OccupancyStory:
        made.append(OccupancyStory(tmp_path, **settings))
        return made[-1]

    yield make
    for story in made:
        story.close()
