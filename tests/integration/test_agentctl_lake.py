"""agentctl compact and agentctl lake, over a lake in a folder."""

import json
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.lake_folder import LakeFolder
from fakes.landing_files import NodeFile, fleet, land

from agent.lake.commit import LakeCommit, LakeMark, OffsetSpan
from agent.lake.log import LakeLog, LogPorts
from agent.model.errors import ExitCode
from workers.compactor.lease import CompactorLease


@pytest.fixture
def lake(tmp_path: Path) -> LakeFolder:
    """With files of three nodes."""
    lake = LakeFolder(tmp_path)
    for file in fleet(nodes=3, files=2, rows=5):
        land(lake.path, file)
    return lake


def call(lake: LakeFolder, *words: str) -> tuple[int, str, str]:
    """Of agentctl, over the lake."""
    return agentctl_here(lake.path.parent, *words, "--lake", f"file://{lake.path}")


def test_a_compaction_ends_with_a_sentence(lake: LakeFolder) -> None:
    """And the files of nodes go after their grace."""
    code, output, warnings = call(lake, "compact")
    assert (code, warnings) == (0, "")
    assert output.startswith("6 files of ")
    assert output.endswith(" with 30 rows; 6 wait for the end of lake.grace\n")
    code, output, _ = call(lake, "compact", "--set", "lake.grace=0s")
    assert (code, output) == (0, "nothing was to be compacted; 6 files deleted\n")
    assert lake.numbers() == list(range(30))


def test_a_dry_run_says_what_would_be_done(lake: LakeFolder) -> None:
    """Nothing is changed."""
    code, output, _ = call(lake, "compact", "--dry-run")
    assert code == 0
    assert output.splitlines()[1].split()[:4] == ["process", "2024-10-04", "6", "6"]
    code, output, _ = call(lake, "compact", "--dry-run", "--json")
    (job,) = json.loads(output)["jobs"]
    assert (job["table"], len(job["files"])) == ("process", 6)
    assert call(lake, "compact", "--dry-run", "--table", "host")[1] == "nothing is to be compacted\n"
    assert sorted(path.name for path in lake.path.iterdir()) == ["process"]


def test_a_damaged_file_is_named(lake: LakeFolder) -> None:
    """And the exit code says that there is one; a document has it too."""
    path = land(lake.path, NodeFile(7, 1, range(100, 110)))
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    code, output, warnings = call(lake, "compact", "--json")
    assert code == ExitCode.BAD_DATA
    assert json.loads(output)["passed"][0]["is_damaged"] is True
    assert warnings == f"agentctl: {path.relative_to(lake.path)} is left as it is: its bytes are not those that were written\n"


def test_another_compactor_is_named(lake: LakeFolder) -> None:
    """It is waited for by hand."""
    assert CompactorLease(lake.bucket, "the compactor of node-1", LogPorts()).take()
    code, _, warnings = call(lake, "compact")
    assert code == ExitCode.TRY_AGAIN
    assert "the compactor of node-1 is at it" in warnings


def test_the_files_that_count_are_printed_one_a_line(lake: LakeFolder) -> None:
    """As other engines take them."""
    code, output, _ = call(lake, "lake", "files")
    assert (code, len(output.splitlines())) == (0, 6)
    call(lake, "compact")
    _, output, _ = call(lake, "lake", "files", "--table", "process")
    (path,) = output.splitlines()
    assert Path(path).is_file()
    assert path.startswith(f"{lake.path}/_merged/process/")
    found = json.loads(call(lake, "lake", "files", "--json")[1])
    assert (found["number"], found["files"][0]["place"], found["files"][0]["rows"]) == (1, path, 30)
    assert call(lake, "lake", "files", "--table", "host")[1] == ""


def test_the_state_of_a_lake_is_shown(lake: LakeFolder) -> None:
    """By table, and what the log says."""
    assert "6 files count, as of commit 0" in call(lake, "lake", "status")[1]
    call(lake, "compact")
    log = LakeLog(lake.bucket, "merger")
    log.append(lambda _state: LakeCommit(offsets={"t/0": OffsetSpan(0, 3)}, marks={"process": {"a": LakeMark(1)}}))
    land(lake.path, NodeFile(7, 1, range(100, 110)))
    output = call(lake, "lake", "status")[1]
    assert output.splitlines()[1].split()[:2] == ["process", "1"]
    assert "6 files count no more and wait to be deleted" in output
    assert "from topics: 1 partition, marks of 1 host" in output
    found = json.loads(call(lake, "lake", "status", "--json")[1])
    assert (found["number"], found["waiting"], found["offsets"]) == (2, 6, {"t/0": 3})
    assert (found["tables"]["process"]["rows"], found["tables"]["process"]["landed_files"]) == (30, 1)


def test_an_empty_lake_has_a_state(tmp_path: Path) -> None:
    """Of no table."""
    assert "0 files count, as of commit 0" in call(LakeFolder(tmp_path), "lake", "status")[1]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["lake", "what"], ExitCode.MISUSE, "no such action"),
        (["lake"], ExitCode.MISUSE, "ACTION is missing"),
        (["lake", "status", "--table", "../x"], ExitCode.MISUSE, "no name of a table"),
        (["compact", "--table", "../x"], ExitCode.MISUSE, "no name of a table"),
        (["compact", "--set", "what=1"], ExitCode.MISUSE, "is no setting of the store"),
        (["compact", "--set", "lake.grace"], ExitCode.MISUSE, "is no setting of the store"),
        (["compact", "--set", "compactor.file_bytes=1MiB"], ExitCode.CONFIG, "compactor.file_bytes_min"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(tmp_path: Path, words: list[str], code: ExitCode, sentence: str) -> None:
    """With the remedy."""
    found, _, warnings = call(LakeFolder(tmp_path), *words)
    assert found == code
    assert sentence in warnings


def test_a_store_must_be_named(tmp_path: Path) -> None:
    """By --lake or the environment."""
    code, _, warnings = agentctl_here(tmp_path, "lake", "files")
    assert code == ExitCode.CONFIG
    assert "lake.url: it is not set" in warnings
