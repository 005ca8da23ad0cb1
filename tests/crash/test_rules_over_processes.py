"""The story of the rules once more, over real processes: killed, hung, restarted, orphaned, all hold in the end what all hold."""

import os
import random
from functools import partial
from pathlib import Path

import pytest
from fakes.drifting_worker import WAYS
from fakes.process_story import ProcessStory
from fakes.worker_set_agent import WorkerSetAgent
from harness.waiting import in_time, wait_until

from agent.model.timebase import MS, S

STORIES = int(os.environ.get("EVERGAUGE_STORIES", "4"))
CHAPTERS = 3
STEPS = 25
HEARTBEAT_MS = 400
# Nobody waits for a restart: a story is of rules, and backing off is told elsewhere.
FLAGS = {"--supervisor-backoff-base": "1ms", "--supervisor-backoff-ceiling": "20ms", "--supervisor-stable-period": "10ms"}


def _agent(folder: Path, workers: str, flags: dict[str, str]) -> WorkerSetAgent:
    return WorkerSetAgent(folder, workers, flags=flags, module="fakes.drifting_worker")


@pytest.mark.parametrize("number", range(STORIES))
def test_whatever_happens_to_real_processes_all_hold_the_rules_that_clients_were_told(tmp_path: Path, number: int) -> None:
    """Changes, SIGKILL, SIGSTOP, restarts, drift, dead fork servers and supervisors: in each calm all agree by their own word."""
    seed = random.getrandbits(32) + number
    print(f"seed {seed}")
    with _agent(tmp_path, "idle*3=idle,odd=drifts", FLAGS) as agent:
        story = ProcessStory(agent, random.Random(seed), drifting="odd")
        for _ in range(CHAPTERS):
            for _ in range(STEPS):
                story.step()
            story.assert_all_agree()
            # In a calm, where nothing else that happens mends it by the way.
            story.step("drift")
            story.assert_all_agree()


def test_rules_that_change_behind_the_back_of_a_real_worker_are_repaired_within_two_heartbeats(tmp_path: Path) -> None:
    """By the worker's own clock: from the moment at which its rules drifted to whole rules in its hands; counted, and told."""
    flags = {**FLAGS, "--supervisor-heartbeat-interval": f"{HEARTBEAT_MS}ms", "--supervisor-hang-timeout": "4s"}
    with _agent(tmp_path, "idle=idle,odd=drifts", flags) as agent:
        for number in range(3):
            agent.call("add-rule", rule={"name": f"r{number}", "priority": number})
        wait_until(lambda: agent.workers()["odd"]["in_sync"], "it holds the rules")
        before = agent.workers()["odd"]

        def drift(how: str, _number: int) -> float:
            count = len(_moments(agent, "mended")) + 1
            agent.order("odd", f"drift {how}")
            wait_until(lambda: len(_moments(agent, "mended")) == count, f"the rules are mended after they were {how}")
            drifted, mended = _moments(agent, "drifted")[-1], _moments(agent, "mended")[-1]
            assert agent.call("worker-state", name="odd")["digest"] == agent.call("list-rules")["digest"]
            print(f"{how}: repaired after {(mended - drifted) / MS:.0f} ms")
            return (mended - drifted) / S

        for how in WAYS * 2:
            in_time(partial(drift, how), seconds=2 * HEARTBEAT_MS / 1000)
        assert agent.call("status")["counters"]["drifts"] == len(_moments(agent, "mended"))
        after = agent.workers()["odd"]
        assert (after["pid"], after["in_sync"]) == (before["pid"], True), "it was mended, not replaced"


def _moments(agent: WorkerSetAgent, event: str) -> list[int]:
    return [moment.at_ns for moment in agent.ledger("odd") if moment.event == event]
