"""The memory controller of a host in memory, which counts as the kernel does."""

from workers.unit.oom_reading import MemoryEvents, OomReading


class _Group:
    def __init__(self) -> None:
        self.own = [0, 0, 0]
        self.whole = [0, 0, 0]
        self.limit_bytes: int | None = None
        self.is_controlled = True


class CountingCgroups:
    """`workers.unit.oom_ledger.CgroupMemory`. `counts_whole` as cgroup v2 since Linux 5.2, `counts_groups` as since Linux 5.17."""

    def __init__(self, *paths: str, counts_whole: bool = True, counts_groups: bool = True) -> None:
        self.groups: dict[str, _Group] = {}
        self.counts_whole = counts_whole
        self.counts_groups = counts_groups
        self.reads: list[str] = []
        for path in paths:
            self.make(path)

    def make(self, path: str, limit_bytes: int | None = None) -> None:
        """A cgroup and all above it."""
        for each in self._chain(path)[::-1]:
            self.groups.setdefault(each, _Group())
        self.groups[path].limit_bytes = limit_bytes

    def remove(self, path: str) -> None:
        """A cgroup and all below it."""
        for each in [each for each in self.groups if each == path or each.startswith(path + "/")]:
            del self.groups[each]

    def hit(self, path: str, times: int = 1) -> None:
        """The limit of a cgroup cannot be kept."""
        self._count(path, 0, times)

    def kill(self, path: str, times: int = 1) -> None:
        """Processes of a cgroup are killed."""
        self._count(path, 1, times)

    def kill_group(self, path: str) -> None:
        """It is counted that a whole group is killed."""
        self._count(path, 2, 1)

    def _count(self, path: str, what: int, times: int) -> None:
        self.groups[path].own[what] += times
        for each in self._chain(path):
            self.groups[each].whole[what] += times

    @staticmethod
    def _chain(path: str) -> list[str]:
        parts = path.strip("/").split("/")
        return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts))][::-1]

    def read(self, path: str) -> OomReading | None:
        """What the kernel shows now."""
        self.reads.append(path)
        group = self.groups.get(path)
        if group is None or not group.is_controlled:
            return None
        own, whole = (
            MemoryEvents(ooms, kills, groups if self.counts_groups else None) for ooms, kills, groups in (group.own, group.whole)
        )
        return OomReading(own, whole if self.counts_whole else None)

    def children(self, path: str) -> list[str]:
        """Those right below."""
        return [each for each in self.groups if each.rpartition("/")[0] == path]

    def limit_bytes(self, path: str) -> int | None:
        """As it was made."""
        return self.groups[path].limit_bytes if path in self.groups else None
