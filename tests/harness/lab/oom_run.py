"""Injects kills for lack of memory into this machine, and holds what the watch says of them against what was done.

python -m harness.lab.oom_run KILLS SEED [HOST_KILLS]      for cgroup version 2 with the memory controller; as a program
"""

import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes import oom_injector
from fakes.bus import RecordingBus
from msgspec import Struct

from workers.runtime.kernel_tree import OpenKernelTree
from workers.unit.oom_ledger import OomKill
from workers.unit.oom_watch import OomWatch, open_watch

ROOT = "/sys/fs/cgroup"

Verdict = tuple[str, str, str | None, int]


class OomReport(Struct):
    """What was done and what was said, in the same form: path, verdict, culprit, kills; one list for each scene."""

    done: list[Counter[Verdict]]
    said: list[Counter[Verdict]]
    notices: int

    @property
    def kills(self) -> int:
        """How many were made."""
        return sum(verdict[3] for scene in self.done for verdict in scene)

    @property
    def right(self) -> int:
        """How many were told right, and once."""
        return sum(verdict[3] for done, said in zip(self.done, self.said, strict=True) for verdict in (done & said).elements())

    @property
    def wrong(self) -> list[tuple[Counter[Verdict], Counter[Verdict]]]:
        """Scenes that were told otherwise than they were."""
        return [(done, said) for done, said in zip(self.done, self.said, strict=True) if done != said]


@contextmanager
def parent_cgroup() -> Iterator[str]:
    """A cgroup for all of it, with the memory controller for those below."""
    path = Path(ROOT, f"oom-run-{os.getpid()}")
    path.mkdir()
    try:
        (path / "cgroup.subtree_control").write_text("+memory")
        yield str(path)
    finally:
        for folder, _, _ in os.walk(path, topdown=False):
            os.rmdir(folder)


def inject(kills: int, seed: int, host_kills: int = 0) -> OomReport:
    """So many kills, in scenes that depend on the seed."""
    # While the machine has no memory left nobody else is to be killed.
    Path("/proc/self/oom_score_adj").write_text("-1000")
    watch = open_watch(OpenKernelTree(ROOT), ROOT, RecordingBus(), b"")
    with parent_cgroup() as folder:
        watch.take(time.monotonic_ns())
        command = [sys.executable, "-S", oom_injector.__file__, folder, str(kills), str(seed), str(host_kills)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as injector:
            report = _follow(watch, injector)
        assert injector.returncode == 0
    watch.close()
    Path("/proc/self/oom_score_adj").write_text("0")
    return report


def _follow(watch: OomWatch, injector: "subprocess.Popen[str]") -> OomReport:
    """Only the kernel's notices until a scene is over; then its kills are asked for."""
    assert injector.stdout is not None
    assert injector.stdin is not None
    report = OomReport([], [], 0)
    known: list[str] = []
    for line in _lines(watch, injector.stdout.fileno()):
        word, _, rest = line.partition(" ")
        if word == "made":
            known = rest.split()
            for path in known:
                watch.begin(path, is_leaf=True)
            injector.stdin.write("\n")
        elif word == "killed":
            report.done.append(Counter(tuple(kill) for kill in json.loads(rest)))
            for path in known:
                watch.end(path)
            report.said.append(_together([kill for _, kill in watch.take(time.monotonic_ns())]))
    report.notices = watch.notices
    return report


def _lines(watch: OomWatch, descriptor: int) -> Iterator[str]:
    """What the injector says, line by line to its end; the watch hears the kernel meanwhile."""
    # Not through a file object: what it has read ahead no poll would report.
    begun = b""
    while True:
        poller = select.poll()
        for each in (descriptor, *(interest.descriptor for interest in watch.interests())):
            poller.register(each, select.POLLIN)
        for ready, _ in poller.poll():
            if ready != descriptor:
                watch.on_readable(ready, time.monotonic_ns())
                continue
            data = os.read(descriptor, 4096)
            if not data:
                return
            *whole, begun = (begun + data).split(b"\n")
            yield from (line.decode() for line in whole)


def _together(kills: list[OomKill]) -> Counter[Verdict]:
    """Those of a group may be seen one after the other."""
    counts: Counter[tuple[str, str, str | None]] = Counter()
    for kill in kills:
        counts[kill.path, "" if kill.verdict is None else kill.verdict.value, kill.culprit] += kill.kills
    return Counter((*which, number) for which, number in counts.items())


def main() -> None:
    """Inject, and say how many were told right."""
    report = inject(*(int(word) for word in sys.argv[1:4]))
    for done, said in report.wrong:
        print("done", dict(done), "said", dict(said))
    print(json.dumps({"kills": report.kills, "right": report.right, "scenes": len(report.done), "notices": report.notices}))


if __name__ == "__main__":
    main()
