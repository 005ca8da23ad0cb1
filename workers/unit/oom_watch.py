"""Looks for kills as soon as the kernel notifies of one, and at each tick; what was found waits for its row."""

import os
from collections.abc import Callable
from contextlib import suppress

from agent.ports import Bus, Interest, KernelTree
from workers.framework.condition import Conditions
from workers.framework.inotify import Inotify
from workers.unit.layout import CgroupLayout, layout_of
from workers.unit.oom_files import OomFiles
from workers.unit.oom_ledger import OomKill, OomLedger

# The uppermost cgroups of a host are a handful, and hear of everything below them.
WATCHES_MAX = 64
# A unit at its throttling limit makes a notice every 10 ms that is no kill. After so many none is heard until the next tick.
FRUITLESS_MAX = 20
# As many kills as one tick keeps; a row each.
KILLS_MAX = 1024
NO_LAYOUT = CgroupLayout("none", (), (), {}, ())


NOTICES = "oom_notices"


class OomWatch:
    """`inotify` None: there are no notices, and kills are found at each tick. `root` is the path of the cgroup root.

    `host_kills` gives the kills of the whole host so far, None where the kernel does not count them.
    """

    def __init__(
        self, files: OomFiles, root: str, inotify: Inotify | None, host_kills: Callable[[], int | None] = lambda: None
    ) -> None:
        self._host_kills = host_kills
        self._host_kills_seen: int | None = None
        self._tops: frozenset[str] = frozenset()
        self._files = files
        self._root = root
        self._inotify = inotify
        self._ledger = OomLedger(files, is_whole=files.is_whole, is_root_hidden=files.is_root_hidden)
        self._watched: set[str] = set()
        self._fruitless = 0
        self._found: list[tuple[int, OomKill]] = []
        self.notices = self.lost = self.unwatched = 0

    @property
    def watches(self) -> int:
        """How many files the kernel notifies of."""
        return len(self._watched)

    def begin(self, path: str, *, is_leaf: bool) -> None:
        """A unit is there."""
        self._ledger.add(path, is_leaf=is_leaf)

    def end(self, path: str) -> None:
        """It is gone, or no unit any more."""
        self._ledger.remove(path)

    def interests(self) -> tuple[Interest, ...]:
        """The kernel's notices."""
        return () if self._inotify is None or self._fruitless >= FRUITLESS_MAX else (Interest(self._inotify.descriptor),)

    def on_readable(self, descriptor: int, now_ns: int) -> None:
        """Something happened: look at once, since the cgroup may be removed within a millisecond."""
        if self._inotify is None or descriptor != self._inotify.descriptor:
            return
        self._inotify.drain()
        self.notices += 1
        self._fruitless = 0 if self._look(now_ns) else self._fruitless + 1

    def take(self, now_ns: int) -> list[tuple[int, OomKill]]:
        """What was killed since the last time, with when it was seen; once a tick."""
        self._look(now_ns)
        self._fruitless = 0
        self._follow_tops()
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _look(self, now_ns: int) -> bool:
        if not self._files.is_whole:
            # Every cgroup would be read, for nothing as long as nobody on the host was killed.
            killed = self._host_kills()
            if killed is not None and killed == self._host_kills_seen:
                return False
            self._host_kills_seen = killed
        kills = self._ledger.look(now_ns)
        room = KILLS_MAX - len(self._found)
        self._found += [(now_ns, kill) for kill in kills[:room]]
        self.lost += sum(kill.kills for kill in kills[room:])
        return bool(kills)

    def _follow_tops(self) -> None:
        """Uppermost cgroups come and go; only the kernel of cgroup v2 notifies."""
        if self._files.is_whole:
            tops_now = frozenset(self._files.tops)
            for path in tops_now - self._tops:
                self._ledger.add(path)
            self._tops = tops_now
        if self._inotify is None or not self._files.is_whole:
            return
        tops = set(self._ledger.tops[:WATCHES_MAX])
        for path in self._watched - tops:
            self._inotify.forget(self._absolute(path))
        self._watched &= tops
        for path in tops - self._watched:
            # Where no further watch is to be had, the tick looks; one that is gone is no longer a top at the next.
            with suppress(OSError):
                self._inotify.watch(self._absolute(path))
                self._watched.add(path)
        self.unwatched = len(self._ledger.tops) - len(self._watched)

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{self._files.events_path(path)}"


def open_watch(
    tree: KernelTree, root: str, bus: Bus, mounts: bytes, host_kills: Callable[[], int | None] = lambda: None
) -> OomWatch:
    """The watch over a cgroup root; `mounts` is the content of `/proc/self/mountinfo`. *Raises:* OSError: there is no such root."""
    layout = layout_of(tree.list_names("."), os.sysconf("SC_CLK_TCK"))
    # An option of the mount, for everybody who looks at it.
    has_local_events = any(b" - cgroup2 " in line and b"memory_localevents" in line for line in mounts.split(b"\n"))
    files = OomFiles(tree, layout or NO_LAYOUT, has_local_events=has_local_events)
    inotify = None
    if files.is_whole:
        try:
            inotify = Inotify()
        except OSError as refused:
            Conditions(bus).begin(
                NOTICES, f"kills for lack of memory are seen once a tick and not at once: inotify: {refused.strerror}; "
                "raise fs.inotify.max_user_instances",
            )  # fmt: skip
    return OomWatch(files, root, inotify, host_kills)
