"""The table of docs/platforms.md: what is in it, from what, and what scripts/platforms says to a mistake."""

import subprocess
import sys
from pathlib import Path

import pytest
from harness.lab.guest_tests import KERNELS, test_names

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from platform_runs.cases import CRASH_CASES, PROCESS_TESTS, SOURCE_TESTS, crash_tests
from platform_runs.outcome import Ended, Outcome, from_json, merged, placed, reason, table, to_json

CHECKOUT = Path(__file__).parents[2]
KEPT = CHECKOUT / "docs/platforms.json"
FIRST = CRASH_CASES[0].test


def _cells(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_there_are_twenty_crash_cases_whose_tests_exist() -> None:
    """Each has a name of its own; no test was renamed away from under the table."""
    assert len({case.name for case in CRASH_CASES}) == 20
    known = {name for path in {test.partition("::")[0] for test in crash_tests()} for name in test_names(path)}
    assert set(crash_tests()) <= known
    assert all((CHECKOUT / path).exists() for path in (*PROCESS_TESTS, *SOURCE_TESTS))


def test_the_page_has_what_is_kept() -> None:
    """The table is written by the program and by nobody else, and has every kernel that was looked at."""
    page, kept = (CHECKOUT / "docs/platforms.md").read_text(), from_json(KEPT.read_text())
    assert placed(page, table(kept)) == page
    assert set(kept) <= set(KERNELS)


def test_a_case_passed_only_where_its_test_ran_and_all_of_it_passed() -> None:
    """With a parameter that failed it failed; what did not run says so and is in no sum."""
    tests = (Ended(f"{FIRST}[a]", "passed"), Ended(f"{FIRST}[b]", "unfinished"), Ended(CRASH_CASES[1].test, "passed"))
    text = table({"6.1": Outcome("6.1.0-50", tests)})
    assert _cells(text, CRASH_CASES[0].name) == ["unfinished"]
    assert _cells(text, CRASH_CASES[1].name) == ["passed"]
    assert _cells(text, CRASH_CASES[4].name) == ["not run"]
    assert _cells(text, "crash cases passed") == ["1 of 2"]
    assert _cells(text, "tests of the process sampler passed") == ["not run"]


def test_what_a_kernel_has_is_told_with_the_reason_where_it_has_not() -> None:
    """As the tests recorded it, a column for each kernel."""
    old = Outcome("5.10", (Ended("x", "passed", properties={"cgroup.kill": "no: Linux 5.14 and later"}),))
    new = Outcome("7.2", (Ended("x", "passed", properties={"cgroup.kill": "yes"}),))
    assert _cells(table({"5.10": old, "7.2": new}), "cgroup.kill") == ["no: Linux 5.14 and later", "yes"]


def test_what_did_not_pass_is_told_with_its_reason() -> None:
    """Below the tables, by kernel; nothing is told where everything passed."""
    bad = Ended("tests/crash/test_x.py::test_y[a|b]", "failed", "AssertionError: 1 | 2")
    lines = table({"5.10": Outcome("5.10.0-32", (bad, Ended("b", "passed")))}).splitlines()
    assert lines[-3:] == [
        "| Linux | test that did not pass | outcome | reason |",
        "| --- | --- | --- | --- |",
        "| 5.10 | `test_x.py::test_y[a/b]` | failed | `AssertionError: 1 / 2` |",
    ]
    assert "did not pass" not in table({"5.10": Outcome("5.10.0-32", (Ended("b", "passed"),))})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("> assert 1 == 2\nE   assert 1 == 2\nE    +  where `1` is\n\ntests/x.py:3: AssertionError", "assert 1 == 2"),
        ("E   KeyError: 'a'\n\nDuring handling:\nE   OSError: no\nE   more\nx.py:3: OSError", "OSError: no"),
        ("needs Linux 5.14", "needs Linux 5.14"),
        ("", ""),
        ("E   " + "x" * 300, "x" * 200),
    ],
)
def test_the_reason_of_a_failure_is_one_line(message: str, expected: str) -> None:
    """That of the error, and not of the place in the test."""
    assert reason(message) == expected


def test_a_later_run_of_some_tests_keeps_the_others() -> None:
    """Only what ran again is replaced; the kept form can be read back."""
    before = Outcome("5.10.0-30", (Ended("a", "failed", "late"), Ended("b", "passed")))
    after = merged(before, Outcome("5.10.0-32", (Ended("a", "passed"),)))
    assert after == Outcome("5.10.0-32", (Ended("a", "passed"), Ended("b", "passed")))
    assert from_json(to_json({"5.10": after})) == {"5.10": after}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kernels", "5.11"], "'5.11' is none of"),
        (["--only", "crashes"], "'crashes' is none of"),
        (["--matching", "no such"], "'no such' is in the name of no test"),
    ],
)
def test_a_kernel_or_group_that_is_none_is_refused_in_a_sentence(words: list[str], sentence: str) -> None:
    """Before anything boots."""
    environment = {"PYTHONPATH": f"{CHECKOUT}/scripts:{CHECKOUT}/tests:{CHECKOUT}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "platform_runs", *words]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stdout) == (64, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_guest_refuses_a_kernel_that_it_does_not_know() -> None:
    """In a sentence that names those that can be had."""
    command = [str(CHECKOUT / "scripts/lab/guest"), "--kernel", "4.19", "image"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == 64
    assert "one of 5.10, 6.1, 6.12 and 7.2, and not '4.19'" in ended.stderr
