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
    "error": lambda story: story.ask("worker-state", name="nobody"),
}


def test_every_operation_has_a_document() -> None:
    """A new operation brings its document."""
    assert set(ASKED) - {"error"} == OPERATIONS


@pytest.mark.parametrize("operation", sorted(ASKED))
def test_the_document_is_as_it_was(operation: str) -> None:
    """The bytes on the socket, names and order of the fields included."""
    assert wire_line(ASKED[operation](story_of_everything())) == (FIXTURES / f"{operation}.json").read_bytes()
