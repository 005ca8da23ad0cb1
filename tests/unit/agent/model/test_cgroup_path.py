"""What a cgroup path says: every form that kubelets, runtimes, engines and systemd make, and what nobody should trust."""

from itertools import pairwise, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.cgroup_path import PATH_CHARACTERS_MAX, UnitIdentity, name_of, parse_proc_cgroup, unit_of
from agent.model.rule import QosClass, UnitKind

FIXTURES = Path(__file__).parents[3] / "fixtures" / "cgroup"
CONTAINER = "4f3c1a9be07d52c86aa1f0c94e2d7b3851e6f7a80b9c2d4e5f60718293a4b5c6"
UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
UID_IN_SYSTEMD = UID.replace("-", "_")
HASH = "d9a5ac2b6f0e7a3e3b8b2f5f6ae5c8a5"

PATH_OF_FIXTURE = {
    "v2-service": "/system.slice/nginx.service",
    "v2-user-scope": "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-org.gnome.Terminal-4711.scope",
    "v2-zombie": "/user.slice/user-1000.slice/session-3.scope",
    "v2-root": "/",
    "v1-kubepods-cgroupfs": f"/kubepods/burstable/pod{UID}/{CONTAINER}",
    "v1-docker": f"/docker/{CONTAINER}",
    "hybrid-service": "/system.slice/cron.service",
    "hybrid-memory-only": f"/docker/{CONTAINER}",
    "hybrid-kubepods-beside-systemd": f"/kubepods/pod{HASH}/{CONTAINER}",
    "hybrid-unified-only": "/system.slice/sshd.service",
    "hybrid-root": "/",
}

UID_OF_FIXTURE = {
    "v2-kubepods-systemd": UID,
    "v2-kubepods-cgroupfs": UID,
    "v2-kubepods-mixed-drivers": UID,
    "v2-kind": UID,
    "v2-namespace": UID,
    "v2-static-pod-crio": HASH,
    "v1-kubepods-cgroupfs": UID,
    "hybrid-kubepods-beside-systemd": HASH,
}


@pytest.mark.parametrize(("fixture", "path"), PATH_OF_FIXTURE.items())
def test_the_telling_path_is_picked(fixture: str, path: str) -> None:
    """Of all hierarchies the one that identifies the workload is chosen; the root only when all say root."""
    assert parse_proc_cgroup((FIXTURES / f"{fixture}.txt").read_bytes()) == path


@pytest.mark.parametrize(("fixture", "uid"), UID_OF_FIXTURE.items())
def test_a_pod_is_found_from_the_file_of_its_process(fixture: str, uid: str) -> None:
    """Content of the file to pod and container, in one go, for each kind of host."""
    path = parse_proc_cgroup((FIXTURES / f"{fixture}.txt").read_bytes())

    identity = unit_of(path or "")

    assert identity is not None
    assert (uid, UnitKind.POD, CONTAINER) == (identity.uid, identity.kind, identity.container)


SILENT = [
    "net_cls",
    "net_prio",
    "net_cls,net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
    "misc",
    "name=",
    "name=mine",
    "name=elogind",
    "new",
]
BELIEVED = [
    "name=systemd",
    "memory",
    "cpu",
    "cpuacct",
    "cpu,cpuacct",
    "cpuacct,cpu",
    "pids",
    "blkio",
    "cpuset",
    "devices",
    "freezer",
]
DOCKER = f"/system.slice/docker-{CONTAINER}.scope"
KUBEPODS = f"/kubepods/burstable/pod{UID}/{CONTAINER}"


def _picked(*lines: str) -> set[str | None]:
    """The path that is picked, whichever way round the lines stand."""
    return {parse_proc_cgroup("\n".join(order).encode()) for order in permutations(lines)}


@pytest.mark.parametrize("silent", SILENT)
@pytest.mark.parametrize("path", ["/system.slice/nginx.service", DOCKER, KUBEPODS, "/mine", "/user.slice"])
def test_a_hierarchy_that_says_nothing_of_workloads_loses_to_every_other(silent: str, path: str) -> None:
    """Whatever stands in it, and whichever hierarchy knows the unit."""
    for theirs in ("/x", f"/docker/{CONTAINER[::-1]}", "/kubepods/pod" + HASH):
        assert _picked(f"1:{silent}:{theirs}", f"0::{path}") == {path}
        assert _picked(f"1:{silent}:{theirs}", f"2:memory:{path}", "0::/") == {path}
    assert _picked(f"1:{silent}:/x", "2:cpu:/", "0::/") == {"/x"}
    assert _picked(f"1:{silent}:/", "0::/") == {"/"}


