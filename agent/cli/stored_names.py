"""Names of pods and containers at moments of the past, from the tables `pod_group` and `container_name`."""

import json

from agent.cli.known_names import KnownNames
from agent.cli.pod_name import pod_name
from agent.cli.stored_rows import StoredRows
from agent.cli.time_bounds import TimeBounds
from agent.model.tables import CONTAINER_NAME, POD_GROUP
from agent.model.timebase import DAY

_POD_COLUMNS = ("timestamp", "pod_uid", "pod_namespace", "pod_name", "labels")
_CONTAINER_COLUMNS = ("timestamp", "container_id", "name", "pod_uid")


class StoredNames:
    """The names that stored rows give; those of one day are kept.

    *Absent:* what has no row since the day before: everything has one in every day in which an agent ran.
    """

    def __init__(self, state_dir: str) -> None:
        self._pods = StoredRows(state_dir, POD_GROUP)
        self._containers = StoredRows(state_dir, CONTAINER_NAME)
        self._day = -1
        self._names = KnownNames()

    def at(self, at_ns: int) -> KnownNames:
        """The names of a moment. *Raises:* EvergaugeError."""
        if at_ns // DAY != self._day:
            self._day = at_ns // DAY
            # A name may come some seconds after the pod.
            self._names = self.between(TimeBounds((self._day - 1) * DAY, (self._day + 1) * DAY))
        return self._names

    def between(self, bounds: TimeBounds) -> KnownNames:
        """The names in the rows of a time. *Raises:* EvergaugeError."""
        pods: dict[str, str] = {}
        labels: dict[str, dict[str, str]] = {}
        for row in self._pods.rows(bounds, _POD_COLUMNS):
            uid = str(row["pod_uid"])
            if (name := pod_name(row.get("pod_namespace"), row.get("pod_name"))) is not None:
                pods[uid] = name
            if (held := _labels(row.get("labels"))) is not None:
                labels[uid] = held
        containers: dict[str, str] = {}
        containers_of: dict[str, set[str]] = {}
        for row in self._containers.rows(bounds, _CONTAINER_COLUMNS):
            containers[str(row["container_id"])] = str(row["name"])
            containers_of.setdefault(str(row["pod_uid"]), set()).add(str(row["container_id"]))
        return KnownNames(pods, containers, labels, {uid: frozenset(ids) for uid, ids in containers_of.items()})


def _labels(text: object) -> dict[str, str] | None:
    """*Absent:* None where no runtime reported them, and for a text that is no object."""
    if not isinstance(text, str):
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return {str(key): str(value) for key, value in held.items()} if isinstance(held, dict) else None
