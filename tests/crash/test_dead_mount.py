"""A mount whose server does not answer, in a place that the agent looks at: nothing waits for it but who must."""

import os
import time
from pathlib import Path

import pytest
from fakes.dead_mount import dead_mount
from harness.agent_process import AgentProcess
from harness.waiting import in_time, wait_until

from agent.daemon.banner_printer import LOOK_NS_MAX
from agent.model.timebase import S

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")

ANSWER_SECONDS = 1.0
UNKNOWN = "not known: the look at this host did not end"


def test_the_look_for_the_banner_delays_neither_answers_nor_restarts_nor_the_end(tmp_path: Path) -> None:
    """The banner says what is not known; meanwhile the agent answers, brings workers back, and ends at SIGTERM."""
    with dead_mount(tmp_path / "dead") as dead:

        def live(number: int) -> float:
            agent = _agent(tmp_path / str(number), dead)
            agent.start()
            before = time.monotonic()
            agent.wait_for_replacement(agent.kill_worker("writer"))
            agent.call("status")
            took_seconds = time.monotonic() - before
            wait_until(lambda: UNKNOWN in agent.output, "the banner is there")
            assert agent.end() == 0
            agent.assert_nothing_left()
            return took_seconds

        in_time(live, seconds=ANSWER_SECONDS)


def test_the_agent_ends_while_the_look_is_still_waited_for(tmp_path: Path) -> None:
    """SIGTERM within the time that the look has: the banner comes with what is known, and the end is in time."""
    with dead_mount(tmp_path / "dead") as dead:

        def end_at_once(number: int) -> float:
            agent = _agent(tmp_path / str(number), dead)
            agent.start()
            before = time.monotonic()
            assert agent.end() == 0
            took_seconds = time.monotonic() - before
            assert UNKNOWN in agent.output
            return took_seconds

        in_time(end_at_once, seconds=LOOK_NS_MAX / S)


def _agent(folder: Path, dead: Path) -> AgentProcess:
    folder.mkdir()
    return AgentProcess(folder, flags={"--nri-socket-path": str(dead / "nri.sock")})


@pytest.mark.parametrize("path", ["dead", "link"])
def test_a_resctrl_that_does_not_answer_does_not_hold_the_start(tmp_path: Path, path: str) -> None:
    """Some seconds later the agent is ready, nobody measures resctrl in this run, and SIGTERM is heard; so with a link to it."""
    (tmp_path / "link").symlink_to(tmp_path / "dead")
    with dead_mount(tmp_path / "dead"):
        agent = AgentProcess(tmp_path, flags={"--resctrl-mount": str(tmp_path / path)})
        agent.start()
        assert set(agent.workers()) == {"control-plane", "sampler/node", "sampler/process", "writer", "gateway"}
        # Who waited for the mount would wait for ever.
        assert agent.end() == 0
        agent.assert_nothing_left()
