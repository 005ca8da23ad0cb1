"""What operators and readers see of workloads."""

import json
from random import Random
from typing import Any

import pytest
from fakes.keeper_model import KeeperModel
from msgspec.structs import replace

from agent.model.backoff import Backoff
from agent.model.control.document import plain
from agent.model.timebase import MS, S
from agent.ports import Operation
from workers.keeper.protocol import ListWorkloads, Restart, SpawnWorkload, StopWorkload, WorkloadEnding, WorkloadSpec
from workers.workloads.core import WorkloadsCore
from workers.workloads.listing import CgroupUse, ListingTime, ended_how, listing, shown_label
from workers.workloads.remembered import RememberedStarts
from workers.workloads.restart_policy import RestartPolicy
from workers.workloads.table import WorkloadTable

POLICY = RestartPolicy(Backoff(100 * MS, 2, 30 * S, 0), 60 * S)
SPEC = WorkloadSpec(
    "web",
    ("serve", "--password", "hunter2"),
    env={"API_TOKEN": "hunter3", "HOME": "/srv"},
    labels={"team": "search", "password": "hunter4"},
    restart=Restart.ALWAYS,
    gpus=("0",),
)


def _core(keeper: KeeperModel, described: dict[str, WorkloadSpec] | None = None) -> WorkloadsCore:
    core = WorkloadsCore(WorkloadTable(described or {}, POLICY, Random(1), RememberedStarts(), keeper.boot_id))
    core.on_connected()
    core.on_message(keeper.answer(ListWorkloads(1)), 0)
    return core


def _rows(core: WorkloadsCore, keeper: KeeperModel, **uses: CgroupUse) -> dict[str, dict[str, Any]]:
    document = plain(listing(core, uses, ListingTime(0, keeper.wall_ns + 2 * S), ""))
    # What goes over a socket is JSON.
    return {row["name"]: row for row in json.loads(json.dumps(document))["workloads"]}


def test_a_running_workload_is_shown_without_its_secrets() -> None:
    """Neither a value of its environment nor a secret of its command line or labels is anywhere."""
    keeper = KeeperModel()
    keeper.answer(SpawnWorkload(1, SPEC))
    row = _rows(_core(keeper), keeper, web=CgroupUse(1_500_000_000, 4096))["web"]
    assert "hunter" not in json.dumps(row)
    assert (row["state"], row["pid"], row["uptime_seconds"], row["birth"]) == ("running", 1001, 2.0, "clone_into_cgroup")
    assert (row["command"], row["environment"], row["cpu_seconds"]) == ("serve --password ***", ["API_TOKEN", "HOME"], 1.5)
    assert (row["labels"], row["memory_bytes"], row["source"]) == ({"team": "search", "password": "***"}, 4096, "command")
    assert (row["ended"], row["exit_code"], row["backoff_seconds"], row["problem"]) == (None, None, None, None)


def test_ended_waiting_and_refused_ones_say_how_and_why() -> None:
    """Each in its state."""
    keeper = KeeperModel()
    keeper.missing.add("gone")
    core = _core(keeper, {"gone": WorkloadSpec("gone", ("gone",))})
    for name, restart in (("job", Restart.NO), ("web", Restart.ALWAYS)):
        for _ in range(2):
            core.on_message(keeper.answer(SpawnWorkload(9, replace(SPEC, name=name, restart=restart))), 0)
            core.on_message(keeper.end(name, 1), 0)
    (order,) = [each for each in core.on_timer(0) if getattr(each.order, "spec", SPEC).name == "gone"]  # type: ignore[union-attr]
    core.on_message(keeper.answer(order.order), 0)  # type: ignore[union-attr]
    rows = _rows(core, keeper)
    assert (rows["job"]["state"], rows["job"]["ended_how"], rows["job"]["exit_code"]) == ("ended", "exit code 1", 1)
    assert (rows["web"]["state"], rows["web"]["restarts"]) == ("backoff", 1)
    assert (rows["gone"]["state"], rows["gone"]["source"]) == ("waiting", "file")
    assert "there is no program gone" in rows["gone"]["problem"]


def test_a_listing_says_what_is_not_known() -> None:
    """Whether the keeper has answered, why limits cannot be set, that a workload has left its cgroup."""
    keeper = KeeperModel()
    keeper.answer(SpawnWorkload(1, SPEC))
    keeper.records["web"] = replace(keeper.records["web"], moved_to="/elsewhere")
    core = _core(keeper)
    core.problem = "no controllers"
    assert "has left its cgroup for /elsewhere" in _rows(core, keeper)["web"]["problem"]
    told = listing(core, {}, ListingTime(0, 0), "not asked")
    assert (told.is_asked, told.problem) == (True, "no controllers")
    core.on_lost()
    told = listing(core, {}, ListingTime(0, 0), "it has ended")
    assert (told.is_asked, told.problem) == (False, "it has ended")


def test_stopping_is_a_state_of_its_own() -> None:
    """Until the keeper says that nothing runs."""
    keeper = KeeperModel()
    keeper.answer(SpawnWorkload(1, SPEC))
    core = _core(keeper)
    core.on_operation(Operation(1, "stop-workload", {"name": "web"}), 0)
    keeper.answer(StopWorkload(5, "web"))
    assert _rows(core, keeper)["web"]["state"] == "stopping"


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        (WorkloadEnding(0, code=0), "exit code 0"),
        (WorkloadEnding(0, signal=9, oom_kills=2), "SIGKILL, out of memory"),
        (WorkloadEnding(0, signal=15, stopped=True), "SIGTERM, stopped"),
        (WorkloadEnding(0, signal=250), "SIG250"),
        (WorkloadEnding(0, unknown_why="the host was started again"), "unknown: the host was started again"),
        (WorkloadEnding(0), "unknown"),
    ],
)
def test_an_end_in_a_few_words(ending: WorkloadEnding, how: str) -> None:
    """The signal by its name, the reason behind it."""
    assert ended_how(ending) == how


def test_labels_are_masked_whole_where_their_key_is_part_of_a_secret() -> None:
    """Never half a secret."""
    assert shown_label("token", "abc") == ("token", "***")
    assert shown_label("a", "b=c") == ("a", "b=c")


def test_a_cgroup_that_could_not_be_removed_is_told() -> None:
    """It is in the way of nobody, and a person may want to look."""
    keeper = KeeperModel()
    keeper.answer(SpawnWorkload(1, replace(SPEC, restart=Restart.NO)))
    keeper.end("web", 0)
    record = keeper.records["web"]
    assert record.ending is not None
    keeper.records["web"] = replace(record, ending=replace(record.ending, left_behind="Device or resource busy"))
    assert _rows(_core(keeper), keeper)["web"]["problem"] == "its cgroup could not be removed: Device or resource busy"
