"""The files of `tests/guest/`, which are for a machine with cgroup version 2 and all its controllers: one boot, all of them.

Each of their tests is one here, by its own name; with more than one parameter all of them together.
"""

import os

import pytest
from harness.lab.guest_tests import CHECKOUT, GUEST_SECONDS, GuestRun, run_in_guest, test_names

# The start of a whole agent there is minutes of a busy processor: scripts/platforms runs it.
FOR_A_PERSON = {"test_ready.py"}
FILES = sorted(f"tests/guest/{path.name}" for path in (CHECKOUT / "tests/guest").glob("test_*.py") if path.name not in FOR_A_PERSON)
NAMES = [name for path in FILES for name in test_names(path)]
# Fetching a kernel comes first on a machine that has none yet.
FETCH_SECONDS = 120.0
pytestmark = [
    pytest.mark.timeout(FETCH_SECONDS + GUEST_SECONDS + 60),
    pytest.mark.skipif(os.geteuid() != 0, reason="sharing the disk needs root"),
]


@pytest.fixture(scope="module")
def run() -> GuestRun:
    """What became of all of them."""
    return run_in_guest(FILES)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.removeprefix("tests/guest/"))
def test_in_the_guest(run: GuestRun, name: str) -> None:
    """It ran in the guest and passed."""
    run.assert_passed(name)


def test_nothing_else_failed_in_the_guest(run: GuestRun) -> None:
    """What has no test here, such as a file that could not be read, did not fail there; and every file has tests."""
    others = [test for test in run.tests if test.name.partition("[")[0] not in NAMES]
    assert [(test.name, test.message) for test in others if test.outcome != "passed"] == []
    assert {name.partition("::")[0] for name in NAMES} == set(FILES)
