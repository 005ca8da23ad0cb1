"""The messages of NRI, as this plugin needs them."""

import pytest
from fakes.nri_wire import field, repeated, varint

from agent.model.errors import ProtocolError
from workers.control_plane.container_runtime.event import ContainerState, RuntimeContainer, RuntimePod
from workers.control_plane.nri.message import (
    ID_BYTES_MAX,
    LABEL_CHARACTERS_MAX,
    LABEL_KEY_CHARACTERS_MAX,
    LABEL_VALUE_CHARACTERS_MAX,
    LABELS_MAX,
    LABELS_READ_MAX,
    NAME_CHARACTERS_MAX,
    NS_PER_MS,
    PID_MAX,
    Configuration,
    SessionCounters,
    Subject,
    pack_registration,
    pack_subscription,
    pack_synchronized,
    parse_configuration,
    parse_container,
    parse_id,
    parse_pod,
    parse_subject,
)

ID = "0123456789abcdef" * 4


def pod_of(record: bytes) -> RuntimePod:
    """A pod that has an identity."""
    pod = parse_pod(record, SessionCounters())
    assert pod is not None
    return pod


def container_of(record: bytes) -> RuntimeContainer:
    """A container that has an identity, in a pod that has one."""
    container = parse_container(field(1, ID) + field(2, "pod") + record)
    assert container is not None
    return container


# ---- configuration -------------------------------------------------------------------------------


def test_a_configuration_of_new_runtimes_is_read() -> None:
    """Name, versions and limits; the plugin's own configuration is passed over."""
    data = field(1, "config: x") + field(2, "containerd") + field(3, "2.4.2") + field(4, 5000) + field(5, 2000)
    assert Configuration("containerd", "2.4.2", "v0.12.5", 5_000_000_000, 2_000_000_000) == parse_configuration(
        data + field(6, "v0.12.5")
    )


def test_a_configuration_of_old_runtimes_is_read() -> None:
    """Before NRI 0.8 there are no limits, and up to 0.10 no version of NRI."""
    assert Configuration("containerd", "1.7.24") == parse_configuration(field(2, "containerd") + field(3, "1.7.24"))


def test_limits_and_texts_of_a_configuration_are_bounded() -> None:
    """A negative limit is none, a huge one is a day; a name of another type is unknown."""
    data = field(2, 5) + field(3, "1\n" * 500) + field(4, -1) + field(5, 2**62) + field(4, "x")
    found = parse_configuration(data)
    assert (found.runtime_name, found.registration_timeout_ns, found.request_timeout_ns) == ("", 0, 86_400_000 * NS_PER_MS)
    assert len(found.runtime_version) == NAME_CHARACTERS_MAX


# ---- pods ----------------------------------------------------------------------------------------


def test_a_pod_is_read() -> None:
    """Identity, names, labels, the parent of its cgroups; annotations, handler, pid and addresses are passed over."""
    record = b"".join((
        field(1, ID),
        field(2, "web-0"),
        field(3, "uid-1"),
        field(4, "shop"),
        field(5, {"app": "web", "tier": "front", "empty": ""}),
        field(6, {"note": "x"}),
        field(7, "runc"),
        field(8, field(1, b"") + field(3, "/kubepods/pod1") + field(4, "/kubepods/pod1/sandbox")),
        field(9, 4711),
        field(10, "10.0.0.1"),
    ))  # fmt: skip
    labels = {"app": "web", "tier": "front", "empty": ""}
    assert RuntimePod(ID, "uid-1", "shop", "web-0", labels, "/kubepods/pod1") == pod_of(record)


def test_a_pod_without_a_uid_is_called_by_its_sandbox() -> None:
    """So is one whose uid is longer than any: a part of it could be the uid of another."""
    assert pod_of(field(1, ID)).uid == f"sandbox-{ID}"
    assert pod_of(field(1, ID) + field(3, "u" * (ID_BYTES_MAX + 1))).uid == f"sandbox-{ID}"
    assert pod_of(field(1, ID) + field(3, "u" * ID_BYTES_MAX)).uid == "u" * ID_BYTES_MAX


