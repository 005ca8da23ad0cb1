"""Names of pods and containers: learned from their tables, bounded, kept over a restart."""

import msgspec
import pytest
from fakes.stored_batch import stored, stored_bytes
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import FormatError
from agent.model.table import Value
from agent.model.tables import CONTAINER_NAME, GAP, POD_GROUP
from agent.store.batch import StoredBatch
from agent.store.record import form_of
from workers.export.names import TEXT_LENGTH_MAX, ContainerName, Names, PodName


def pods(*rows: dict[str, Value]) -> StoredBatch:
    """A batch of table `pod_group`."""
    common: dict[str, Value] = {"timestamp": 1, "kind": "pod", "cgroup": "/p", "containers": 1, "valid_from": 1, "run": "r"}
    return stored(POD_GROUP, [common | row for row in rows])


def containers(*rows: dict[str, Value]) -> StoredBatch:
    """A batch of table `container_name`."""
    common: dict[str, Value] = {"timestamp": 1, "run": "r"}
    return stored(CONTAINER_NAME, [common | row for row in rows])


def named(uid: str, name: str = "web") -> dict[str, Value]:
    """A row of a pod in namespace `shop`."""
    return {"pod_uid": uid, "pod_namespace": "shop", "pod_name": name}


def test_names_of_pods_and_containers_are_learned() -> None:
    """A row of each table is enough."""
    names = Names()
    names.take(pods(named("u1"), {"pod_uid": "/ssh.service", "kind": "service"}))
    names.take(containers({"container_id": "c1", "name": "nginx", "pod_uid": "u1"}))
    assert names.pod("u1") == PodName("shop", "web", "pod")
    assert names.pod("/ssh.service") == PodName(None, None, "service")
    assert names.container("c1") == ContainerName("nginx", "u1")
    assert names.pod("c1") is None
    assert names.container("u1") is None
    assert len(names) == 3


def test_a_row_without_a_name_takes_none_back() -> None:
    """Before a runtime answers again after a restart, rows have no names; the uid is the same pod."""
    names = Names()
    names.take(pods(named("u1")))
    version = names.version
    names.take(pods({"pod_uid": "u1"}))
    assert names.pod("u1") == PodName("shop", "web", "pod")
    assert names.version == version


def test_the_version_grows_with_what_is_new_only() -> None:
    """Who caches by names looks at it."""
    names = Names()
    names.take(pods(named("u1")))
    first = names.version
    names.take(pods(named("u1")))
    assert names.version == first
    names.take(pods(named("u1", "other")))
    assert names.version > first


def test_other_tables_and_bad_rows_are_passed_over() -> None:
    """One bad row costs itself only; bytes that are no rows cost nothing else."""
    names = Names()
    good = list(msgspec.msgpack.decode(pods(named("u1")).rows)[0])
    bad = [*good]
    bad[POD_GROUP.column_names.index("pod_uid")] = 7
    names.take(stored_bytes("pod_group", form_of(POD_GROUP), msgspec.msgpack.encode([bad, good[:-1], good]), 3))
    names.take(stored_bytes("pod_group", form_of(POD_GROUP), b"\xc1", 1))
    names.take(stored(GAP, []))
    names.take(pods({"pod_uid": ""}, named("x" * (TEXT_LENGTH_MAX + 1))))
    names.take(containers({"container_id": "", "name": "n", "pod_uid": "u"}))
    assert len(names) == 1
    assert names.pod("u1") is not None


def test_an_older_form_without_the_columns_teaches_nothing() -> None:
    """Columns are found by name; without them there is no name."""
    old = msgspec.structs.replace(form_of(POD_GROUP), names=("timestamp",), dtypes=("int64",), nullable=())
    names = Names()
    names.take(stored_bytes("pod_group", old, msgspec.msgpack.encode([(1,)]), 1))
    unknown = msgspec.structs.replace(form_of(POD_GROUP), dtypes=("riddle",) * len(POD_GROUP.columns))
    names.take(stored_bytes("pod_group", unknown, msgspec.msgpack.encode([(1,)]), 1))
    assert len(names) == 0


def test_the_oldest_name_goes_first() -> None:
    """A row that is written again makes its name the newest."""
    names = Names(names_max=2)
    names.take(pods(named("u1"), named("u2"), named("u1"), named("u3")))
    assert [uid for uid in ("u1", "u2", "u3") if names.pod(uid)] == ["u1", "u3"]


def test_a_snapshot_is_restored_in_whole() -> None:
    """Another process knows the same, in the same order of age."""
    names, other = Names(names_max=2), Names(names_max=2)
    names.take(pods(named("u1"), named("u2")))
    names.take(containers({"container_id": "c1", "name": "nginx", "pod_uid": "u1"}))
    other.take(pods(named("before")))
    other.restore(names.snapshot())
    assert names.snapshot() == other.snapshot()
    assert other.pod("before") is None
    other.take(pods(named("u3")))
    assert (other.pod("u1"), other.pod("u2")) == (None, PodName("shop", "web", "pod"))
    assert other.snapshot() != names.snapshot()


@given(st.binary(max_size=40))
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    """A damaged snapshot leaves nothing behind."""
    names = Names()
    names.take(pods(named("u1")))
    with pytest.raises(FormatError):
        names.restore(data)
    assert len(names) == 0


def test_a_snapshot_of_another_version_is_refused() -> None:
    """The sentence says which versions they are."""
    with pytest.raises(FormatError, match="format 9 is not known to this version, which reads 1"):
        Names().restore(msgspec.msgpack.encode([9, {}, {}]))
