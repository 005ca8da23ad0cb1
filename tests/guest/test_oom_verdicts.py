"""Whose limit it was, of real kills by a real kernel: told right, told once, and told before the end of the unit."""

import os
import time
from pathlib import Path
from typing import Any

from fakes import oom_injector
from fakes.bus import RecordingBus
from harness.lab.oom_run import ROOT, inject, parent_cgroup
from harness.waiting import wait_until

from agent.model.heartbeat import Heartbeat
from agent.model.rule import Assignment, Unit, UnitKind, canonical, pod_key
from agent.model.rule_state import RuleState
from workers.runtime.kernel_tree import OpenKernelTree
from workers.samplers.unit import UnitProbe
from workers.unit.events import UnitEvents
from workers.unit.oom_watch import open_watch
from workers.unit.schema import UNIT_EVENT
from workers.unit.tracked_unit import DirectoryState

# scripts/bench/oom makes a thousand.
KILLS, HOST_KILLS = 30, 1
POD = "11111111-2222-3333-4444-555555555555"


def test_every_injected_kill_has_the_right_verdict() -> None:
    """Its own limit, one above, one inside, a whole group, two levels at once, the host; half of them removed at once."""
    report = inject(KILLS, 7, HOST_KILLS)
    assert not report.wrong, [(dict(done), "said", dict(said)) for done, said in report.wrong]
    assert report.right == report.kills >= KILLS + HOST_KILLS
    assert report.notices > 0


def test_a_kill_is_told_before_the_end_of_its_unit() -> None:
    """Both are seen at one tick: the container's cgroup was removed as soon as its process was reaped."""
    with parent_cgroup() as folder:
        pod = Path(folder, f"kubepods-pod{POD.replace('-', '_')}.slice")
        container = pod / f"cri-containerd-{'c' * 64}.scope"
        pod.mkdir()
        (pod / "cgroup.subtree_control").write_text("+memory")
        container.mkdir()
        (container / "memory.max").write_text(str(oom_injector.LIMIT))
        path = f"/{pod.relative_to(ROOT)}"
        unit = Unit(POD, UnitKind.POD, path)
        rules = RuleState()
        rules.put(pod_key(POD), canonical(Assignment(unit, POD, None, 0)))
        tree = OpenKernelTree(ROOT)
        probe = UnitProbe(tree, _look_at, Heartbeat(), (UnitEvents(lambda: open_watch(tree, ROOT, RecordingBus(), b"")),))
        probe.on_rules(rules)
        _sample(probe)
        assert oom_injector.reap(oom_injector.eat(container, oom_injector.EATEN)) == 1
        wait_until(lambda: "populated 0" in (container / "cgroup.events").read_text(), "the container is empty")
        container.rmdir()
        events = _sample(probe) + _sample(probe)
        probe.close()
    told = [(event["event"], event["container"], event["verdict"], event["kills"], event["limit_bytes"]) for event in events]
    assert told == [
        ("oom", "c" * 64, "own_limit", 1, oom_injector.LIMIT),
        ("ended", "c" * 64, None, None, None),
    ]
    assert events[0]["timestamp"] <= events[1]["timestamp"]


def _look_at(path: str) -> DirectoryState:
    found = os.stat(f"{ROOT}/{path}")
    return DirectoryState(found.st_ino, found.st_nlink, found.st_mtime_ns)


def _sample(probe: UnitProbe) -> list[dict[str, Any]]:
    names = UNIT_EVENT.column_names
    sample = probe.sample(time.monotonic_ns(), time.time_ns())
    return [dict(zip(names, row, strict=True)) for table, rows in sample if table is UNIT_EVENT for row in rows]