def test_a_pod_without_an_identity_is_none() -> None:
    """No id, or one that is too long."""
    assert parse_pod(field(2, "web"), SessionCounters()) is None
    assert parse_pod(field(1, "i" * (ID_BYTES_MAX + 1)), SessionCounters()) is None


def test_the_last_of_repeated_fields_counts_and_messages_are_merged() -> None:
    """As in every protobuf runtime; a label that is repeated has its last value."""
    record = field(1, "first") + field(1, ID) + field(5, {"app": "old"}) + field(5, {"app": "new"})
    record += field(8, field(3, "/parent")) + field(8, field(4, "/path"))
    assert RuntimePod(ID, f"sandbox-{ID}", labels={"app": "new"}, cgroup_parent="/parent") == pod_of(record)


def test_fields_of_another_wire_type_are_unknown_fields() -> None:
    """Numbers where texts belong, in the pod, its labels and its Linux part."""
    record = field(1, ID) + field(2, 5) + field(5, 6) + field(5, field(1, 7) + field(2, 8) + field(3, "x")) + field(8, field(3, 9))
    assert RuntimePod(ID, f"sandbox-{ID}", labels={"": ""}) == pod_of(record)


def test_texts_of_a_pod_are_readable_and_bounded() -> None:
    """Any Unicode stays; bytes that are no UTF-8 and control characters are written out."""
    record = field(1, ID) + field(2, "süß-🙂") + field(4, b"a\xffb\x1b[31m") + field(5, {b"k\xfe": "v\n"})
    pod = pod_of(record)
    assert (pod.name, pod.namespace, pod.labels) == ("süß-🙂", "a\\xffb\\x1b[31m", {"k\\xfe": "v\\n"})
    assert len(pod_of(field(1, ID) + field(2, "n" * 10_000)).name) == NAME_CHARACTERS_MAX


def test_keys_and_values_of_labels_are_bounded() -> None:
    """A longer one ends with a sign that it was cut."""
    (label,) = pod_of(field(1, ID) + field(5, {"k" * 5000: "v" * 5000})).labels.items()
    assert label == ("k" * (LABEL_KEY_CHARACTERS_MAX - 1) + "…", "v" * (LABEL_VALUE_CHARACTERS_MAX - 1) + "…")


def test_containerds_own_labels_are_none_of_the_pod() -> None:
    """CRI does not have them: a pod whose source changes would change its labels, and be published again."""
    labels: dict[str | bytes, str | bytes] = {"io.cri-containerd.kind": "sandbox", "app": "web", "io.cri-containerd": "kept"}
    assert pod_of(field(1, ID) + field(5, labels)).labels == {"app": "web", "io.cri-containerd": "kept"}


@pytest.mark.parametrize(
    ("count", "length", "kept"),
    [(LABELS_MAX, 1, LABELS_MAX), (LABELS_MAX + 5, 1, LABELS_MAX), (40, 1000, LABEL_CHARACTERS_MAX // 1004)],
)
def test_labels_above_the_limits_are_dropped_by_their_keys(count: int, length: int, kept: int) -> None:
    """Whichever order they came in, the same ones stay, and the others are counted."""
    labels: dict[str | bytes, str | bytes] = {f"k{number:03}": "v" * length for number in range(count)}
    for ordered in (labels, dict(reversed(labels.items()))):
        counters = SessionCounters()
        pod = parse_pod(field(1, ID) + field(5, ordered), counters)
        assert pod is not None
        assert [f"k{number:03}" for number in range(kept)] == sorted(pod.labels)
        assert counters.labels_dropped == count - kept


def test_no_more_entries_of_labels_are_read_than_the_limit() -> None:
    """The entries after it cost nothing, and are counted."""
    counters = SessionCounters()
    pod = parse_pod(field(1, ID) + repeated(5, [b""] * (LABELS_READ_MAX + 7)), counters)
    assert pod is not None
    assert (pod.labels, counters.labels_dropped) == ({"": ""}, 7)


# ---- containers ----------------------------------------------------------------------------------


def test_a_container_is_read() -> None:
    """Identity, name, state, path and pid; arguments, environment and mounts are passed over, whatever is in them."""
    record = b"".join((
        field(3, "app"),
        field(4, 3),
        field(5, {"l": "v"}),
        field(7, b"\xff\xff"),
        field(8, b"SECRET=\xff"),
        field(9, b"\xff no message"),
        field(11, field(2, b"device") + field(5, "kubepods-pod1.slice:cri-containerd:abc")),
        field(12, 4711),
        field(14, 1_700_000_000_000_000_000),
        field(17, -1),
    ))  # fmt: skip
    assert RuntimeContainer(
        ID, "pod", "app", ContainerState.RUNNING, "kubepods-pod1.slice:cri-containerd:abc", 4711
    ) == container_of(record)


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (0, ContainerState.UNKNOWN),
        (1, ContainerState.CREATED),
        (2, ContainerState.PAUSED),
        (3, ContainerState.RUNNING),
        (4, ContainerState.STOPPED),
        (99, ContainerState.UNKNOWN),
    ],
)
def test_states_are_named(number: int, state: ContainerState) -> None:
    """A state that is not known yet is unknown."""
    assert container_of(field(4, number)).state is state