@pytest.mark.parametrize("believed", BELIEVED)
def test_what_a_path_says_comes_before_its_hierarchy(believed: str) -> None:
    """A pod before a container before a service before a mere directory, in whichever hierarchy each stands."""
    assert _picked(f"3:{believed}:/x", f"0::{DOCKER}") == {DOCKER}
    assert _picked(f"3:{believed}:{DOCKER}", "0::/x") == {DOCKER}
    assert _picked(f"3:{believed}:/system.slice/docker.service", f"0::{DOCKER}") == {DOCKER}
    assert _picked(f"3:{believed}:/docker/{CONTAINER}", "0::/system.slice/docker.service") == {f"/docker/{CONTAINER}"}
    assert _picked(f"3:{believed}:{DOCKER}", f"0::{KUBEPODS}") == {KUBEPODS}


def test_among_paths_that_say_as_much_the_order_of_the_hierarchies_decides() -> None:
    """systemd's own, memory, cpu, pids, the others, and the unified one last."""
    order = ["name=systemd", "memory", "cpu,cpuacct", "pids", "freezer", ""]
    for better, worse in pairwise(order):
        assert _picked(f"5:{better}:/a.service", f"{7 if worse else 0}:{worse}:/b.service") == {"/a.service"}


@pytest.mark.parametrize("text", [b"", b"\n", b"nonsense\n", b"0:\n", b"1:memory\n", b"0::relative\n", b"\x00\xff"])
def test_text_that_is_no_cgroup_file_has_no_path(text: bytes) -> None:
    """Nothing to pick is None, not the root."""
    assert parse_proc_cgroup(text) is None


def test_every_prefix_and_every_altered_byte_of_real_files_parses() -> None:
    """A torn or damaged file gives some path or None and never raises."""
    for fixture in FIXTURES.glob("*.txt"):
        text = fixture.read_bytes()
        for end in range(len(text)):
            unit_of(parse_proc_cgroup(text[:end]) or "")
            unit_of(parse_proc_cgroup(text[:end] + bytes([text[end] ^ 0x2A]) + text[end + 1 :]) or "")


def _pod(cgroup: str, qos: QosClass | None, container: str | None, uid: str = UID) -> UnitIdentity:
    return UnitIdentity(uid, UnitKind.POD, qos, cgroup, container)


SLICES = f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_IN_SYSTEMD}.slice"
GUARANTEED_SLICE = f"/kubepods.slice/kubepods-pod{UID_IN_SYSTEMD}.slice"
MIXED = f"/system.slice/containerd.service/kubepods-burstable-pod{UID_IN_SYSTEMD}.slice"
KIND = f"/docker/{CONTAINER}/kubelet/kubepods/besteffort/pod{UID}"
KIND_SLICES = (
    f"/system.slice/docker-{CONTAINER}.scope/kubelet.slice/kubelet-kubepods.slice/"
    f"kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{UID_IN_SYSTEMD}.slice"
)

