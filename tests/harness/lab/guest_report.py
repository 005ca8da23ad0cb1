"""A plugin of pytest in the guest: `-p harness.lab.guest_report`. LAB_GUEST_REPORT names the file for what became of each test.

One line of JSON at a test's start and one at its end, so that a guest that dies still says which test was running.
"""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness.waiting import SLOWNESS

REPORT = Path(os.environ.get("LAB_GUEST_REPORT", os.devnull))
# Worse counts: a test that passed and could not be taken down has failed.
_RANKS = ("passed", "skipped", "failed")
_MESSAGE_LENGTH_MAX = 20_000
# The phases of the running test; pytest runs one at a time.
_phases: list[pytest.TestReport] = []


def pytest_sessionstart() -> None:
    """The first line names the kernel."""
    _write({"release": platform.release(), "slowness": SLOWNESS})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's own time limit is as much longer as everything is here."""
    for item in items:
        mark = item.get_closest_marker("timeout")
        if mark is not None and mark.args:
            item.add_marker(pytest.mark.timeout(float(mark.args[0]) * SLOWNESS), append=False)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be read has failed, under its own name."""
    if report.outcome != "passed":
        _write({"test": report.nodeid, "outcome": report.outcome, "message": _message_of(report), "seconds": 0.0})


def pytest_runtest_logstart(nodeid: str) -> None:
    """A test begins."""
    _phases.clear()
    _write({"test": nodeid, "outcome": "unfinished", "message": "", "seconds": 0.0})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Its setup, its call, or its teardown has ended."""
    _phases.append(report)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """The test has ended: its worst phase is its outcome."""
    worst = max(_phases, key=lambda phase: _RANKS.index(phase.outcome))
    seconds = round(sum(phase.duration for phase in _phases), 3)
    # Those of the last phase: what a test records is not yet there when its setup has ended.
    properties = dict(_phases[-1].user_properties)
    _write({"test": nodeid, "outcome": worst.outcome, "message": _message_of(worst), "seconds": seconds, "properties": properties})


def _message_of(report: pytest.CollectReport | pytest.TestReport) -> str:
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    # The sentence of a failure is at its end.
    return "" if report.outcome == "passed" else report.longreprtext[-_MESSAGE_LENGTH_MAX:]


def _write(line: Mapping[str, object]) -> None:
    with REPORT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
