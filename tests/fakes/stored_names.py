"""Rows of tables `pod_group` and `container_name`."""

import json
from collections.abc import Mapping

from fakes.stored_data import row_of

from agent.model.table import Row
from agent.model.tables import CONTAINER_NAME, POD_GROUP
from agent.store.record import form_of

POD_FORM, CONTAINER_FORM = form_of(POD_GROUP), form_of(CONTAINER_NAME)


def pod_group_row(
    at: int,
    uid: str,
    name: str | None,
    *,
    since: int | None = None,
    labels: Mapping[str, str] | None = None,
) -> Row:
    """A row of an interval that began at `since` (else as the row was written); the pod's name is `namespace/name`."""
    namespace, _, short = (name or "").rpartition("/")
    return row_of(
        POD_GROUP,
        {
            "timestamp": at, "pod_uid": uid, "kind": "pod", "pod_namespace": namespace or None, "pod_name": short or None,
            "cgroup": f"/kubepods/{uid}", "containers": 1, "group": uid, "valid_from": at if since is None else since,
            "labels": None if labels is None else json.dumps(labels), "run": "run-1",
        },
    )  # fmt: skip


def container_name_row(at: int, container: str, name: str, uid: str) -> Row:
    """A row that says what a container is called."""
    return row_of(CONTAINER_NAME, {"timestamp": at, "container_id": container, "name": name, "pod_uid": uid, "run": "run-1"})
