"""The messages of CRI: recorded ones, made ones, damaged ones."""

from pathlib import Path

import pytest
from fakes.cri_peer import bytes_field, container_item, list_answer, number_field, sandbox_item
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ProtocolError
from workers.control_plane.container_runtime.event import ContainerState, RuntimeContainer, RuntimePod
from workers.control_plane.cri import message
from workers.control_plane.cri.message import parse_containers, parse_sandboxes, parse_version
from workers.control_plane.nri.message import LABEL_VALUE_CHARACTERS_MAX, LABELS_MAX

FIXTURES = Path(__file__).parents[4] / "fixtures/cri"
VERSIONS = ("containerd-1.7.24", "containerd-2.1.9")
PARSERS = {"version.bin": parse_version, "sandboxes.bin": parse_sandboxes, "containers.bin": parse_containers}
RECORDED = [(version, name) for version in VERSIONS for name in PARSERS]
# Any text as it comes through the wire: without what `readable` writes in another way.
TEXT = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)
ID = st.text("0123456789abcdef", min_size=1, max_size=64)
# A path is no uid.
UID = TEXT.filter(lambda uid: bool(uid) and not uid.startswith("/"))
POD = st.builds(RuntimePod, sandbox_id=ID, uid=UID, namespace=TEXT, name=TEXT, labels=st.dictionaries(TEXT, TEXT, max_size=4))
CONTAINER = st.builds(RuntimeContainer, id=ID, sandbox_id=ID, name=TEXT, state=st.sampled_from(ContainerState))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_runtime_is_understood(version: str) -> None:
    """Its pods with names, uids and labels, and the containers of each."""
    folder = FIXTURES / version
    assert str(parse_version((folder / "version.bin").read_bytes())).startswith(version.replace("-", " "))
    pods = {pod.name: pod for pod in parse_sandboxes((folder / "sandboxes.bin").read_bytes()).pods}
    containers = parse_containers((folder / "containers.bin").read_bytes()).containers
    assert {"web-0", "grüße"} == set(pods)
    web = pods["web-0"]
    assert (web.namespace, web.labels["io.kubernetes.pod.uid"]) == ("default", web.uid)
    assert (web.labels["app.kubernetes.io/part-of"], pods["grüße"].labels["empty"]) == ("shop", "")
    assert {pod.sandbox_id for pod in pods.values()} == {container.sandbox_id for container in containers}
    assert {("main", ContainerState.RUNNING)} == {(container.name, container.state) for container in containers}


@pytest.mark.parametrize(("version", "name"), RECORDED)
def test_every_beginning_of_a_recorded_message_is_read_or_refused(version: str, name: str) -> None:
    """A cut message is a shorter one or a protocol error, never anything else."""
    data = (FIXTURES / version / name).read_bytes()
    for cut in range(len(data)):
        read_or_refuse(name, data[:cut])


@pytest.mark.parametrize(("version", "name"), RECORDED)
def test_every_altered_byte_of_a_recorded_message_is_read_or_refused(version: str, name: str) -> None:
    """Bits that turned over never raise anything but a protocol error."""
    data = bytearray((FIXTURES / version / name).read_bytes())
    for place, byte in enumerate(bytes(data)):
        for altered in (byte ^ 0x01, byte ^ 0x80, 0xFF):
            data[place] = altered
            read_or_refuse(name, bytes(data))
        data[place] = byte


