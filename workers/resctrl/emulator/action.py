"""Carries out the actions of a scenario and of the control socket."""

import os
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_UN, flock
from threading import Event as Signal
from threading import Thread

from agent.model.errors import ConfigError
from agent.model.timebase import parse_duration_ns
from workers.resctrl.emulator.cpu_traffic import CpuTraffic
from workers.resctrl.emulator.emulation import Emulation
from workers.resctrl.emulator.faults import ScriptedFaults, fits
from workers.resctrl.emulator.ports import Caller
from workers.resctrl.emulator.scenario import (
    Action,
    Clear,
    Fault,
    Lock,
    Occupy,
    Offline,
    Online,
    Reset,
    Resident,
    Traffic,
    Vanish,
    Wrap,
)

# Other programs of the scenario act as root, and are no thread that could be moved.
SOMEBODY_ELSE = Caller(thread_id=0, uid=0, gid=0)
_NS_PER_SECOND = 1_000_000_000
# A holder that has the lock ends at once; one that waits for the lock may wait for ever.
LET_GO_SECONDS = 0.2


class ActionRunner:
    """Runs actions. `forget` tells the mount about paths that were removed by an action and not by a request."""

    def __init__(
        self, emulation: Emulation, faults: ScriptedFaults, cpu_traffic: CpuTraffic, mount_point: str, forget: Callable[[str], None]
    ) -> None:
        self._emulation = emulation
        self._faults = faults
        self._cpu_traffic = cpu_traffic
        self._mount_point = mount_point
        self._forget = forget
        self._holders: list[LockHolder] = []

    def play(self, action: Action, now_ns: int) -> dict[str, object]:
        """Carries out an action and returns what was done. *Raises:* ConfigError for what this profile does not have; OSError."""
        if isinstance(action, Fault):
            self._faults.add(action, now_ns)
        elif isinstance(action, Clear):
            self._faults.clear()
        elif isinstance(action, Traffic):
            self._declare(action, now_ns)
        elif isinstance(action, Offline | Online):
            self._switch_domain(action.domain, isinstance(action, Online), now_ns)
        elif isinstance(action, Wrap):
            self._emulation.wrap_counters(action.bits, action.unit_bytes)
        elif isinstance(action, Lock):
            self._hold_lock(parse_duration_ns(action.lasts) / _NS_PER_SECOND)
        elif isinstance(action, Occupy):
            return {"made": self._occupy(action, now_ns)}
        else:
            return {"groups": self._change_groups(action, now_ns)}
        return {}

    def let_go(self) -> None:
        """Releases every lock, so that the mount can be unmounted."""
        for holder in self._holders:
            holder.let_go()

    def _declare(self, action: Traffic, now_ns: int) -> None:
        rates = action.rates(self._emulation.profile.domains)
        self._emulation.declare(action.path, rates, now_ns, local_fraction=action.local_fraction)
        self._cpu_traffic.leave_out(action.path)

    def _switch_domain(self, domain: int, online: bool, now_ns: int) -> None:
        self._check_domain(domain)
        self._emulation.set_domain_online(domain, online, now_ns)

    def _check_domain(self, domain: int) -> None:
        domains = self._emulation.profile.domains
        if domain not in domains:
            raise ConfigError("domain", f"the profile has no domain {domain}", f"it has {', '.join(map(str, domains))}")

    def _occupy(self, action: Occupy, now_ns: int) -> int:
        made = 0
        above = f"{action.directory}/" if action.directory else ""
        taken = {name for name, _ in self._emulation.list(action.directory)}
        number = 0
        while action.count is None or made < action.count:
            number += 1
            if f"{action.name}{number}" in taken:
                continue
            try:
                self._emulation.mkdir(f"{above}{action.name}{number}", 0o755, SOMEBODY_ELSE, now_ns)
            except OSError:
                if action.count is not None:
                    raise
                break
            made += 1
        return made

    def _change_groups(self, action: Vanish | Reset | Resident, now_ns: int) -> list[str]:
        if isinstance(action, Resident):
            self._check_domain(action.domain)
        found = [path for path in self._paths(now_ns) if fits(action.path, path)]
        gone: list[str] = []
        for path in found:
            if isinstance(action, Reset):
                self._emulation.reset_counters(path, now_ns, unread=action.unread)
            elif isinstance(action, Resident):
                self._emulation.set_resident(path, action.domain, action.bytes, now_ns)
            elif path and not any(path.startswith(f"{each}/") for each in gone):
                self._emulation.rmdir(path, SOMEBODY_ELSE, now_ns)
                self._forget(path)
                gone.append(path)
        return found

    def _paths(self, now_ns: int) -> list[str]:
        groups = self._emulation.truth(now_ns)["groups"]
        assert isinstance(groups, list)
        return [group["path"] for group in groups]

    def _hold_lock(self, seconds: float) -> None:
        self._holders = [holder for holder in self._holders if holder.is_alive()]
        self._holders.append(LockHolder(self._mount_point, seconds))


class LockHolder:
    """Another program that holds the lock. It is a thread, because opening a directory of the mount waits until the serving
    thread has answered."""

    def __init__(self, mount_point: str, seconds: float) -> None:
        self._mount_point = mount_point
        self._seconds = seconds
        self._enough = Signal()
        self._thread = Thread(target=self._hold, daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it still has the lock, or waits for it."""
        return self._thread.is_alive()

    def let_go(self) -> None:
        """Ends early. A thread that still waits for the lock ends when it gets the lock, or with the process."""
        self._enough.set()
        self._thread.join(LET_GO_SECONDS)

    def _hold(self) -> None:
        descriptor = os.open(self._mount_point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flock(descriptor, LOCK_EX)
            self._enough.wait(self._seconds)
            flock(descriptor, LOCK_UN)
        finally:
            os.close(descriptor)
