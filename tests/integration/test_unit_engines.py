"""A real agent says how busy an engine is, over a real HTTP server that answers, hangs, lies, goes and comes back."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
from workers.unit.schema import UNIT_ENGINE

TEXTS = Path(__file__).parents[1] / "fixtures/engine_metrics"
UNIT = "/engine.service"


class Engine(ThreadingHTTPServer):
    """What it does with a question is changed by the test."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Asked)
        self.status = 200
        self.text = (TEXTS / "vllm-two-engines.prom").read_bytes()
        self.is_chunked = False
        # Cleared: it hangs.
        self.answers = threading.Event()
        self.answers.set()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def leave(self) -> None:
        """Nobody listens any more."""
        self.answers.set()
        self.shutdown()
        self.server_close()


class Asked(BaseHTTPRequestHandler):
    """One question; other paths than that of the metrics have no answer."""

    server: Engine

    def do_GET(self) -> None:
        """As the server is told."""
        engine = self.server
        engine.answers.wait(60)
        self.send_response(engine.status if self.path == "/metrics" else 404)
        if engine.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(engine.text), engine.text))
            return
        self.send_header("Content-Length", str(len(engine.text)))
        self.end_headers()
        self.wfile.write(engine.text)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def tree(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A part of the cgroup tree."""
    with own_tree(str(abs(hash(request.node.nodeid)) % 10**8)) as tree:
        yield tree


def rows(host: WorkloadAgent) -> list[dict[str, Any]]:
    """All rows of the unit, the oldest first."""
    found = map(dict, StoredRows(str(host.agent.state_dir), UNIT_ENGINE).rows(EVERYTHING))
    return sorted((row for row in found if row["unit"] == UNIT), key=lambda row: row["timestamp"])


def wait_row(host: WorkloadAgent, **wanted: Any) -> dict[str, Any]:
    """Until the newest row is this."""

    def there() -> dict[str, Any] | None:
        row = next(reversed(rows(host)), None)
        return row if row is not None and all(row[name] == value for name, value in wanted.items()) else None

    return wait_until(there, f"the engine has {wanted}")


@pytest.mark.runbook("Unit sampler")
def test_an_engine_that_fails_in_every_way_and_comes_back(tmp_path: Path, tree: Path) -> None:
    """Each failure has its reason and no number; none delays the other tables, and the next answer is believed again."""
    unknown = {"waiting": None, "running": None, "kv_cache_share": None, "engine": "vllm"}
    engine = Engine()
    port = engine.server_port
    cgroup = tree / "engine.service"
    cgroup.mkdir(parents=True)
    with started(["sleep", "1000"]) as process:
        enter(cgroup, process.pid)
        engines = f"engine.service=http://127.0.0.1:{port}"
        with workload_agent(tmp_path, tree, sampler_unit_engines=engines) as host:
            row = wait_row(host, waiting=6, running=8, kv_cache_share=0.72)
            assert (row["engine"], row["kind"], row["container"], row["absent"]) == ("vllm", "service", None, None)
            assert len(rows(host)) == 1
            engine.text, engine.is_chunked = (TEXTS / "vllm-cold.prom").read_bytes(), True
            wait_row(host, waiting=0, running=0, kv_cache_share=0.0, absent=None)
            engine.text = engine.text.replace(b"vllm:num_requests_waiting{", b"vllm:waiting{")
            wait_row(host, waiting=None, running=0, absent="not_told")
            engine.text = b"<html>\xff" * 1000
            wait_row(host, absent="not_told", **unknown)
            engine.status = 404
            wait_row(host, absent="unreadable", **unknown)
            engine.status, engine.text = 200, b"x" * (2 << 20)
            wait_row(host, absent="malformed", **unknown)
            engine.answers.clear()
            ticks = host.agent.stats("sampler/unit")["ticks"]
            wait_row(host, absent="not_answered", **unknown)
            wait_until(lambda: host.agent.stats("sampler/unit")["ticks"] > ticks + 5, "ticks go on while it hangs")
            assert host.agent.stats("sampler/unit")["engines_known"] == 0
            engine.text, engine.is_chunked = (TEXTS / "vllm-two-engines.prom").read_bytes(), False
            engine.answers.set()
            wait_row(host, waiting=6, absent=None)
            engine.leave()
            wait_row(host, absent="not_answered", **unknown)
            engine = Engine(port)
            try:
                wait_row(host, waiting=6, absent=None)
                process.kill()
                process.wait()
                cgroup.rmdir()
                wait_row(host, absent="vanished", **unknown)
            finally:
                engine.leave()


def test_it_is_not_asked_where_the_operator_does_not_want_it(tmp_path: Path, tree: Path) -> None:
    """It is asked for its model alone."""
    engine = Engine()
    (tree / "engine.service").mkdir(parents=True)
    try:
        engines = f"engine.service=http://127.0.0.1:{engine.server_port}"
        with workload_agent(tmp_path, tree, sampler_unit_engines=engines, sampler_unit_engine_load="false") as host:
            wait_until(lambda: host.agent.stats("sampler/unit")["engine_asks_unanswered"] > 1, "it was asked for its model")
            assert "engine_load_asks" not in host.agent.stats("sampler/unit")
            assert rows(host) == []
    finally:
        engine.leave()
