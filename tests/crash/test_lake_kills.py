"""Compactors of a lake are killed at every step and at any moment, and some puts fail: a reader that counts all the time sees each
row exactly once."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest
from fakes.failpoints import failpoints
from fakes.landing_files import fleet
from harness.lake_trial import LakeTrial
from harness.sinks.object_server import ObjectServer

POINTS = sorted({point for point in failpoints() if point.startswith(("lake.", "compact.", "clean."))})
# Only object storage has these.
OF_OBJECTS = {"lake.before_put", "lake.put"}
OF_FOLDERS = {"lake.before_link", "lake.link", "lake.written"}
# One in 64 entries brings a checkpoint, and only a process of its own writes a report: `test_lake_child.py`.
ELSEWHERE = {"lake.checkpoint", "compact.before_report"}
KILLS = 6


@pytest.fixture(params=["folder", "object-server"])
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LakeTrial]:
    """A lake of each kind, one put in fifty failing."""
    with ExitStack() as stack:
        server = None
        if request.param == "object-server":
            (tmp_path / "server").mkdir()
            server = stack.enter_context(ObjectServer(tmp_path / "server"))
        yield stack.enter_context(LakeTrial(tmp_path, server, failing=0.02, seed=7))


def kind_of(trial: LakeTrial) -> str:
    """Of its bucket."""
    return "folder" if str(trial.values["lake.url"]).startswith("file") else "object-server"


def assert_settled(trial: LakeTrial) -> None:
    """Each row once, in one file, and nothing is left beside."""
    assert trial.compact(failing=0.0) == 0
    trial.check()
    assert (trial.found.doubles, trial.found.losses) == (0, 0), trial.found
    left = trial.left()
    merged = [name for name in left if name.startswith("_merged/")]
    assert [name for name in left if not name.startswith("_")] == [], "landed files are left"
    assert len(merged) >= 1


def test_there_is_a_point_around_every_step() -> None:
    """Before and after what must not be half done."""
    steps = {"compact.fetched", "compact.written", "compact.put", "lake.before_entry", "lake.entry", "compact.committed"}
    assert steps | {"clean.deleted", "clean.ledger", "clean.forgotten"} | OF_OBJECTS | OF_FOLDERS | ELSEWHERE == set(POINTS)


def test_a_compactor_that_is_killed_at_any_step_loses_and_doubles_nothing(trial: LakeTrial) -> None:
    """One after another, while more files land, and some land twice."""
    chance = Random(3)
    files = list(fleet(nodes=4, files=40, rows=3))
    begin = 0
    skipped = ELSEWHERE | (OF_OBJECTS if kind_of(trial) == "folder" else OF_FOLDERS)
    for point in POINTS:
        if point in skipped:
            continue
        trial.land(files[begin : begin + 5])
        trial.land_again(chance.choice(files[: begin + 5]))
        begin += 5
        status = trial.compact(point=point, failing=0.0)
        assert os.WIFSIGNALED(status), f"{point} was never passed: {status}"
        assert os.WTERMSIG(status) == SIGKILL
        trial.check()
        assert (trial.found.doubles, trial.found.losses) == (0, 0), (point, trial.found)
    assert trial.kills == len(POINTS) - len(skipped)
    assert_settled(trial)


def test_a_reader_sees_each_row_once_while_compactors_die(trial: LakeTrial) -> None:
    """At random moments, with puts that fail, and files that land meanwhile."""
    chance = Random(5)
    files = list(fleet(nodes=5, files=KILLS * 4, rows=3))
    trial.start_reading()
    for number in range(KILLS):
        trial.land(files[number * 20 : number * 20 + 20])
        trial.land_again(chance.choice(files[: number * 20 + 20]))
        trial.compact(kill_after=chance.random() * 0.25)
    trial.stop_reading()
    assert trial.found.reads > KILLS
    assert_settled(trial)
