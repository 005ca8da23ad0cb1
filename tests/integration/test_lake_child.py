"""The process of a round, and the worker that starts it, in a real agent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import pytest
from fakes.failpoints import arm
from fakes.lake_folder import LakeFolder
from fakes.landing_files import NodeFile, fleet, land
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

from agent.failpoint import VARIABLE
from agent.model.errors import ExitCode
from workers.compactor import source as source_module
from workers.compactor.child import main
from workers.compactor.order import ORDER_FILE, LakeOrder, encode_order
from workers.compactor.report import decode_lake_report

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "workers.compactor.child"]


def order(folder: Path, values: dict[str, int | str | bool]) -> Path:
    """A folder with an order."""
    folder.mkdir(exist_ok=True)
    (folder / ORDER_FILE).write_bytes(encode_order(LakeOrder(values, "test")))
    return folder


def run(folder: Path, *words: str, points: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """The process, to its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **({VARIABLE: str(points)} if points else {})}
    return subprocess.run([*COMMAND, str(folder), *words], env=environment, capture_output=True, timeout=50, check=False)


def age(lake: LakeFolder) -> None:
    """So that nothing has landed just now."""
    for path in lake.path.rglob("*.parquet"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def test_a_round_is_a_process_that_says_what_it_did(tmp_path: Path) -> None:
    """Killed before it says so it has done it, and the next one has nothing to do."""
    lake = LakeFolder(tmp_path)
    for file in fleet(nodes=3, files=2, rows=5):
        land(lake.path, file)
    age(lake)
    folder = order(tmp_path / "work", {"lake.url": f"file://{lake.path}"})
    points = tmp_path / "points"
    points.mkdir()
    arm(points, "compact.before_report", "kill")
    assert run(folder, points=points).returncode == -SIGKILL
    assert lake.numbers() == list(range(30))
    done = run(folder, "--parent", str(os.getpid()))
    assert (done.returncode, done.stderr) == (0, b"")
    report = decode_lake_report(done.stdout)
    assert (report.jobs, report.waiting) == (0, 6)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], ExitCode.MISUSE, "needs FOLDER"),
        (["nowhere", "--parent", "x"], ExitCode.MISUSE, "needs FOLDER"),
        (["nowhere"], ExitCode.MISUSE, "no order.json"),
        (["{tmp}/none"], ExitCode.CONFIG, "lake.url"),
        (["{tmp}/gone"], ExitCode.IO, "mount it"),
        (["{tmp}/nonsense"], ExitCode.BAD_DATA, "order to compact"),
        (["{tmp}/gone", "--parent", "1"], ExitCode.TRY_AGAIN, "has ended"),
    ],
)
def test_a_round_that_cannot_work_says_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], code: ExitCode, sentence: str
) -> None:
    """In one sentence, with a code."""
    order(tmp_path / "none", {})
    order(tmp_path / "gone", {"lake.url": f"file://{tmp_path}/no-lake"})
    (order(tmp_path / "nonsense", {}) / ORDER_FILE).write_bytes(b"{")
    filled = [word.format(tmp=tmp_path) for word in words]
    if "--parent" in words and words[-1] == "1":
        done = run(Path(filled[0]), *filled[1:])
        assert done.returncode == code
        assert sentence in done.stderr.decode()
        return
    assert main(filled) == code
    assert sentence in capfd.readouterr().err


def test_a_row_group_that_is_too_large_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are not decoded."""
    monkeypatch.setattr(source_module, "GROUP_ROWS_MAX", 4)
    lake = LakeFolder(tmp_path)
    land(lake.path, NodeFile(1, 1, range(5)))
    land(lake.path, NodeFile(2, 1, range(5, 9)))
    report = lake.compact()
    assert (report.rows, [("too large" in file.reason) for file in report.passed]) == (4, [True])


def test_an_agent_compacts_where_it_is_asked_to(tmp_path: Path) -> None:
    """Its worker says what was done, and agentctl shows the files."""
    lake = LakeFolder(tmp_path)
    for file in fleet(nodes=3, files=2, rows=5):
        land(lake.path, file)
    age(lake)
    flags = {"--lake-url": f"file://{lake.path}", "--compactor-enabled": "true", "--compactor-interval": "1s"}
    folder = tmp_path / "agent"
    folder.mkdir()
    with AgentProcess(folder, flags=flags) as agent:
        wait_until(lambda: agent.call("status")["stats"].get("compactor", {}).get("rows") == 30, "compacted")
        assert lake.numbers() == list(range(30))
        told = agent.call("status")["stats"]["compactor"]
        assert (told["jobs"], told["sources"], told["files"], told["passed"]) == (1, 6, 1, 0)
    (order_file,) = folder.rglob(ORDER_FILE)
    assert json.loads(order_file.read_text())["holder"].startswith("the compactor of")
