"""Pods as `list-pods` tells them."""

from typing import Any

from agent.model.control.document import plain
from agent.model.control.result import PodRow


def pod_row(uid: str, **named: Any) -> PodRow:
    """A pod without runtime and rule, in a group of its own that exists; `named` are other values."""
    usual: dict[str, Any] = {
        "uid": uid,
        "kind": "pod",
        "namespace": None,
        "name": None,
        "labels": {},
        "qos": None,
        "cgroup": f"/kubepods/{uid}",
        "containers": 1,
        "container_names": {},
        "group": uid,
        "group_state": "exists",
        "group_problem": None,
        "group_detail": None,
        "group_paths": [],
        "total_containers": None,
        "reconciled_containers": None,
        "rule": None,
        "valid_from": "2023-11-14T22:13:20.000Z",
    }
    return PodRow(**{**usual, **named})


def pod_list(*pods: PodRow) -> dict[str, object]:
    """The whole answer."""
    return {"complete": True, "pods": [plain(pod) for pod in pods]}