POD_PATHS = [
    (f"/kubepods/besteffort/pod{UID}", "", QosClass.BESTEFFORT, None),
    (f"/kubepods/besteffort/pod{UID}", f"/{CONTAINER}", QosClass.BESTEFFORT, CONTAINER),
    (f"/kubepods/burstable/pod{UID}", f"/{CONTAINER}", QosClass.BURSTABLE, CONTAINER),
    (f"/kubepods/pod{UID}", f"/{CONTAINER}", QosClass.GUARANTEED, CONTAINER),
    (f"/kubepods/pod{UID}", f"/crio-{CONTAINER}", QosClass.GUARANTEED, CONTAINER),
    (f"/kubepods/pod{UID}", f"/crio-conmon-{CONTAINER}", QosClass.GUARANTEED, None),
    (f"/kubepods/pod{UID}", f"/kata_{CONTAINER}", QosClass.GUARANTEED, CONTAINER),
    (f"/kubepods/pod{UID}", f"/{CONTAINER}/docker/{CONTAINER[::-1]}", QosClass.GUARANTEED, CONTAINER),
    (f"/kubepods/pod{UID}", f"/{CONTAINER}/system.slice/inner.service", QosClass.GUARANTEED, CONTAINER),
    (f"/cluster/root/kubepods/pod{UID}", f"/{CONTAINER}", QosClass.GUARANTEED, CONTAINER),
    (SLICES, "", QosClass.BESTEFFORT, None),
    (SLICES, f"/cri-containerd-{CONTAINER}.scope", QosClass.BESTEFFORT, CONTAINER),
    (SLICES, f"/docker-{CONTAINER}.scope", QosClass.BESTEFFORT, CONTAINER),
    (SLICES, f"/crio-{CONTAINER}.scope/container", QosClass.BESTEFFORT, CONTAINER),
    (SLICES, f"/crio-conmon-{CONTAINER}.scope", QosClass.BESTEFFORT, None),
    (GUARANTEED_SLICE, f"/cri-containerd-{CONTAINER}.scope", QosClass.GUARANTEED, CONTAINER),
    (MIXED, f":cri-containerd:{CONTAINER}", QosClass.BURSTABLE, CONTAINER),
    (f"/custom.slice/custom-kubepods.slice/custom-kubepods-pod{UID_IN_SYSTEMD}.slice", "", QosClass.GUARANTEED, None),
    (KIND, f"/{CONTAINER}", QosClass.BESTEFFORT, CONTAINER),
    (KIND_SLICES, f"/cri-containerd-{CONTAINER}.scope", QosClass.BURSTABLE, CONTAINER),
    (f"/../../pod{UID}", f"/{CONTAINER}", None, CONTAINER),
    (f"/../../burstable/pod{UID}", "", QosClass.BURSTABLE, None),
    (f"/../../../kubepods/burstable/pod{UID}", "", QosClass.BURSTABLE, None),
    (f"/../kubepods-burstable-pod{UID_IN_SYSTEMD}.slice", f"/cri-containerd-{CONTAINER}.scope", QosClass.BURSTABLE, CONTAINER),
]


@pytest.mark.parametrize(("cgroup", "rest", "qos", "container"), POD_PATHS)
def test_every_kubepods_form_is_a_pod(cgroup: str, rest: str, qos: QosClass | None, container: str | None) -> None:
    """Both drivers, every runtime, nested clusters and paths that climb out of a namespace name the same pod."""
    assert unit_of(cgroup + rest) == _pod(cgroup, qos, container)


def test_a_static_pod_keeps_its_hash_as_uid() -> None:
    """Pods that the kubelet reads from files have a hash of 32 digits for a uid."""
    assert unit_of(f"/kubepods/burstable/pod{HASH}") == _pod(f"/kubepods/burstable/pod{HASH}", QosClass.BURSTABLE, None, HASH)


def test_of_nested_pods_the_outer_one_counts() -> None:
    """A cluster inside a pod is part of that pod: this node's own kubelet knows no other."""
    inner = f"/kubepods/pod{UID}/{CONTAINER}/kubelet/kubepods/burstable/pod{HASH}/{CONTAINER[::-1]}"
    assert unit_of(inner) == _pod(f"/kubepods/pod{UID}", QosClass.GUARANTEED, CONTAINER)


