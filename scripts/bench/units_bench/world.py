"""Cgroups of a run of the benchmark, processes in some of them, and the probe over all."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.model.heartbeat import Heartbeat
from agent.model.rule import Assignment, Unit, UnitKind, canonical, pod_key
from agent.model.rule_state import RuleState
from workers.runtime.kernel_tree import OpenKernelTree
from workers.samplers.unit import UnitProbe, look_at_below

ROOT = Path("/sys/fs/cgroup")
HERE = Path(__file__).parent
V1 = ("memory", "cpu", "cpuacct", "blkio", "pids", "unified")


def build(folder: Path, name: str) -> str:
    """Compile one of the programs beside this file."""
    program = folder / name
    subprocess.run(["gcc", "-O2", "-o", str(program), str(HERE / f"{name}.c")], check=True)
    return str(program)


def hierarchies() -> list[Path]:
    """Where cgroups are made: the only hierarchy, or those of version 1 that are read."""
    return [ROOT] if (ROOT / "cgroup.controllers").exists() else [ROOT / name for name in V1 if (ROOT / name).is_dir()]


@contextmanager
def cgroups(count: int) -> Iterator[str]:
    """So many cgroups below one; its path. They are removed at the end."""
    name = f"evergauge-bench-units-{os.getpid()}"
    homes = [root / name for root in hierarchies()]
    try:
        for home in homes:
            home.mkdir()
            with suppress(OSError):
                (home / "cgroup.subtree_control").write_text("+cpu +memory +io +pids")
            for number in range(count):
                (home / f"u{number}").mkdir()
        yield f"/{name}"
    finally:
        for home in homes:
            for folder in [*home.glob("u*"), home]:
                _remove(folder)


def _remove(folder: Path) -> None:
    for _ in range(500):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            # Its process is ending.
            time.sleep(0.01)
        else:
            return


@contextmanager
def busy(program: str, path: str, count: int, *, microseconds: int, period_ms: int) -> Iterator[None]:
    """A process in each of the first so many cgroups."""
    folders = [f"{root}{path}" for root in hierarchies()]
    load = subprocess.Popen(
        [program, str(count), str(microseconds), str(period_ms), *folders], stdout=subprocess.PIPE, start_new_session=True
    )
    assert load.stdout is not None
    load.stdout.readline()
    try:
        yield
    finally:
        load.kill()
        load.wait()


def probe_over(path: str, count: int) -> UnitProbe:
    """The sampler's probe, with all of them for its units."""
    state = RuleState()
    for number in range(count):
        uid = f"{path}/u{number}"
        unit = Unit(uid, UnitKind.SERVICE, uid)
        state.put(pod_key(uid), canonical(Assignment(unit, uid, None, 0)))
    probe = UnitProbe(OpenKernelTree(str(ROOT)), look_at_below(str(ROOT)), Heartbeat())
    probe.on_rules(state)
    return probe


def files_of(probe: UnitProbe, path: str, count: int) -> list[str]:
    """Every file of every unit that the sampler knows of, for those who read them all."""
    layout = probe.layout
    every = [
        f"{ROOT}/{layout.roots[file.controller]}{path}/u{number}/{file.name}"
        for number in range(count)
        for file in layout.files
        if file.controller in layout.roots
    ]
    return [each for each in every if os.path.exists(each)]
