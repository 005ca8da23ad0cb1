"""agentctl top --units: from spool and sealed files, of the past, on a pipe and on a real terminal."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.control_server import FakeControlServer
from fakes.listed_pod import pod_list, pod_row
from fakes.live_terminal import DEADLINE_SECONDS, watching
from fakes.stored_data import batch_of, head_of, row_of, write_parquet, write_segment
from fakes.stored_occupancy import OCCUPANCY, occupancy_row
from fakes.stored_units import UNIT_FORM, UNIT_MODEL_FORM, unit_row

from agent.model.table import Value
from agent.store.record import form_of
from workers.gpu.schema import GPU_PROCESS
from workers.unit.schema import UNIT_MODEL

S = 10**9
# Segments of tests are made then.
BEGIN = 1_704_067_200 * S
GPU_FORM = form_of(GPU_PROCESS)
TABLES = {"unit": UNIT_FORM, "unit_model": UNIT_MODEL_FORM, "occupancy": OCCUPANCY, "gpu_process": GPU_FORM}
Top = Callable[..., tuple[int, str, str]]


def tick(second: int, *rows: tuple[str, dict[str, Value]]) -> bytes:
    at = BEGIN + second * S
    return batch_of("unit", [unit_row(at, uid, **values) for uid, values in rows], stamp_wall_ns=at)


def service(name: str, cores: float, **values: Value) -> tuple[str, dict[str, Value]]:
    return f"/system.slice/{name}.service", {"cpu_cores": cores, "memory_current_bytes": 1 << 20, **values}


@pytest.fixture
def top(tmp_path: Path) -> Top:
    """Run `agentctl top --units` over the folders of the test."""

    def call(*words: str) -> tuple[int, str, str]:
        return agentctl_here(tmp_path, "top", "--units", *words)

    return call


def names_in(answer: tuple[int, str, str]) -> list[str]:
    code, text, told = answer
    assert (code, told) == (0, "")
    return [line.split()[0] for line in text.splitlines()[3:]]


def test_the_newest_tick_and_idle_units_of_the_minute_before(tmp_path: Path, top: Top) -> None:
    """In the order that is asked for; who had its last row two minutes ago is gone."""
    data = head_of("a", TABLES) + tick(0, service("gone", 0.1)) + tick(80, service("idle", 0.7, memory_current_bytes=9 << 20))
    write_segment(tmp_path, "a", data + tick(120, service("web", 0.5), service("db", 1.5, pressure_io_some_ns=S // 2)))
    code, text, told = top()
    assert (code, told) == (0, "")
    assert "3 units  CPU 2.00  MEM 11.0 MiB  0 throttled, 1 waiting  by cpu" in text
    assert names_in(top()) == ["db.service", "web.service", "idle.service"]
    assert names_in(top("--sort", "mem")) == ["idle.service", "db.service", "web.service"]
    assert names_in(top("--sort", "name")) == ["db.service", "idle.service", "web.service"]
    assert names_in(top("--filter", "kind:service idle")) == ["idle.service"]
    assert "\x1b" not in text


def test_other_tables_join_by_the_unit(tmp_path: Path, top: Top) -> None:
    """Cache, GPU and model; the document has names and all columns."""
    at = BEGIN + 10 * S
    uid = "/system.slice/web.service"
    gpu: dict[str, Value] = {
        "timestamp": at, "device": "GPU-1", "source": "nvml", "pid": 7, "driver_pid": 7, "unit": uid, "busy_share": 0.5,
        "memory_bytes": 1 << 30,
    }  # fmt: skip
    model: dict[str, Value] = {"timestamp": at, "unit": uid, "kind": "service", "model": "org/llm", "model_source": "label"}
    data = head_of("a", TABLES) + tick(10, service("web", 0.5))
    data += batch_of("occupancy", [occupancy_row(at, uid, llc=3 << 20)], stamp_wall_ns=at)
    data += batch_of("gpu_process", [row_of(GPU_PROCESS, gpu)], stamp_wall_ns=at)
    data += batch_of("unit_model", [row_of(UNIT_MODEL, model)], stamp_wall_ns=at)
    write_segment(tmp_path, "a", data)
    _, _, titles, row = top()[1].splitlines()
    shown = dict(zip(titles.split(), row.split(), strict=True))
    assert (shown["LLC"], shown["GPU%"], shown["GMEM"], shown["MODEL"], shown["KIND"]) == (
        "3.0M",
        "50",
        "1.0G",
        "org/llm",
        "service",
    )
    document = json.loads(top("--json")[1])
    (unit,) = document["units"]
    assert (unit["name"], unit["model"], unit["gpu"]["busy"], unit["reading"]["cpu_cores"]) == ("web.service", "org/llm", 0.5, 0.5)


def test_a_moment_of_the_past(tmp_path: Path, top: Top) -> None:
    """From sealed files, with the minute before it; a tree has containers."""
    rows = [
        unit_row(BEGIN + second * S, uid, kind="pod", cgroup=path, container=container, cpu_cores=cores)
        for second in range(100)
        for uid, path, container, cores in (
            ("u1", "/kubepods/podu1", None, 1.0 if second < 50 else 2.0),
            ("u1", "/kubepods/podu1/c1", "c" * 64, 1.0),
        )
    ]
    rows.append(unit_row(BEGIN + 20 * S, "/idle.service"))
    write_parquet(tmp_path, "unit", "a", rows, form=UNIT_FORM)
    code, text, told = top("--at", "2024-01-01T00:00:40Z", "--tree")
    assert (code, told) == (0, "")
    assert "as asked" in text
    assert [line.split()[:2] for line in text.splitlines()[3:]] == [
        ["u1", "pod"],
        ["└", "cccccccccccc"],
        ["idle.service", "service"],
    ]
    assert "CPU 1.00" in text
    assert "CPU 2.00" in top("--at", "2024-01-01T00:01:10Z")[1]
    assert "CPU 2.00" in top()[1]


def test_a_running_agent_tells_names(tmp_path: Path, top: Top) -> None:
    """Without one the uid stands, and the first line says that none runs."""
    data = head_of("a", TABLES) + tick(1, ("u1", {"kind": "pod", "cgroup": "/kubepods/podu1", "cpu_cores": 0.5}))
    write_segment(tmp_path, "a", data)
    assert names_in(top()) == ["u1"]
    assert "agent not running" in top()[1]
    with FakeControlServer(str(tmp_path), {"list-pods": pod_list(pod_row("u1", namespace="shop", name="web"))}):
        assert names_in(top()) == ["shop/web"]
        assert json.loads(top("--json")[1])["units"][0]["pod_name"] == "shop/web"


def test_without_rows_the_way_to_some_is_told(tmp_path: Path, top: Top) -> None:
    """No data of units, and no data at all."""
    assert top()[0] == 69
    (tmp_path / "data").mkdir()
    code, text, told = top()
    assert (code, text, told.count("\n"), "list-workers" in told) == (69, "", 1, True)


@pytest.mark.parametrize("words", [("--sort", "llc"), ("--sort", "rss"), ("--occupancy",), ("--json", "--tree")])
def test_what_does_not_fit_is_told(words: tuple[str, ...], top: Top) -> None:
    """Orders of other views, two views at once, a document with a tree."""
    code, text, told = top(*words)
    assert (code, text, told.count("\n")) == (64, "", 1)


def test_the_screen_follows_the_spool_and_its_keys(tmp_path: Path) -> None:
    """Live: new ticks are shown, keys choose order, tree and filter, q ends it."""
    path = write_segment(tmp_path, "a", head_of("a", TABLES) + tick(1, service("web", 0.5)))
    with watching(tmp_path, "--units") as terminal:
        terminal.wait_for(r"\x1b\[\?1049h.*1 unit .*by cpu.*web\.service")
        with path.open("ab") as spool:
            spool.write(tick(2, service("web", 0.5), service("db", 1.5)))
        terminal.wait_for(r"2 units.*db\.service.*web\.service")
        os.write(terminal.leader, b"p")
        terminal.wait_for("by pressure")
        os.write(terminal.leader, b"t")
        terminal.wait_for("tree")
        os.write(terminal.leader, b"?")
        terminal.wait_for("working set")
        os.write(terminal.leader, b"x/db\n")
        terminal.wait_for("filter: db")
        terminal.resize(columns=40, lines=10)
        terminal.wait_for(r"db\.service")
        os.write(terminal.leader, b"q")
        terminal.wait_for(r"\x1b\[\?25h\x1b\[\?1049l")
        assert terminal.program.wait(DEADLINE_SECONDS) == 0