UNIT_PATHS = [
    ("/system.slice/nginx.service", "", UnitKind.SERVICE, "nginx.service", None),
    ("/system.slice/nginx.service", "/worker", UnitKind.SERVICE, "nginx.service", None),
    ("/init.scope", "", UnitKind.SCOPE, "init.scope", None),
    ("/user.slice/user-1000.slice/session-3.scope", "", UnitKind.SCOPE, "session-3.scope", None),
    ("/user.slice/user-1000.slice/user@1000.service", "/app.slice", UnitKind.SERVICE, "user@1000.service", None),
    ("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "", UnitKind.SERVICE, "foo.service", None),
    (r"/system.slice/systemd-fsck@dev-disk-by\x2dlabel-data.service", "", UnitKind.SERVICE,
     "systemd-fsck@dev-disk-by-label-data.service", None),
    (r"/system.slice/caf\xc3\xa9.service", "", UnitKind.SERVICE, "café.service", None),
    (r"/system.slice/bell\x07.service", "", UnitKind.SERVICE, r"bell\x07.service", None),
    (r"/system.slice/torn\xc3.service", "", UnitKind.SERVICE, r"torn\xc3.service", None),
    ("/system.slice/red\x1b.service", "", UnitKind.SERVICE, "red\ufffd.service", None),
    ("/system.slice", "", UnitKind.SLICE, "system.slice", None),
    (f"/docker/{CONTAINER}", "", UnitKind.SCOPE, "docker-4f3c1a9be07d", CONTAINER),
    (f"/docker/{CONTAINER}", "/system.slice/inner.service", UnitKind.SCOPE, "docker-4f3c1a9be07d", CONTAINER),
    (f"/system.slice/docker-{CONTAINER}.scope", "", UnitKind.SCOPE, "docker-4f3c1a9be07d", CONTAINER),
    (f"/machine.slice/libpod-{CONTAINER}.scope", "/container", UnitKind.SCOPE, "libpod-4f3c1a9be07d", CONTAINER),
    (f"/machine.slice/libpod-conmon-{CONTAINER}.scope", "", UnitKind.SCOPE, f"libpod-conmon-{CONTAINER}.scope", None),
    (f"/libpod_parent/libpod-{CONTAINER}", "", UnitKind.SCOPE, "libpod-4f3c1a9be07d", CONTAINER),
    ("/machine.slice/machine-debian.scope", "", UnitKind.SCOPE, "machine-debian.scope", None),
    (f"/{CONTAINER}", "", UnitKind.SCOPE, "container-4f3c1a9be07d", CONTAINER),
]  # fmt: skip


@pytest.mark.parametrize(("cgroup", "rest", "kind", "name", "container"), UNIT_PATHS)
def test_units_outside_of_pods_are_named_by_their_path(
    cgroup: str, rest: str, kind: UnitKind, name: str, container: str | None
) -> None:
    """The innermost service or scope, an engine's container, or a slice at the end; with a name fit for people."""
    identity = unit_of(cgroup + rest)

    assert identity == UnitIdentity(cgroup, kind, None, cgroup, container)
    assert name_of(identity) == name


def test_a_unit_seen_from_inside_a_namespace_has_the_uid_everybody_uses() -> None:
    """What climbs out of the namespace is left out of the uid and kept in the path."""
    identity = unit_of("/../../system.slice/nginx.service")
    assert identity == UnitIdentity("/system.slice/nginx.service", UnitKind.SERVICE, None, "/../../system.slice/nginx.service")


def test_a_pod_has_no_name_in_its_path() -> None:
    """Its name is known to the container runtime alone."""
    identity = unit_of(f"/kubepods/pod{UID}")
    assert identity is not None
    assert name_of(identity) is None


NOBODYS_PATHS = [
    "",
    "/",
    "/..",
    "relative/nginx.service",
    "/system.slice/plain",
    "/mine",
    "/podcast",
    f"/pod{UID}",
    "/kubepods",
    "/kubepods/burstable",
    "/kubepods/burstable/pod",
    "/../../podcast",
    f"/home/burstable/pod{UID}",
    "/docker/short",
    "/" + "a/" * 400 + "x.service",
    "/" + "a" * PATH_CHARACTERS_MAX + ".service",
    "/system.slice/\ud800.service",
]


@pytest.mark.parametrize("path", NOBODYS_PATHS)
def test_other_directories_are_no_units(path: str) -> None:
    """The root, plain directories, near misses and names beyond all bounds belong to no unit."""
    assert unit_of(path) is None


def test_a_name_that_is_no_text_is_the_same_unit_in_both_files() -> None:
    """A directory listing and `/proc/PID/cgroup` give the same bytes in two ways; the uid is one, and can be sent."""
    raw = b"/system.slice/\xff\xe2\x82.service"
    listed = raw.decode("utf-8", "surrogateescape")

    identity = unit_of(listed)

    assert identity is not None
    assert identity == unit_of(parse_proc_cgroup(b"0::" + raw + b"\n") or "")
    assert identity.uid.encode()


_HOSTILE_NAME = st.one_of(
    st.sampled_from(
        ["..", "kubepods", "besteffort", f"pod{UID}", "kubepods.slice", CONTAINER, f"docker-{CONTAINER}.scope", "a.service"]
    ),
    st.text("podkube-_.:slicexc\\0aé\udc80", max_size=300),
    st.text(st.characters(exclude_characters="/"), max_size=20),
)


@given(st.lists(_HOSTILE_NAME, max_size=12))
def test_hostile_paths_never_raise_and_stay_within_what_was_asked(names: list[str]) -> None:
    """Whatever somebody calls a directory: an identity is a prefix of the path and fit to be sent, or there is none."""
    path = "/" + "/".join(names)

    identity = unit_of(path)

    if identity is not None:
        assert identity.uid.encode()
        assert name_of(identity) != ""
        if path.isascii():
            assert path.startswith(identity.cgroup)


@given(st.binary(max_size=400))
def test_hostile_files_never_raise(text: bytes) -> None:
    """Any bytes at all give a path or None."""
    path = parse_proc_cgroup(text)
    assert path is None or path.startswith("/")
