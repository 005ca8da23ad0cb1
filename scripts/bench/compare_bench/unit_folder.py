"""A cgroup root in a folder: units with the files of Linux 6.12, each of which does something between two ticks."""

import shutil
from pathlib import Path

from agent.model.rule import Assignment, Unit, UnitKind, canonical
from agent.model.rule_state import RuleState

# Written by Linux 6.12 for a cgroup with every controller that had one small program.
SOURCE = Path(__file__).parent / "cgroup-6.12"


class UnitFolder:
    """So many services."""

    def __init__(self, folder: Path, count: int) -> None:
        self.root = folder
        (folder / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma\n")
        self.names = [f"u{number}.service" for number in range(count)]
        for name in self.names:
            shutil.copytree(SOURCE, folder / name)
        self._cpu_stat = (SOURCE / "cpu.stat").read_text().partition("\n")[2]
        self._usage_us = 0
        self.work()

    def work(self) -> None:
        """Every unit uses 10 ms of CPU."""
        self._usage_us += 10_000
        for name in self.names:
            # In place, as a kernel's file: who has it open sees it.
            with (self.root / name / "cpu.stat").open("r+") as file:
                file.write(f"usage_usec {1_000_000 + self._usage_us}\n{self._cpu_stat}")

    def rules(self) -> RuleState:
        """The assignments that name them."""
        units = [Unit(uid=name, kind=UnitKind.SERVICE, cgroup=f"/{name}", name=name) for name in self.names]
        return RuleState((f"pod/{unit.uid}", canonical(Assignment(unit, None, None, 0))) for unit in units)
