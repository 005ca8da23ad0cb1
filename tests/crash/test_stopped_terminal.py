"""Nobody reads what the agent says: it starts, answers, restarts workers and ends as if somebody did."""

import termios
from pathlib import Path

from fakes.stopped_terminal import MuteAgent, full_pipe, read_all, terminal
from harness.waiting import DEADLINE_SECONDS, wait_until

# A process that waits for a reader waits for ever.
END_SECONDS = DEADLINE_SECONDS


def assert_lives(agent: MuteAgent) -> None:
    """A worker is killed and comes back, and SIGTERM ends all of it in time."""
    agent.wait_for_replacement(agent.kill_worker("writer"))
    assert agent.end(seconds=END_SECONDS) == 0
    agent.assert_nothing_left()


def read_banner(leader: int) -> str:
    """All that is said until the banner ends; it comes in pieces."""
    parts: list[str] = []

    def is_banner_read() -> bool:
        parts.append(read_all(leader))
        return "Ctrl-C ends it" in "".join(parts)

    wait_until(is_banner_read, "the banner is read")
    return "".join(parts)


def test_a_full_pipe_delays_nothing(tmp_path: Path) -> None:
    """Standard output and error take nothing from the first byte on."""
    with full_pipe() as (_read, write):
        agent = MuteAgent(tmp_path)
        agent.stream = write
        agent.start()
        assert_lives(agent)


def test_a_terminal_that_was_stopped_before_the_banner_delays_nothing(tmp_path: Path) -> None:
    """Ctrl-S while it starts: what it said meanwhile is there after Ctrl-Q, in order, and nothing of it is lost."""
    with terminal() as (leader, follower):
        termios.tcflow(follower, termios.TCOOFF)
        agent = MuteAgent(tmp_path)
        agent.stream, agent.is_terminal = follower, True
        agent.start()
        agent.wait_for_replacement(agent.kill_worker("gateway"))
        assert agent.call("status")["counters"]["log_unwritten"] == 0
        termios.tcflow(follower, termios.TCOON)
        said = read_banner(leader)
        assert said.index(" starting ") < said.index(" ready") < said.index("Ctrl-C ends it")
        assert_lives(agent)


def test_a_terminal_that_is_stopped_later_delays_nothing(tmp_path: Path) -> None:
    """Ctrl-S at any time: workers are killed and come back, and SIGTERM ends it without Ctrl-Q."""
    with terminal() as (leader, follower):
        agent = MuteAgent(tmp_path)
        agent.stream, agent.is_terminal = follower, True
        agent.start()
        read_banner(leader)
        termios.tcflow(follower, termios.TCOOFF)
        assert_lives(agent)


def test_a_start_that_is_refused_says_so_to_nobody_and_ends(tmp_path: Path) -> None:
    """The sentence waits a moment for its reader; the exit code is the same."""
    with full_pipe() as (_read, write):
        agent = MuteAgent(tmp_path, flags={"--no-such-flag": "1"})
        agent.stream = write
        agent.start(ready=False)
        assert agent.process is not None
        assert agent.process.wait(END_SECONDS) == 64
