"""The writer's side of keeping as a process of its own, which can be killed.

python kept_process.py STATE QUOTA              takes every segment of the spool but the last, then removes what goes, for a sink
python kept_process.py STATE QUOTA damaged      takes every segment of the spool as a damaged one
"""

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fakes.bus import RecordingBus

from agent.failpoint import VARIABLE
from agent.store.segment import in_order
from workers.writer.kept import KeptSegments

DEADLINE_SECONDS = 60
TURNS_MAX = 10_000


def kept_process(state: Path, quota: int, failpoints: Path, *words_more: str) -> "subprocess.CompletedProcess[str]":
    """Run one to its end, which a failpoint may bring."""
    environment = {**os.environ, VARIABLE: str(failpoints)}
    words = [sys.executable, "-P", __file__, str(state), str(quota), *words_more]
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_SECONDS, env=environment, check=False)


def go(kept: KeptSegments) -> int:
    """Turn until nothing more goes; how many turns it took."""
    now_ns = turns = 0
    idle = 0
    while idle < 2:
        before = kept.stats()
        # Each look is due at once or in 2 s.
        now_ns = max(now_ns, kept.next_deadline_ns() or 0)
        kept.advance(now_ns)
        turns += 1
        assert turns < TURNS_MAX
        idle = 0 if kept.stats() != before else idle + 1
    return turns


def main() -> None:
    """As the head of this file says."""
    state, quota, is_damaged = sys.argv[1], int(sys.argv[2]), "damaged" in sys.argv
    spool = os.path.join(state, "spool")
    kept = KeptSegments(state, {"central": quota}, 0, RecordingBus(), lambda: None)
    names = in_order(os.listdir(spool))
    kept.prepare(names)
    for name in names if is_damaged else ():
        kept.take_damaged(os.path.join(spool, name))
    for name in () if is_damaged else names[:-1]:
        path = os.path.join(spool, name)
        if not kept.take(path):
            os.unlink(path)
    go(kept)


if __name__ == "__main__":
    main()