@given(st.sampled_from(list(PARSERS)), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    """Also those that never were a message."""
    read_or_refuse(name, data)


def read_or_refuse(name: str, data: bytes) -> None:
    """A parser's result is of no interest here."""
    try:
        PARSERS[name](data)
    except ProtocolError:
        return


@given(st.lists(POD, max_size=5, unique_by=lambda pod: pod.sandbox_id))
def test_sandboxes_come_as_they_are_in_the_order_of_their_ids(pods: list[RuntimePod]) -> None:
    """Each field that is needed, whatever else stands beside it."""
    found = parse_sandboxes(list_answer(sandbox_item(pod) for pod in pods))
    assert (tuple(sorted(pods, key=lambda pod: pod.sandbox_id)), 0) == (found.pods, found.left_out)


@given(st.lists(CONTAINER, max_size=5, unique_by=lambda container: container.id))
def test_containers_that_ended_are_left_away(containers: list[RuntimeContainer]) -> None:
    """Also where a runtime does not look at the filter; CRI knows no paused container."""
    paused = {ContainerState.PAUSED: ContainerState.UNKNOWN}
    wanted = [RuntimeContainer(it.id, it.sandbox_id, it.name, paused.get(it.state, it.state)) for it in containers]
    living = [container for container in wanted if container.state is not ContainerState.STOPPED]
    found = parse_containers(list_answer(container_item(container) for container in wanted))
    assert (tuple(sorted(living, key=lambda container: container.id)), 0) == (found.containers, found.left_out)


def test_a_pod_without_a_uid_is_named_by_its_sandbox() -> None:
    """crictl makes such pods."""
    pod = RuntimePod("ab", "")
    assert parse_sandboxes(list_answer([sandbox_item(pod)])).pods[0].uid == "sandbox-ab"


def test_items_without_an_id_are_left_out_and_counted() -> None:
    """Nothing could be bound to them; two items of one id are one."""
    pods = list_answer([sandbox_item(RuntimePod("", "u")), sandbox_item(RuntimePod("s", "u")), sandbox_item(RuntimePod("s", "u"))])
    containers = list_answer([container_item(RuntimeContainer("", "s")), container_item(RuntimeContainer("c", "s"))])
    assert (len(parse_sandboxes(pods).pods), parse_sandboxes(pods).left_out) == (1, 2)
    assert (len(parse_containers(containers).containers), parse_containers(containers).left_out) == (1, 1)


def test_the_numbers_of_items_and_labels_are_bounded() -> None:
    """What is beyond is left out and counted."""
    many = b"".join(bytes_field(1, bytes_field(1, f"{number}")) for number in range(message.ITEMS_MAX + 3))
    assert (len(parse_sandboxes(many).pods), parse_sandboxes(many).left_out) == (message.ITEMS_MAX, 3)
    labelled = RuntimePod("s", "u", labels={f"k{number}": "v" for number in range(LABELS_MAX + 1)})
    found = parse_sandboxes(list_answer([sandbox_item(labelled)]))
    assert (len(found.pods[0].labels), found.labels_dropped) == (LABELS_MAX, 1)


def test_texts_are_readable_and_bounded() -> None:
    """Control characters and bytes that are not UTF-8 are escaped, long texts cut."""
    item = sandbox_item(RuntimePod("s", "u", name="a\x1b[2J", namespace="\udcff", labels={"k": "v" * 5_000}))
    pod = parse_sandboxes(list_answer([item])).pods[0]
    assert (pod.name, pod.namespace, len(pod.labels["k"])) == ("a\\x1b[2J", "\\xff", LABEL_VALUE_CHARACTERS_MAX)


def test_an_unknown_state_is_unknown() -> None:
    """A later CRI may have more of them."""
    item = bytes_field(1, "c") + bytes_field(2, "s") + number_field(6, 77)
    assert parse_containers(list_answer([item])).containers[0].state is ContainerState.UNKNOWN


@pytest.mark.parametrize("item", [number_field(1, 5), bytes_field(1, "c") + bytes_field(2, "s") + bytes_field(6, "x")])
def test_a_field_of_another_type_is_skipped(item: bytes) -> None:
    """A text where a number belongs, and the other way round: as if it were not there."""
    found = parse_containers(list_answer([item]))
    assert len(found.containers) + found.left_out == 1


def test_requests_are_what_the_specification_says() -> None:
    """Byte by byte, as the official encoders write them."""
    assert message.version_request() == b"\x0a\x02v1"
    assert message.sandboxes_request(only_ready=True) == b"\x0a\x04\x12\x02\x08\x00"
    assert b"" == message.sandboxes_request(only_ready=False) == message.cri_events_request()
    assert message.running_containers_request() == b"\x0a\x04\x12\x02\x08\x01"
    start = b'namespace=="k8s.io",topic=="/tasks/start"'
    assert message.containerd_events_request().startswith(b"\x0a" + bytes([len(start)]) + start)
