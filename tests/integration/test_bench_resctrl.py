"""`scripts/bench/resctrl` in its shortest form: it measures what it says, judges rightly, and leaves nothing behind."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import psutil
import pytest
from harness.waiting import wait_until

BENCH = Path(__file__).parents[2] / "scripts" / "bench"
# Less than a moment of everything: what is asked here is whether each part measures at all. pqos has a test of its own.
SHORTEST = {
    "--groups": 8,
    "--cost-seconds": 1,
    "--pqos-seconds": 0,
    "--jitter-seconds": 2,
    "--rate-seconds": 2,
    "--storm-seconds": 4,
    "--churn-seconds": 3,
    "--bad-seconds": 4,
}
# Two runs beside each other: most of the time each waits for the next second.
PARTS = (["cost", "jitter", "rates"], ["coverage", "storm", "churn", "bad"])


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives a module of the benchmark by its name."""
    monkeypatch.syspath_prepend(str(BENCH))

    def load(name: str) -> ModuleType:
        return import_module(f"resctrl_bench.{name}")

    return load


@contextmanager
def bench(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """The benchmark as a process of a session of its own; killed if it does not end."""
    process = subprocess.Popen(
        [str(BENCH / "resctrl"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def left_behind(process: "subprocess.Popen[str]") -> list[str]:
    """Folder, control groups, mounts and processes of a run of the benchmark that are still there."""
    own = [Path("/tmp") / f"eg-resctrl-{process.pid}", *Path("/sys/fs/cgroup").glob(f"*/evergauge-bench-{process.pid}")]
    own += Path("/sys/fs/cgroup").glob(f"evergauge-bench-{process.pid}")
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"eg-resctrl-{process.pid}" in line]
    words = [
        line
        for each in psutil.process_iter(["cmdline"])
        if f"eg-resctrl-{process.pid}/" in (line := " ".join(each.info["cmdline"] or []))
    ]
    return [*(str(path) for path in own if path.exists()), *mounts, *words]


def is_clean(process: "subprocess.Popen[str]") -> bool:
    """Whether nothing of a run of the benchmark is left."""
    return not left_behind(process)


# Some 30 s on two cores that do nothing else.
@pytest.mark.timeout(200)
def test_every_part_measures_something_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """The shortest run of all parts: no part fails, each figure has a value, and the machine is as before."""
    words = [word for name, value in SHORTEST.items() for word in (name, str(value))]
    with ExitStack() as running:
        processes = [
            running.enter_context(bench("--quick", "--only", ",".join(parts), *words, "--json", str(tmp_path / parts[0])))
            for parts in PARTS
        ]
        ended = [process.communicate(timeout=150) for process in processes]
    for parts, (output, progress) in zip(PARTS, ended, strict=True):
        document = json.loads((tmp_path / parts[0]).read_text())
        assert document["failures"] == [], progress
        assert [part["part"] for part in document["parts"]] == parts
        for part in document["parts"]:
            missing = [figure["what"] for figure in part["figures"] if figure["value"] is None and "pqos" not in figure["what"]]
            assert missing == [], part["part"]
            assert part["title"] in output
    for process in processes:
        wait_until(partial(is_clean, process), f"nothing is left: {left_behind(process)}", seconds=30)


def test_killed_outright_it_leaves_nothing_behind() -> None:
    """kill -9 while pods, emulator and agent run: its guardian ends them, and removes control groups and folder."""
    with bench("--quick", "--only", "jitter", "--jitter-seconds", "60") as process:
        group = Path(f"/sys/fs/cgroup/pids/evergauge-bench-{process.pid}")
        wait_until(lambda: [*group.glob("kubepods/besteffort/pod*/*")], "pods run", seconds=30)
        folder = Path(f"/tmp/eg-resctrl-{process.pid}")
        wait_until(lambda: [*folder.glob("agent*/run/control.sock")], "the agent runs", seconds=30)
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not left_behind(process), f"nothing is left: {left_behind(process)}", seconds=30)


def test_interrupted_it_reports_what_it_has(tmp_path: Path) -> None:
    """Ctrl-C in the second part: the first one is in the results, the exit code is that of an interrupt, nothing is left behind."""
    results = tmp_path / "results.json"
    with bench("--quick", "--only", "coverage,jitter", "--jitter-seconds", "60", "--json", str(results)) as process:
        assert process.stderr is not None
        progress = _read_until(process.stderr, "s left")
        os.killpg(process.pid, signal.SIGINT)
        _output, rest = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT, progress + rest
    assert [part["part"] for part in json.loads(results.read_text())["parts"]] == ["coverage"]
    wait_until(lambda: not left_behind(process), f"nothing is left: {left_behind(process)}", seconds=30)


def _read_until(lines: IO[str], words: str) -> str:
    """What is written until these words come, or until the end."""
    read = ""
    for line in lines:
        read += line
        if words in line:
            break
    return read


@pytest.mark.parametrize(
    ("starts_ms", "late_ms", "missed", "doubled"),
    [
        ([0, 1000, 2000, 3000], [0, 0, 0, 0], 0, 0),
        ([4, 1000, 2002, 3000], [4, 0, 2, 0], 0, 0),
        ([0, 1000, 3000], [0, 0, 0], 1, 0),
        ([0, 1000, 1001, 2000], [0, 0, 1, 0], 0, 1),
    ],
)
def test_the_raster_counts_from_the_earliest_begin(
    part: Any, starts_ms: list[int], late_ms: list[float], missed: int, doubled: int
) -> None:
    """A first scan that was late itself makes nobody early; holes and doubles are counted apart from lateness."""
    judged = part("raster").judge([ms * 1_000_000 for ms in starts_ms], 1_000_000_000)
    assert (judged.late_ms, judged.missed, judged.doubled) == (late_ms, missed, doubled)


def test_an_id_waits_from_the_instant_at_which_it_is_free(part: Any) -> None:
    """Limbo is no waiting; an id that became free before the time in question does not count, and one never taken is told."""
    lines = [
        "1 taken 0:1",
        "2 retired 0:1",
        "3 free 0:1",
        "10 retired 0:2",
        "14 free 0:2",
        "15 taken 0:1",
        "20 taken 0:2",
        "21 free 0:3",
    ]
    history = part("id_history").read_history(lines, 5, 100)
    assert history.waits_s == [6e-9]
    assert history.limbo_s == [4e-9]
    assert history.unused_since_ns == [21]
    assert history.held == 2


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [
        (4, True, "MISSED"),
        (5, True, "must met"),
        (10, True, "goal met"),
        (4, False, "goal met"),
        (11, False, "MISSED"),
        (None, False, "NOT MEASURED"),
    ],
)
def test_a_figure_is_judged_by_its_must_and_its_goal(part: Any, value: float | None, at_least: bool, verdict: str) -> None:
    """Of ratios more is better, of times less; what was not measured is no success."""
    must, goal = (5, 10) if at_least else (10, 5)
    assert part("figures").Figure("x", value, "", must, goal, at_least=at_least).verdict == verdict
