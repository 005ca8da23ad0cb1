"""A hub that is killed, or whose disk is full, while it writes down who belongs to it: what it has promised holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.failpoints import arm, failpoints
from fakes.fleet import Hub, hub_agent, join, node_agent
from harness.waiting import wait_until

POINTS = sorted(point for point in failpoints() if point.startswith("state_file."))


@contextmanager
def armed_hub(folder: Path) -> Iterator[tuple[Hub, Path]]:
    """A hub, and the folder in which files arm failpoints."""
    points = folder / "points"
    points.mkdir()
    with hub_agent(folder / "h", points) as agent:
        yield Hub(agent), points


def kill_while(hub: Hub, points: Path, point: str, *words: str) -> None:
    """Ask for something, and kill the worker at this point of it; returns when the next one is there."""
    before = hub.agent.workers()["hub"]["pid"]
    armed = arm(points, f"{point}@hub", "kill")
    hub.ctl(*words)
    wait_until(lambda: not armed.exists(), "the point is met")
    wait_until(lambda: hub.agent.workers()["hub"]["pid"] not in (None, before), "the hub is there again")


def test_there_are_such_points() -> None:
    """Before a file of the state has its name, and after."""
    assert POINTS == ["state_file.named", "state_file.written"]


@pytest.mark.parametrize("point", POINTS)
def test_a_hub_that_is_killed_at_this_point_knows_whom_it_has_taken(tmp_path: Path, point: str) -> None:
    """An invitation that was given holds, a member stays one, and who was taken out at that moment can be taken out again."""
    with armed_hub(tmp_path) as (hub, points):
        invitation = hub.invite()
        kill_while(hub, points, point, "hub", "invite")
        node = node_agent(tmp_path / "n", "node-1")
        code, _, warnings = join(node, invitation, "--host", "node-1")
        assert code == 0, warnings
        kill_while(hub, points, point, "hub", "invite")
        with node:
            hub.wait_state("node-1", "fresh")
            kill_while(hub, points, point, "hub", "remove", "node-1")
            code, _, warnings = hub.ctl("hub", "remove", "node-1")
            assert code == 0 or "no node has this id or host name" in warnings
            assert "node-1" not in hub.nodes()


@pytest.mark.parametrize("point", POINTS)
def test_a_node_whose_join_was_not_answered_joins_again(tmp_path: Path, point: str) -> None:
    """The hub is killed while it writes down the new member: with the same line it is taken, once."""
    with armed_hub(tmp_path) as (hub, points):
        invitation = hub.invite()
        node = node_agent(tmp_path / "n", "node-1")
        before = hub.agent.workers()["hub"]["pid"]
        armed = arm(points, f"{point}@hub", "kill")

        def is_met() -> bool:
            assert join(node, invitation, "--host", "node-1", "--timeout", "2")[0] != 0
            return not armed.exists()

        wait_until(is_met, "the point is met")
        wait_until(lambda: hub.agent.workers()["hub"]["pid"] not in (None, before), "the hub is there again")
        code, _, warnings = join(node, invitation, "--host", "node-1")
        assert code == 0, warnings
        with node:
            hub.wait_state("node-1", "fresh")
        assert len(hub.nodes()) == 1


def test_a_hub_whose_disk_is_full_promises_nothing(tmp_path: Path) -> None:
    """An invitation that could not be written down is not given; the next one is."""
    with armed_hub(tmp_path) as (hub, points):
        armed = arm(points, "state_file.written@hub", "error ENOSPC")
        code, text, warnings = hub.ctl("hub", "invite")
        assert (code != 0, text, armed.exists()) == (True, "", False), warnings
        assert hub.invite()
