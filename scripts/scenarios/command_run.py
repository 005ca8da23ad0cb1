"""Scenarios that are programs: their exit code is the verdict; files of tests run here or in a guest."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness.lab.guest_tests import run_in_guest
from process_bench.checkout import HERE
from verification.sources import source_digest, source_files
from verification.test_record import read_record, record_path

from scenarios.definition import CommandStep
from scenarios.judgement import Judgement
from scenarios.shapes import HOST

ALL_TESTS = ("scripts/test",)
SHOWN_LINES, SHOWN_LETTERS = 3, 400
Say = Callable[[str], None]


def run_step(step: CommandStep, platform: str, say: Say, *, takes_last: bool = False) -> Judgement:
    """One program to its end, or to its time. `takes_last`: of all tests the result that is kept, if it is of these sources."""
    say(step.name)
    begun = time.monotonic()
    if takes_last and step.words == ALL_TESTS:
        is_good, words = last_tests(HERE, record_path())
        return Judgement("commands", step.goal, step.name, is_good, words)
    if platform != HOST:
        is_good, words = _in_guest(step, platform.removeprefix("guest-"), say)
    else:
        is_good, words = _here(step)
    return Judgement("commands", step.goal, step.name, is_good, f"{words} ({time.monotonic() - begun:.0f} s)")


def last_tests(root: Path, kept: Path) -> tuple[bool, str]:
    """What the last whole run of `scripts/test` gave, by its record; one from before a change of the sources says nothing."""
    try:
        record = read_record(kept)
    except ValueError as problem:
        return False, str(problem)
    if record is None:
        return False, "no whole run is kept: scripts/test"
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(record.began_at))
    if record.sources != source_digest(root):
        newest = max((path for path in source_files(root) if path.exists()), key=lambda path: path.stat().st_mtime)
        return (
            False,
            f"the last whole run began {when}, other sources; {newest.relative_to(root)} was changed last: scripts/test",
        )
    return record.code == 0, f"exit code {record.code} of the whole run of these sources that began {when}"


def _here(step: CommandStep) -> tuple[bool, str]:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *step.words] if step.tests else list(step.words)
    # A program of the project's environment, by its path from the checkout.
    process = subprocess.Popen(
        words, cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True, env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    try:
        output, _none = process.communicate(timeout=step.seconds)
    except subprocess.TimeoutExpired:
        return False, f"not ended after {step.seconds:g} s"
    finally:
        # What it started goes with it, also after Ctrl-C.
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return process.returncode == 0, f"exit code {process.returncode}: {' / '.join(lines[-SHOWN_LINES:])[-SHOWN_LETTERS:]}"


def _in_guest(step: CommandStep, kernel: str, say: Say) -> tuple[bool, str]:
    if not step.tests:
        return False, f"a program of this machine is not run in a guest: give it as `tests`, or run it on {HOST}"
    run = run_in_guest(
        [*step.words, "-p", "no:randomly"],
        kernel=kernel,
        seconds=step.seconds,
        on_end=lambda test: say(f"{test.outcome}: {test.name}"),
    )
    bad = [test.name for test in run.tests if test.outcome != "passed"]
    if not run.tests:
        return False, f"nothing ran in the guest: {run.output[-SHOWN_LETTERS:]}"
    words = f"Linux {run.release}: {len(run.tests) - len(bad)} of {len(run.tests)} tests passed"
    return not bad, f"{words}; not: {', '.join(bad)}" if bad else words
