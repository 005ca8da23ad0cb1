"""Runs test files in a virtual machine with a kernel of its own (scripts/lab/guest), and gives what became of each test.

    run = run_in_guest(["tests/guest/test_memory_limit.py", ...], kernel="5.10")
    run.assert_passed("tests/guest/test_memory_limit.py::test_…")

- The files of `tests/guest/` are for such machines alone; the host's own run does not collect them. `tests/e2e/test_guest_files.py`
  runs all of them in one boot of the default kernel, and has a test of the host for each of theirs, which fails if that one failed,
  was skipped, or did not run. A new file needs nothing more. A test of the host may run any file, on any kernel of KERNELS.
- The guest has this checkout and its `.venv` at their own paths, as root, and changes to it are lost with it. It is a bare one:
  cgroup version 2 at /sys/fs/cgroup with every controller enabled for the root's children, /tmp and /run empty, one processor,
  1.5 GB of memory.
- Everything takes some fifteen times longer, and longer still beside other work: the guest measures it when it starts
  (`harness/lab/slowness.py`), `harness.waiting.SLOWNESS` has it there, all deadlines follow, and so do pytest's. A guest judges
  right and wrong. Cost is judged on the host, or as a ratio to a reference that runs in the same guest.
"""

import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.lab.slowness import loop_seconds

CHECKOUT = Path(__file__).parents[3]
KERNELS = ("5.10", "6.1", "6.12", "7.2")
# Debian 13's, which .ci/run fetches.
DEFAULT_KERNEL = "6.12"
# So much slower than this machine is a guest at least.
SLOWNESS = 15
# Ten times what most files need: the guest has one of two processors, on which other tests run.
GUEST_SECONDS = 1000
_OUTPUT_LENGTH_MAX = 4_000
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class GuestTest:
    """What became of one test: `passed`, `failed`, `skipped`, or `unfinished` where the guest ended before it.

    `properties` are what it recorded (`record_property` of pytest).
    """

    name: str
    outcome: str
    message: str
    seconds: float
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GuestRun:
    """What became of all tests of one boot; `release` is the kernel's own word, `output` what pytest printed, for a person."""

    tests: tuple[GuestTest, ...]
    output: str
    release: str

    def of(self, name: str) -> tuple[GuestTest, ...]:
        """One test with all its parameters: `tests/guest/test_x.py::test_y`."""
        return tuple(test for test in self.tests if test.name.partition("[")[0] == name)

    def assert_passed(self, name: str) -> None:
        """It ran, with all its parameters, and every one passed. *Raises:* AssertionError with the guest's own message."""
        found = self.of(name)
        assert found, f"{name} did not run in the guest, which printed:\n{self.output[-_OUTPUT_LENGTH_MAX:]}"
        bad = [f"{test.name}: {test.outcome}\n{test.message}" for test in found if test.outcome != "passed"]
        assert not bad, "\n\n".join(bad)


def test_names(path: str) -> list[str]:
    """The tests that a file has, without their parameters, in its own order; nothing of it is run."""
    body = ast.parse((CHECKOUT / path).read_text()).body
    return [f"{path}::{each.name}" for each in body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")]


# pytest would take it for a test of every file that imports it.
test_names.__test__ = False  # type: ignore[attr-defined]  # a function may have any attribute


def run_in_guest(
    tests: Sequence[str],
    *,
    kernel: str = DEFAULT_KERNEL,
    seconds: float = GUEST_SECONDS,
    on_end: Callable[[GuestTest], None] = lambda _test: None,
) -> GuestRun:
    """Boot a guest, run these files (or `file::test`, or options of pytest) in it, one after another, and end it.

    A guest that dies, or is not done within `seconds`, gives what it had reported. `on_end` hears of each test when it ends.
    """
    _compile(tests)
    with tempfile.TemporaryDirectory(prefix="guest-") as folder:
        variables = {
            "PYTHONPATH": f"{CHECKOUT}/tests:{CHECKOUT}",
            "LAB_SLOWNESS_MIN": str(SLOWNESS),
            "LAB_HOST_SECONDS": str(loop_seconds(time.process_time)),
            "LAB_GUEST_REPORT": "/mnt/share/report",
        }
        inner = [
            *("env", "--chdir", str(CHECKOUT), *(f"{name}={value}" for name, value in variables.items())),
            *(sys.executable, "-m", "harness.lab.slowness"),
            *(sys.executable, "-m", "pytest", "-p", "harness.lab.guest_report", "-p", "no:cacheprovider"),
            # See tests/conftest.py.
            *("-p", "no:hypothesispytest"),
            # Sockets have at most 107 bytes of path.
            *("--basetemp=/tmp/t", *tests),
        ]
        command = [str(CHECKOUT / "scripts/lab/guest"), "--kernel", kernel, "--bare", "run", folder, *inner]
        return _follow(command, Path(folder), seconds, on_end)


def _compile(tests: Sequence[str]) -> None:
    """Leave the bytecode of all that the guest imports, pytest's own rewriting included: it takes half a minute there.

    An environment may forbid Python to write it.
    """
    may_write = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    may_write |= {"LAB_GUEST_REPORT": os.devnull, "PYTHONPATH": f"{CHECKOUT}/tests:{CHECKOUT}"}
    folders = ("agent", "evergauge", "supervisor", "workers", "tests/fakes", "tests/harness")
    # What is wrong with a test the guest says.
    for words in (("compileall", "-q", *folders), ("pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *tests)):
        subprocess.run([sys.executable, "-m", *words], cwd=CHECKOUT, env=may_write, capture_output=True, check=False)


def _follow(command: Sequence[str], folder: Path, seconds: float, on_end: Callable[[GuestTest], None]) -> GuestRun:
    # A later line of a test replaces an earlier one.
    found: dict[str, GuestTest] = {}
    release = ""

    def read() -> None:
        nonlocal release
        report = folder / "report"
        # The last line may be half written.
        for line in report.read_text().split("\n")[:-1] if report.exists() else ():
            row = json.loads(line)
            if "release" in row:
                release = row["release"]
                continue
            test = _test_of(row)
            if found.get(test.name) != test and test.outcome != "unfinished":
                on_end(test)
            if test.outcome != "unfinished" or test.name not in found:
                found[test.name] = test

    with (folder / "output").open("w+", errors="replace") as output:
        limit = os.environ | {"LAB_GUEST_SECONDS": str(round(seconds))}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=limit) as guest:
            try:
                while guest.poll() is None:
                    read()
                    time.sleep(_LOOK_SECONDS)
            finally:
                # It ends the machine and its helpers.
                guest.terminate()
        read()
        output.seek(0)
        return GuestRun(tuple(found.values()), output.read(), release)


def _test_of(row: Mapping[str, Any]) -> GuestTest:
    return GuestTest(row["test"], row["outcome"], row["message"], row["seconds"], row.get("properties", {}))
