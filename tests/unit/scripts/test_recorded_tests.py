"""The record of a whole run: outcomes by test, a digest that changes with the sources, damage that is told."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from verification.sources import source_digest
from verification.test_record import RecordedTests, outcomes_of, read_record, write_record

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_one[x.y]" file="tests/unit/test_a.py" line="1" time="0.1" />
<testcase classname="tests.unit.test_a.TestB" name="test_two" file="tests/unit/test_a.py"><failure>E</failure></testcase>
<testcase classname="tests.unit.test_a" name="test_three" file="tests/unit/test_a.py"><skipped message="no GPU" /></testcase>
<testcase classname="tests.unit.test_a" name="test_four" file="tests/unit/test_a.py" />
<testcase classname="tests.unit.test_a" name="test_four" file="tests/unit/test_a.py"><error>at its end</error></testcase>
</testsuite></testsuites>"""


def test_outcomes_are_those_of_the_report() -> None:
    """By file and name, with the class between; an error at the end of a test that passed is a failure."""
    assert outcomes_of(JUNIT) == {
        "tests/unit/test_a.py::test_one[x.y]": "passed",
        "tests/unit/test_a.py::TestB::test_two": "failed",
        "tests/unit/test_a.py::test_three": "skipped",
        "tests/unit/test_a.py::test_four": "failed",
    }


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Without one there is none; damage is a sentence."""
    path = tmp_path / "results" / "tests.json"
    assert read_record(path) is None
    record = RecordedTests(1.0, 2.0, 1, "abc", "def", outcomes_of(JUNIT))
    write_record(record, path)
    assert read_record(path) == record
    assert (record.count("passed"), record.count("skipped"), len(record.failed())) == (1, 1, 2)
    path.write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        read_record(path)
    path.write_text('{"code": 0}')
    with pytest.raises(ValueError, match="run scripts/test again"):
        read_record(path)


def test_the_digest_is_of_what_tests_depend_on(tmp_path: Path) -> None:
    """A changed, a new, a removed, a renamed file gives another; what programs leave behind does not."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "setup.cfg").write_text("x")
    (tmp_path / "agent/a.py").write_text("a")
    seen = [source_digest(tmp_path)]
    (tmp_path / "agent/__pycache__").mkdir()
    (tmp_path / "agent/__pycache__/a.pyc").write_text("b")
    (tmp_path / ".evergauge").mkdir()
    (tmp_path / ".evergauge/tests.json").write_text("{}")
    (tmp_path / "CHANGELOG.md").write_text("c")
    (tmp_path / "verdict.json").write_text("{}")
    assert source_digest(tmp_path) == seen[0]
    (tmp_path / "agent/a.py").write_text("b")
    seen.append(source_digest(tmp_path))
    (tmp_path / "agent/a.py").rename(tmp_path / "agent/b.py")
    seen.append(source_digest(tmp_path))
    (tmp_path / "agent/c.py").symlink_to("nowhere")
    seen.append(source_digest(tmp_path))
    (tmp_path / "setup.cfg").unlink()
    seen.append(source_digest(tmp_path))
    assert len(set(seen)) == len(seen)