def test_a_pid_that_linux_cannot_have_is_none() -> None:
    """The kernel's limit still is a pid."""
    assert container_of(field(12, PID_MAX)).pid == PID_MAX
    assert container_of(field(12, PID_MAX + 1)).pid == 0
    assert container_of(field(12, "text") + field(4, "text")) == RuntimeContainer(ID, "pod")


def test_a_container_without_an_identity_is_none() -> None:
    """Its own or its pod's."""
    assert parse_container(field(1, ID)) is None
    assert parse_container(field(2, "pod")) is None


def test_an_identity_alone_is_read() -> None:
    """The last of several; one that is too long is none; other fields are passed over."""
    assert parse_id(field(1, "first") + field(2, "name") + field(1, ID) + field(1, 5)) == ID
    assert parse_id(field(1, "i" * (ID_BYTES_MAX + 1))) == ""
    assert parse_id(b"") == ""


# ---- what a call is about ------------------------------------------------------------------------


def test_a_state_change_has_an_event_before_its_pod() -> None:
    """Event, pod, container; parts of a message are merged."""
    data = field(1, 6) + field(2, b"po") + field(2, b"d") + field(3, b"container") + field(4, 5)
    assert Subject(6, b"pod", b"container") == parse_subject(data, is_state_change=True)
    assert Subject(0, b"", b"") == parse_subject(b"", is_state_change=True)


def test_a_call_of_its_own_begins_with_the_pod() -> None:
    """Pod, container; what else it has is passed over."""
    data = field(1, b"pod") + field(2, b"container") + field(3, b"more") + field(4, 5)
    assert Subject(0, b"pod", b"container") == parse_subject(data, is_state_change=False)


@pytest.mark.parametrize("data", [b"\x0a", b"\x0b", b"\x0a\x05abc", b"\x00"])
def test_broken_messages_are_refused(data: bytes) -> None:
    """By every parser."""
    for parse in (parse_configuration, parse_container, parse_id):
        with pytest.raises(ProtocolError):
            parse(data)
    with pytest.raises(ProtocolError):
        parse_pod(data, SessionCounters())
    with pytest.raises(ProtocolError):
        parse_subject(data, is_state_change=True)


# ---- what is sent --------------------------------------------------------------------------------


def test_what_is_sent() -> None:
    """The same bytes as another encoder writes."""
    assert field(1, "evergauge") + field(2, "10") == pack_registration("evergauge", "10")
    assert field(2, 1575) == pack_subscription(1575)
    assert varint(2 << 3) + varint(1) == pack_synchronized(has_more=True)
    assert pack_synchronized(has_more=False) == b""


def test_everything_is_never_subscribed_to() -> None:
    """A mask of 0 would mean every event that there is, the validator's included."""
    with pytest.raises(AssertionError):
        pack_subscription(0)
