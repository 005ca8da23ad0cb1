"""A real agent says which model each unit serves: by arguments, order, label, and the engine's own answer."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fakes.cgroup import enter
from fakes.keeper_world import own_tree
from fakes.load import started
from fakes.workload_agent import WorkloadAgent, workload_agent
from harness.waiting import wait_until

from agent.cli.stored_rows import StoredRows
from agent.cli.time_bounds import EVERYTHING
from workers.unit.schema import UNIT_MODEL

MODEL, NAME = "Qwen/Qwen3-8B", "chat"
TOKEN = "hf_" + "a1B2" * 8


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A part of the cgroup tree."""
    with own_tree(str(abs(hash(request.node.nodeid)) % 10**8)) as tree:
        yield tree


@contextmanager
def running(folder: Path, *argv: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a cgroup of its own."""
    folder.mkdir(parents=True)
    with started(list(argv)) as process:
        enter(folder, process.pid)
        yield process


def program(folder: Path, name: str, text: str = "import time\ntime.sleep(1000)") -> tuple[str, str]:
    """A program of Python under the name of a server, as one is installed by pip."""
    script = folder / name
    script.write_text(text)
    return sys.executable, str(script)


def shell(folder: Path, text: str) -> tuple[str, str]:
    """A script, whose arguments say nothing of what it will do."""
    script = folder / "start.sh"
    script.write_text(text)
    return "/bin/sh", str(script)


def rows(host: WorkloadAgent) -> list[dict[str, Any]]:
    """All rows of the table, the oldest first."""
    # `agentctl query` would take a second of a processor each time.
    found = StoredRows(str(host.agent.state_dir), UNIT_MODEL).rows(EVERYTHING)
    return sorted(map(dict, found), key=lambda row: row["timestamp"])


def newest(host: WorkloadAgent, unit: str) -> dict[str, Any] | None:
    found = [row for row in rows(host) if row["unit"] == unit]
    return found[-1] if found else None


def wait_row(host: WorkloadAgent, unit: str, **wanted: Any) -> dict[str, Any]:
    """Until the newest row of a unit is this."""

    def there() -> dict[str, Any] | None:
        row = newest(host, unit)
        return row if row is not None and all(row[name] == value for name, value in wanted.items()) else None

    return wait_until(there, f"{unit} has {wanted}")


def test_a_server_is_known_by_its_arguments(tmp_path: Path, tree: Path) -> None:
    """Model, served name and engine, without its secrets; in `top` too; and that it serves none any more when it is gone."""
    argv = (*program(tmp_path, "vllm"), "serve", MODEL, "--hf-token", TOKEN, "--served-model-name", NAME)
    with workload_agent(tmp_path, tree) as host, running(tree / "vllm.service", *argv) as process:
        row = wait_row(host, "/vllm.service", model=MODEL)
        assert (row["model_raw"], row["served_model"], row["engine"]) == (MODEL, NAME, "vllm")
        assert (row["kind"], row["model_source"], row["absent"], row["container"]) == ("service", "arguments", None, None)
        assert TOKEN not in json.dumps(rows(host))
        code, text, _ = host.ctl("--state-dir", str(host.agent.state_dir), "top", "--units", "--json")
        assert code == 0
        assert MODEL in text
        process.kill()
        process.wait()
        (tree / "vllm.service").rmdir()
        wait_row(host, "/vllm.service", model=None, absent="vanished")


def test_a_server_that_is_executed_late_and_hides_its_arguments(tmp_path: Path, tree: Path) -> None:
    """A shell executes it after a while; then it writes a title over its arguments, and what it was started with stays."""
    go, hide = tmp_path / "go", tmp_path / "hide"
    title = f"""
import ctypes, os, sys, time
while not os.path.exists({str(hide)!r}):
    time.sleep(0.05)
ctypes.CDLL(None).prctl(15, b"VLLM::Engine", 0, 0, 0)
os.execv(sys.executable, ["VLLM::EngineCore", "-c", "import time; time.sleep(1000)"])
"""
    command = " ".join((*program(tmp_path, "vllm", title), "serve", MODEL))
    start = shell(tmp_path, f"while [ ! -e {go} ]; do sleep 0.1; done\nexec {command}\n")
    with workload_agent(tmp_path, tree) as host, running(tree / "late.service", *start):
        wait_until(lambda: host.agent.stats("sampler/unit")["model_looks"] > 0, "it was looked at")
        assert newest(host, "/late.service") is None
        go.touch()
        wait_row(host, "/late.service", model=MODEL, model_source="arguments")
        count, looks = len(rows(host)), host.agent.stats("sampler/unit")["model_looks"]
        hide.touch()
        wait_until(lambda: host.agent.stats("sampler/unit")["model_looks"] >= looks + 2, "it was looked at again")
        assert len(rows(host)) == count


def test_a_workload_is_known_by_its_order_and_its_label(tmp_path: Path, tree: Path) -> None:
    """What it was told to run, also where a script does that; and the operator's own word before it."""
    script = tmp_path / "text-embeddings-router"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    engine = str(script)
    with workload_agent(tmp_path, tree) as host:
        host.run("tei", engine, "--port", "80", env={"MODEL_ID": "BAAI/bge-m3"})
        host.run("named", engine, "--model-id", "BAAI/bge-m3", "--served-model-name", NAME, labels={"model": "our/embedder"})
        row = wait_row(host, "/evergauge-workloads/tei.workload", model="BAAI/bge-m3")
        assert (row["kind"], row["engine"], row["model_source"]) == ("workload", "tei", "spawn_record")
        row = wait_row(host, "/evergauge-workloads/named.workload", model="our/embedder")
        assert (row["engine"], row["served_model"], row["model_source"]) == ("tei", NAME, "label")


def test_a_server_in_a_cgroup_below_its_unit_and_behind_a_shell(tmp_path: Path, tree: Path) -> None:
    """As podman and systemd services with delegation have them."""
    command = " ".join((*program(tmp_path, "llama-server"), "-hf", "unsloth/Qwen3-8B-GGUF:Q4_K_M"))
    # Who has a child before it is in the cgroup leaves it outside.
    start = shell(tmp_path, f"while ! grep -q deep.service /proc/self/cgroup; do sleep 0.1; done\n{command} &\nwait\n")
    with workload_agent(tmp_path, tree) as host, running(tree / "deep.service/inner", *start):
        row = wait_row(host, "/deep.service", model="unsloth/Qwen3-8B-GGUF:Q4_K_M")
        assert (row["engine"], row["model_source"]) == ("llama-server", "descendant")


class Models(BaseHTTPRequestHandler):
    """An engine's list of models."""

    def do_GET(self) -> None:
        """`/v1/models` alone."""
        body = json.dumps({"data": [{"id": NAME, "root": MODEL, "owned_by": "vllm"}]}).encode()
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.mark.runbook("Unit sampler")
def test_an_engine_is_asked_where_the_operator_names_it(tmp_path: Path, tree: Path) -> None:
    """It is believed before the arguments; one that never answers delays no tick and leaves the arguments."""
    argv = program(tmp_path, "vllm")
    with (
        HTTPServer(("127.0.0.1", 0), Models) as engine,
        socket.create_server(("127.0.0.1", 0)) as silent,
        running(tree / "asked.service", *argv, "serve", "/models/7"),
        running(tree / "silent.service", *argv, "serve", "/models/8"),
    ):
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        named = ((engine.server_port, "asked.service"), (silent.getsockname()[1], "/silent.service"))
        engines = ", ".join(f"{unit}=http://127.0.0.1:{port}" for port, unit in named)
        with workload_agent(tmp_path, tree, sampler_unit_engines=engines) as host:
            row = wait_row(host, "/asked.service", model_source="engine_api")
            assert (row["model"], row["served_model"], row["engine"]) == (MODEL, NAME, "vllm")
            wait_row(host, "/silent.service", model="8", model_source="arguments")
            wait_until(lambda: host.agent.stats("sampler/unit")["engine_asks_unanswered"] > 0, "one did not answer")
        engine.shutdown()
