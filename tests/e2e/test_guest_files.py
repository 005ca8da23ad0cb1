"""The files of `tests/guest/`, which are for a machine with cgroup version 2 and all its controllers, and some other tests
that tell much of a kernel and cost little: one boot, all of them.

Each of these tests is one here, by its own name; with more than one parameter all of them together.
"""

import os

import pytest
from harness.lab.guest_tests import CHECKOUT, GUEST_SECONDS, GuestRun, run_in_guest, test_names

# Half a minute of a processor, and more on a busy one, for a figure that nobody looks at here: scripts/platforms runs it.
FOR_A_PERSON = {"test_ready.py"}
FILES = sorted(f"tests/guest/{path.name}" for path in (CHECKOUT / "tests/guest").glob("test_*.py") if path.name not in FOR_A_PERSON)
# Of the crash cases and the tests of the process sampler, of which scripts/platforms runs all. The last one has a whole agent, and
# takes ten times as long there as all the others.
OTHER_FILES = (
    "tests/integration/test_process_stat.py",
    "tests/integration/test_pid_sequence.py",
    "tests/integration/test_netlink.py",
)
CRASH_CASES = (
    "tests/crash/test_traps.py::test_a_message_that_a_stopped_peer_has_no_room_for_is_refused_and_not_dropped",
    "tests/crash/test_traps.py::test_an_old_acknowledgement_of_the_same_rules_is_not_taken_for_that_of_the_repair",
    "tests/crash/test_traps.py::test_no_socket_and_no_thread_of_zeromq_is_there_to_cross_a_fork",
)
NAMES = [*(name for path in (*FILES, *OTHER_FILES) for name in test_names(path)), *CRASH_CASES]
# Fetching a kernel comes first on a machine that has none yet.
FETCH_SECONDS = 120.0
pytestmark = [
    pytest.mark.timeout(FETCH_SECONDS + GUEST_SECONDS + 60),
    pytest.mark.skipif(os.geteuid() != 0, reason="sharing the disk needs root"),
]


@pytest.fixture(scope="module")
def run() -> GuestRun:
    """What became of all of them."""
    return run_in_guest([*FILES, *OTHER_FILES, *CRASH_CASES])


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.removeprefix("tests/"))
def test_in_the_guest(run: GuestRun, name: str) -> None:
    """It ran in the guest and passed."""
    run.assert_passed(name)


def test_nothing_else_failed_in_the_guest(run: GuestRun) -> None:
    """What has no test here, such as a file that could not be read, did not fail there; and every file has tests."""
    others = [test for test in run.tests if test.name.partition("[")[0] not in NAMES]
    assert [(test.name, test.message) for test in others if test.outcome != "passed"] == []
    assert {name.partition("::")[0] for name in NAMES} >= set(FILES)
