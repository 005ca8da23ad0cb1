"""Names of pods and containers, learned from the rows that an export passes by. PURE.

Rows of other tables have the uid of a pod and the id of a container only. What `snapshot` gives, `restore` begins from, so that a
worker that is started again knows every name at once and not only when its row is written again, once in a day.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.table import Row
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder

POD_TABLE, CONTAINER_TABLE = "pod_group", "container_name"
# A node has some hundred pods at a time; rows of pods that are gone come later too, from a backlog.
NAMES_MAX = 100_000
# The longest path of a cgroup; a name of Kubernetes has 253 characters at most.
TEXT_LENGTH_MAX = 4096
FORMAT = 1

_Found = TypeVar("_Found")


class PodName(Struct, frozen=True):
    """What is known of a pod or unit. *Absent:* `namespace` and `name` where no runtime reported them, as of a service."""

    namespace: str | None
    name: str | None
    kind: str


class ContainerName(Struct, frozen=True):
    """The name of a container in its pod, and the uid of that pod."""

    name: str
    pod_uid: str


class _Snapshot(Struct, frozen=True, array_like=True):
    format: int
    pods: dict[str, PodName]
    containers: dict[str, ContainerName]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Snapshot)


class Names:
    """The names that were seen last. *Range:* NAMES_MAX of each; the one whose row is the oldest goes first."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._names_max = names_max
        self._pods: dict[str, PodName] = {}
        self._containers: dict[str, ContainerName] = {}
        self._form: TableForm | None = None
        self._decoder: RowDecoder | None = None
        self._snapshot: bytes | None = None
        # Grows with each name that is new or another one: who keeps something made of names looks at it.
        self.version = 0

    def __len__(self) -> int:
        return len(self._pods) + len(self._containers)

    def pod(self, uid: str) -> PodName | None:
        """The name of a pod or unit; None: no row of it was seen."""
        return self._pods.get(uid)

    def container(self, container_id: str) -> ContainerName | None:
        """The name of a container; None: no row of it was seen."""
        return self._containers.get(container_id)

    def take(self, batch: StoredBatch) -> None:
        """Learn from a batch. Batches of other tables, rows that do not fit and rows without the columns are passed over."""
        if batch.table == POD_TABLE:
            self._learn(batch, ("pod_uid", "kind", "pod_namespace", "pod_name"), self._add_pod)
        elif batch.table == CONTAINER_TABLE:
            self._learn(batch, ("container_id", "name", "pod_uid"), self._add_container)

    def snapshot(self) -> bytes:
        """All that is known, for `restore`."""
        if self._snapshot is None:
            self._snapshot = _ENCODER.encode(_Snapshot(FORMAT, self._pods, self._containers))
        return self._snapshot

    def restore(self, snapshot: bytes) -> None:
        """Know what was known there, and nothing else. *Raises:* FormatError; then nothing is known."""
        self._pods, self._containers, self._snapshot = {}, {}, None
        self.version += 1
        try:
            found = _DECODER.decode(snapshot)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise FormatError("names of pods", f"they cannot be read: {cause}") from cause
        if found.format != FORMAT:
            raise FormatError("names of pods", f"format {found.format} is not known to this version, which reads {FORMAT}")
        self._pods = _newest(found.pods, self._names_max)
        self._containers = _newest(found.containers, self._names_max)

    def _learn(self, batch: StoredBatch, columns: tuple[str, ...], add: Callable[..., None]) -> None:
        form = batch.form
        if not set(columns) <= set(form.names):
            return
        places = tuple(form.names.index(name) for name in columns)
        for row in self._rows(batch):
            values = tuple(row[place] for place in places)
            if all(value is None or (isinstance(value, str) and len(value) <= TEXT_LENGTH_MAX) for value in values):
                add(*values)

    def _rows(self, batch: StoredBatch) -> "list[Row]":
        try:
            if self._decoder is None or self._form != batch.form:
                self._form, self._decoder = batch.form, RowDecoder(batch.form)
            return list(self._decoder.decode(batch.rows)[0])
        except FormatError:
            # The worker counts rows and finds the same and reports it; here it only means that no name is shown.
            return []

    def _add_pod(self, uid: str | None, kind: str | None, namespace: str | None, name: str | None) -> None:
        if not uid or kind is None:
            return
        known = self._pods.get(uid)
        if known is not None and name is None:
            # A uid keeps its name: a row from before the runtime answered takes nothing back.
            namespace, name = known.namespace, known.name
        self._put(self._pods, uid, PodName(namespace, name, kind))

    def _add_container(self, container_id: str | None, name: str | None, pod_uid: str | None) -> None:
        if container_id and name is not None and pod_uid is not None:
            self._put(self._containers, container_id, ContainerName(name, pod_uid))

    def _put(self, found: dict[str, _Found], key: str, name: _Found) -> None:
        if found.pop(key, None) != name:
            self.version += 1
        # Behind all others: its row is the newest.
        found[key] = name
        self._snapshot = None
        if len(found) > self._names_max:
            del found[next(iter(found))]


def _newest(found: dict[str, _Found], names_max: int) -> dict[str, _Found]:
    return dict(list(found.items())[-names_max:])
