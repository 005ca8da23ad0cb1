"""A branch of the host's cgroup hierarchies for one lab alone, so that its pods are a node of their own, and so that whatever
the lab has started is found there at its end."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

USUAL_PLACE = "/sys/fs/cgroup"


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy: where, and the words that mount it again (`cgroup2` has none)."""

    mount: Path
    kind: str
    options: str

    @property
    def is_v2(self) -> bool:
        """Whether it is the unified one."""
        return self.kind == "cgroup2"


def hierarchies() -> list[Hierarchy]:
    """All that are mounted below the usual place, each once, outermost first.

    Others, a test beside this one for instance, mount them elsewhere too: the same folders once more, and gone a moment later.
    """
    found: dict[str, Hierarchy] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        kind, _source, options = after.split(" ")[:3]
        _id, _parent, device, _root, place = before.split(" ")[:5]
        if kind in ("cgroup", "cgroup2") and Path(place).is_relative_to(USUAL_PLACE):
            words = [
                word for word in options.split(",") if (word not in ("rw", "ro") and "=" not in word) or word.startswith("name=")
            ]
            found.setdefault(device, Hierarchy(Path(place), kind, ",".join(words)))
    return list(found.values())


class LabCgroup:
    """The branch `name` in every hierarchy. `root` is where an agent finds its pods."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hierarchies = hierarchies()

    def folders(self) -> list[Path]:
        """The branch in each hierarchy."""
        return [each.mount / self.name for each in self.hierarchies]

    @property
    def root(self) -> Path:
        """The one that lists threads of every container: version 1's of process numbers, else the unified hierarchy."""
        usable = [each for each in self.hierarchies if each.options == "pids"] or [each for each in self.hierarchies if each.is_v2]
        return usable[0].mount / self.name

    def make(self) -> None:
        """Make the branch, with room for processes."""
        for each in self.hierarchies:
            folder = each.mount / self.name
            folder.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):
                # Version 1 takes no process into a cpuset that is empty.
                if not each.is_v2 and (folder / name).exists():
                    (folder / name).write_text((each.mount / name).read_text())
                    (folder / "cgroup.clone_children").write_text("1")

    def pass_on_controllers(self) -> None:
        """Where version 2 is alone, offer its controllers to the pods; called once no process is in the branch's own folder."""
        if len(self.hierarchies) == 1 and self.hierarchies[0].is_v2:
            mount = self.hierarchies[0].mount
            for folder in (mount, mount / self.name):
                _pass_on(folder)

    def processes(self) -> set[int]:
        """The number of every process in the branch."""
        found: set[int] = set()
        for folder in self.folders():
            for path in [folder, *folder.rglob("*")]:
                if path.name != "cgroup.procs" and path.is_dir():
                    with suppress(OSError):
                        found |= set(map(int, (path / "cgroup.procs").read_text().split()))
        return found

    def remove(self, *, seconds: float = 10.0) -> list[Path]:
        """Remove the branch, whose processes have ended; what is left after so long."""
        end = time.monotonic() + seconds
        while left := [folder for folder in self.folders() if folder.exists()]:
            for folder in left:
                for path in sorted((path for path in [folder, *folder.rglob("*")] if path.is_dir()), reverse=True):
                    with suppress(OSError):
                        os.rmdir(path)
            if time.monotonic() > end:
                return left
            time.sleep(0.02)
        return []


def _pass_on(folder: Path) -> None:
    """Offer what controllers there are to children; refused where processes are beside them, which matters to limits only."""
    for name in (folder / "cgroup.controllers").read_text().split():
        with suppress(OSError):
            (folder / "cgroup.subtree_control").write_text(f"+{name}")
