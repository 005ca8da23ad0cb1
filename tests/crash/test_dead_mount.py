"""A mount whose server does not answer, in a place that the agent looks at: nothing waits for it but who must."""

import os
import time
from pathlib import Path

import pytest
from fakes.dead_mount import dead_mount
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")

ANSWER_SECONDS = 1.0


def test_the_look_for_the_banner_delays_neither_answers_nor_restarts_nor_the_end(tmp_path: Path) -> None:
    """The banner says what is not known; meanwhile the agent answers, brings workers back, and ends at SIGTERM."""
    with dead_mount(tmp_path / "dead") as dead:
        agent = AgentProcess(tmp_path, flags={"--nri-socket-path": str(dead / "nri.sock")})
        agent.start()
        before = time.monotonic()
        agent.wait_for_replacement(agent.kill_worker("writer"))
        agent.call("status")
        assert time.monotonic() - before < ANSWER_SECONDS
        wait_until(lambda: "not known: the look at this host did not end" in agent.output, "the banner is there")
        assert agent.end(seconds=3.0) == 0
        agent.assert_nothing_left()


def test_the_agent_ends_while_the_look_is_still_waited_for(tmp_path: Path) -> None:
    """SIGTERM within the time that the look has: the banner comes with what is known, and the end is in time."""
    with dead_mount(tmp_path / "dead") as dead:
        agent = AgentProcess(tmp_path, flags={"--nri-socket-path": str(dead / "nri.sock")})
        agent.start()
        assert agent.end(seconds=2.0) == 0
        assert "not known: the look at this host did not end" in agent.output


@pytest.mark.parametrize("path", ["dead", "link"])
def test_a_resctrl_that_does_not_answer_delays_the_start_by_a_moment(tmp_path: Path, path: str) -> None:
    """It is measured by nobody in this run, and SIGTERM is heard; a link to it leads to the same."""
    (tmp_path / "link").symlink_to(tmp_path / "dead")
    with dead_mount(tmp_path / "dead"):
        agent = AgentProcess(tmp_path, flags={"--resctrl-mount": str(tmp_path / path)})
        agent.start()
        assert set(agent.workers()) == {"control-plane", "sampler/host", "sampler/process", "writer", "gateway"}
        assert agent.end(seconds=3.0) == 0
        agent.assert_nothing_left()
