"""What holds for all tests: fakes can be imported, skips can be forbidden, random tests name their seed."""

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

# `from fakes.clock import FakeClock`: with importmode=importlib nothing else puts this folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

from harness.agent_process import end_strays
from harness.long_files import LONG


class TestProcess(Protocol):
    """What xdist says of a process that it starts; its `workerinput` arrives there."""

    workerinput: dict[str, object]


# These are for a machine with cgroup version 2 and all its controllers: tests/e2e/test_guest_files.py runs them in one.
IS_GUEST = "LAB_GUEST_REPORT" in os.environ
collect_ignore = [] if IS_GUEST else ["guest"]
# sysexits.h, EX_UNAVAILABLE, as scripts/e2e ends where it cannot begin.
NOTHING_TESTED = 69
# Taken out of the environment: the agents that tests start refuse EVERGAUGE_ variables which are no setting.
MAY_NOT_SKIP = os.environ.pop("EVERGAUGE_TESTS_MAY_NOT_SKIP", "") == "1"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: TestProcess) -> None:
    """Tell a test process whether it may skip: it starts after the variable was taken out of the environment."""
    node.workerinput["may_not_skip"] = MAY_NOT_SKIP


def pytest_configure(config: pytest.Config) -> None:
    """Take over what `pytest_configure_node` said, in a test process; hand on no signal as ignored.

    What a shell starts in the background ignores SIGINT, and what is under `nohup` SIGHUP: so would every program under test, where
    it is told to end by these.
    """
    global MAY_NOT_SKIP
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            # As before for this process; one that it starts has the default.
            signal.signal(number, lambda _number, _frame: None)
    MAY_NOT_SKIP = getattr(config, "workerinput", {}).get("may_not_skip", MAY_NOT_SKIP)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, the others in the order that chance gave them."""
    folder = Path(__file__).parent
    place = {folder / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(LONG)))


if not IS_GUEST:
    # A quarter of what pytest needs to start, which is seconds of an emulated processor; no test of a kernel needs it.
    import hypothesis

    # Time is no property of the code on a loaded machine; what failed is printed so that it can be played again.
    hypothesis.settings.register_profile("evergauge", deadline=None, print_blob=True)
    hypothesis.settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=5000)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "evergauge"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """On real hardware a run of which everything was skipped tested nothing, which is no success."""
    from fakes.resctrl_machine import REAL_MOUNT

    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not REAL_MOUNT or exitstatus != pytest.ExitCode.OK or reporter is None or reporter.stats.get("passed"):
        return
    reporter.write_line(f"\nnothing was tested: every scenario was skipped on {REAL_MOUNT}")
    session.exitstatus = NOTHING_TESTED


@pytest.fixture(autouse=True)
def _own_objects() -> None:
    """The collector looks at what this test makes, not at what all tests before it have left.

    In a process of thousands of tests one full collection takes 0.4 s of some test's time. Here 99 of 100 take less than 2 ms.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_strays() -> Iterator[None]:
    """A test that fails half-way leaves no agent running."""
    yield
    end_strays()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where skips are forbidden (.ci/run), a skipped test has failed: an unseen test proves nothing."""
    report = yield
    if MAY_NOT_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped and may not be: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that skips itself."""
    report = yield
    if MAY_NOT_SKIP and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped and may not be: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """The seed stands beside the failures, also where -q hides the head of the run."""
    seed = getattr(config.option, "randomly_seed", None)
    if exitstatus and seed is not None:
        terminalreporter.write_line(f"the same order again: scripts/test --randomly-seed={seed}")
