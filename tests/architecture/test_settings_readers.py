"""Each setting that a worker's code reads is declared by the worker: else a reload would not reach it."""

import ast
from pathlib import Path

import agent.config
from agent.config import BUFFER_BYTES, HEARTBEAT_INTERVAL, PLACES, READER_GROUP
from agent.setting import Setting
from workers import registry

ROOT = Path(__file__).parents[2]
# Kinds of workers that have a folder of their own, by the folder. What workers share is not looked at: it gets values handed in.
FOLDERS = {"gateway": "gateway", "writer": "writer", "control_plane": "control-plane", "workloads": "workloads"}
# A change of these needs a start of the agent anyway, or concerns every worker.
OF_ALL = {each.key for each in PLACES} | {BUFFER_BYTES.key, HEARTBEAT_INTERVAL.key, READER_GROUP.key, "state_dir", "host_name"}
BY_NAME: dict[str, str] = {name: value.key for name, value in vars(agent.config).items() if isinstance(value, Setting)}


def keys_read(folder: Path) -> set[str]:
    """The keys of all settings of `agent.config` that modules below a folder import."""
    return {
        BY_NAME[alias.name]
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "agent.config"
        for alias in node.names
        if alias.name in BY_NAME
    }


def test_what_a_worker_reads_is_declared() -> None:
    """In `settings` or `reads` of its declaration."""
    readers = registry.readers(agent.config.Config({}))
    missing = {
        worker: sorted(keys_read(ROOT / "workers" / folder) - readers[worker] - OF_ALL) for folder, worker in FOLDERS.items()
    }
    assert {worker: keys for worker, keys in missing.items() if keys} == {}


def test_a_setting_that_is_read_and_not_declared_is_found(tmp_path: Path) -> None:
    """The check can fail."""
    (tmp_path / "work.py").write_text("from agent.config import GATEWAY_PORT, Config\n")
    assert keys_read(tmp_path) == {"gateway.port"}
