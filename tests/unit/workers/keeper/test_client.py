"""When a worker looks for the keeper that it has started, and when it starts another."""

import os
from itertools import pairwise
from pathlib import Path

from agent.model.timebase import MS, S
from workers.keeper.client import AGAIN_NS_MAX, START_AGAIN_NS, STARTING_AGAIN_NS, STARTING_NS, KeeperClient


def test_a_started_keeper_is_looked_for_often_at_first(tmp_path: Path) -> None:
    """Somebody waits for a workload: what a start takes is not rounded up to a long pause, and none is started beside it."""
    started: list[int] = []

    def start(_state_dir: str, _cgroup_root: str) -> int:
        started.append(now_ns)
        # No child of this process: there is nobody to wait for.
        return os.getpid()

    now_ns = 5 * S
    client = KeeperClient(str(tmp_path), "", may_start=True, start=start)
    begin_ns = now_ns
    looks: list[int] = []
    while now_ns < begin_ns + START_AGAIN_NS + AGAIN_NS_MAX:
        client.on_timer(now_ns)
        looks.append(now_ns)
        deadline_ns = client.next_deadline_ns()
        assert deadline_ns is not None
        now_ns = deadline_ns
    pauses = [after - before for before, after in pairwise(looks)]
    assert set(pauses[: STARTING_NS // STARTING_AGAIN_NS]) == {STARTING_AGAIN_NS}
    assert started[0] == begin_ns
    assert len(started) == 2
    assert START_AGAIN_NS <= started[1] - begin_ns <= START_AGAIN_NS + AGAIN_NS_MAX
    assert max(pauses) >= 1600 * MS
    client.close()


def test_who_may_start_none_looks_ever_less_often(tmp_path: Path) -> None:
    """Under systemd another starts it; until then a look costs next to nothing."""
    client = KeeperClient(str(tmp_path), "", may_start=False)
    now_ns, pauses = S, []
    for _ in range(10):
        client.on_timer(now_ns)
        deadline_ns = client.next_deadline_ns()
        assert deadline_ns is not None
        pauses.append(deadline_ns - now_ns)
        now_ns = deadline_ns
    assert pauses == sorted(pauses)
    assert pauses[-1] == AGAIN_NS_MAX
    assert client.problem == "no keeper runs; systemctl start evergauge-keeper.socket"
    client.close()
