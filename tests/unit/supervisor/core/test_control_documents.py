"""Every operation's document, byte for byte: programs read them, and a field that moves or goes breaks a reader."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.control_documents import story_of_everything, wire_line
from fakes.story import Story

from agent.model.control import OPERATIONS
from agent.model.message import Ask, Reply
from supervisor.core.effect import (
    Effect,
    LimitsPersisted,
    Persist,
    Persisted,
    PersistLimits,
    ReadSettings,
    Respond,
    Send,
    SettingsRead,
)
from supervisor.core.settings_change import ChangedSetting, Needed, SettingsChange

FIXTURES = Path(__file__).parents[3] / "fixtures" / "control"


def _asks(effects: list[Effect]) -> dict[str, int]:
    return {each.child: each.message.ask for each in effects if isinstance(each, Send) and isinstance(each.message, Ask)}


def _answer(effects: list[Effect]) -> Respond:
    (answer,) = [effect for effect in effects if isinstance(effect, Respond)]
    return answer


def _ask_worker(story: Story, operation: str, worker: str, body: dict[str, object], **arguments: object) -> Respond:
    ask = _asks(story.command(operation, **arguments))[worker]
    return _answer(story.say(worker, Reply(ask, body)))


def _status(story: Story) -> Respond:
    asks = _asks(story.command("status"))
    bodies: dict[str, dict[str, object]] = {"writer": {"rows": 5, "quota": {"removed_files": 1}}, "gateway": {"address": None}}
    answers: list[Effect] = []
    for name, ask in asks.items():
        answers += story.say(name, Reply(ask, bodies.get(name, {})))
    return _answer(answers)


def _change(story: Story, operation: str, **arguments: object) -> Respond:
    effects = story.command(operation, **arguments)
    (persist,) = [effect for effect in effects if isinstance(effect, Persist)]
    return _answer(story.tell(Persisted(persist.token)))


def _set_limit(story: Story) -> Respond:
    (persist,) = [each for each in story.command("set-limit", name="writer", cpu=500) if isinstance(each, PersistLimits)]
    return _answer(story.tell(LimitsPersisted(persist.token)))


def _reload(story: Story) -> Respond:
    settings = (
        ChangedSetting("log.level", "info", "debug", Needed.NOTHING),
        ChangedSetting("sampler.process.top_rows", "50", "60", Needed.RESTARTED_WORKER, ("sampler/process",)),
        ChangedSetting("state_dir", "/s", "/t", Needed.RESTART),
    )
    change = SettingsChange(
        settings, 1, {}, {}, {}, is_governed=True, restarted=frozenset({"sampler/process"}), removed=frozenset({"gateway"})
    )
    (order,) = [each for each in story.command("reload") if isinstance(each, ReadSettings)]
    return _answer(story.tell(SettingsRead(order.token, change=change)))


WORKLOAD: dict[str, object] = {
    "name": "train", "state": "running", "pid": 7, "started": "2027-01-15T08:00:00.000Z", "uptime_seconds": 1.0,
    "restart": "always",
    "restarts": 2, "backoff_seconds": None, "command": "python train.py --token ***", "environment": ["TOKEN"],
    "labels": {"team": "a"},
    "user": "", "gpus": ["0"], "source": "command", "has_changed": False, "adopted": True, "birth": "clone_into_cgroup",
    "cgroup": "/evergauge-workloads/train.workload", "in_force": {"memory.max": "4294967296"}, "cpu_seconds": 3.5,
    "memory_bytes": 4096, "ended": None, "ended_how": None, "exit_code": None, "signal": None, "oom_kills": None,
    "memory_peak_bytes": None, "output": "/s/workloads/train.out", "problem": None,
}  # fmt: skip
HELD: dict[str, object] = {
    "revision": 2,
    "digest": "00ff",
    "rules": [{"name": "web", "match": {"qos": "burstable"}}],
    "pods": [{"unit": {"uid": "u1", "kind": "pod", "cgroup": "/k/u1"}, "group": "u1"}],
}
SEALED: dict[str, object] = {"files": [{"table": "process", "path": "/s/data/process/a.parquet", "rows": 3}], "rows": 3}
CHANGED: dict[str, object] = {"name": "train", "state": "running", "pid": 7, "birth": "clone_into_cgroup", "note": None}
LISTED: dict[str, object] = {"is_asked": True, "problem": None, "workloads": [WORKLOAD]}

FLEET: dict[str, object] = {"hub": "hub-1", "hub_run": "00ff", "index": 7, "as_of": "2027-01-15T08:00:00.000Z"}
FLEET_NODE: dict[str, object] = {
    "node": "0011223344556677", "host": "node-1", "state": "fresh", "since": "2027-01-15T08:00:00.000Z", "silent_seconds": 0.4,
    "age_seconds": 0.9, "last_seen": "2027-01-15T08:00:00.000Z", "agent_version": "1.0", "run": "aa", "cpus": 8, "cpu_cores": 1.5,
    "memory_bytes": 1024, "memory_available_bytes": 512, "pressure_cpu": 0.1, "pressure_memory": 0.0, "pressure_io": None,
    "disk_bytes_per_second": 4096, "network_bytes_per_second": None, "gpus": 1, "units": 2, "workers": 1,
    "conditions": ["writer: disk: nearly full"], "clock_offset_seconds": -3600.0, "received": 10, "lost": 1, "doubled": 0,
    "late": 0, "refused": 0, "problem": None,
}  # fmt: skip
FLEET_UNIT: dict[str, object] = {
    "node": "0011223344556677", "host": "node-1", "unit": "u1", "kind": "pod", "name": "cart", "namespace": "shop",
    "model": "org/model", "served_model": "model", "lora": [], "engine": "vllm", "model_source": "engine_api", "state": "busy",
    "started": None, "age_seconds": 0.9, "cpu_cores": 0.5, "memory_bytes": 1024, "memory_limit_bytes": None, "pressure_cpu": 0.0,
    "pressure_memory": 0.0, "pressure_io": 0.0, "throttled": None, "io_bytes_per_second": 0, "cache_bytes": 4096,
    "memory_bandwidth_bytes_per_second": None, "gpu_busy": 0.9, "vram_bytes": 8, "vram_free_bytes": 4, "waiting": 1, "running": 2,
    "kv_cache": 0.5, "reserved": 1, "sources": {"cpu": "cgroup"},
}  # fmt: skip
NODES: dict[str, object] = {**FLEET, "states": {"fresh": 1}, "suspicion": None, "nodes": [FLEET_NODE]}
UNITS: dict[str, object] = {**FLEET, "found": 1, "excluded": {"other_kind": 1}, "units": [FLEET_UNIT]}
FITTING: dict[str, object] = {**FLEET, "found": 1, "excluded": {"too_old": 2}, "suspicion": None, "workers": [FLEET_UNIT]}
INVITED: dict[str, object] = {"invitation": "evergauge-1:h:1:k:t", "expires": "2027-01-15T08:00:00.000Z", "uses": 1}
REMOVED: dict[str, object] = {"node": "0011223344556677", "host": "node-1"}
MEMBERS: dict[str, object] = {
    "hub": "hub-1", "listen": "tcp://127.0.0.1:9465", "join": "tcp://127.0.0.1:9466", "page": None, "key": "k",
    "open_invitations": 1,
    "members": [
        {"node": "0011223344556677", "host": "node-1", "joined": "2027-01-15T08:00:00.000Z", "last_seen": None, "state": "fresh"}
    ],
    "problem": None,
}  # fmt: skip

ASKED: dict[str, Callable[[Story], Respond]] = {
    "hello": lambda story: story.ask("hello"),
    "ready": lambda story: story.ask("ready"),
    "list-workers": lambda story: story.ask("list-workers"),
    "list-limits": lambda story: story.ask("list-limits"),
    "set-limit": _set_limit,
    "reload": _reload,
    "list-pods": lambda story: story.ask("list-pods"),
    "list-rules": lambda story: story.ask("list-rules"),
    "diag": lambda story: story.ask("diag", limit=3),
    "status": _status,
    "worker-state": lambda story: _ask_worker(story, "worker-state", "writer", HELD, name="writer"),
    "rotate": lambda story: _ask_worker(story, "rotate", "writer", SEALED),
    "add-rule": lambda story: _change(story, "add-rule", rule={"name": "new", "match": {"namespace": "prod-*"}}),
    "remove-rule": lambda story: _change(story, "remove-rule", name="web"),
    "restart-worker": lambda story: story.ask("restart-worker", name="sampler/process"),
    "reset-worker": lambda story: story.ask("reset-worker", name="writer"),
    "list-workloads": lambda story: _ask_worker(story, "list-workloads", "workloads", LISTED),
    "run-workload": lambda story: _ask_worker(story, "run-workload", "workloads", CHANGED, name="train"),
    "stop-workload": lambda story: _ask_worker(story, "stop-workload", "workloads", CHANGED, name="train"),
    "forget-workload": lambda story: _ask_worker(story, "forget-workload", "workloads", CHANGED, name="train"),
    "fleet-nodes": lambda story: _ask_worker(story, "fleet-nodes", "workloads", NODES),
    "fleet-units": lambda story: _ask_worker(story, "fleet-units", "workloads", UNITS),
    "fleet-workers": lambda story: _ask_worker(story, "fleet-workers", "workloads", FITTING),
    "hub-list": lambda story: _ask_worker(story, "hub-list", "workloads", MEMBERS),
    "hub-invite": lambda story: _ask_worker(story, "hub-invite", "workloads", INVITED),
    "hub-remove": lambda story: _ask_worker(story, "hub-remove", "workloads", REMOVED, node="node-1"),
    "error": lambda story: story.ask("worker-state", name="nobody"),
}


def test_every_operation_has_a_document() -> None:
    """A new operation brings its document."""
    assert set(ASKED) - {"error"} == OPERATIONS


@pytest.mark.parametrize("operation", sorted(ASKED))
def test_the_document_is_as_it_was(operation: str) -> None:
    """The bytes on the socket, names and order of the fields included."""
    assert wire_line(ASKED[operation](story_of_everything())) == (FIXTURES / f"{operation}.json").read_bytes()
