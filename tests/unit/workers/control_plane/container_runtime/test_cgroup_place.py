"""Where a container's cgroup is, by what its runtime reports; read back by the scan's own reader of paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.cgroup_path import unit_of
from agent.model.rule import QosClass
from workers.control_plane.container_runtime.cgroup_place import cgroup_places, container_places, names_container, slice_path
from workers.control_plane.container_runtime.event import RuntimeContainer, RuntimePod

UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
SLICED = UID.replace("-", "_")
ID = "0123456789abcdef" * 4
POD_SLICE = f"kubepods-besteffort-pod{SLICED}.slice"
SLICES = f"/kubepods.slice/kubepods-besteffort.slice/{POD_SLICE}"

# What is reported (parent, path), and the first place that follows from it.
FORMS = {
    "cgroupfs": (f"/kubepods/besteffort/pod{UID}", f"/kubepods/besteffort/pod{UID}/{ID}", f"/kubepods/besteffort/pod{UID}/{ID}"),
    "cgroupfs guaranteed": (f"/kubepods/pod{UID}", f"/kubepods/pod{UID}/{ID}", f"/kubepods/pod{UID}/{ID}"),
    "cgroupfs without a parent": ("", f"/kubepods/burstable/pod{UID}/{ID}", f"/kubepods/burstable/pod{UID}/{ID}"),
    "cgroupfs with doubled slashes": ("", f"//kubepods//besteffort/pod{UID}/{ID}/", f"/kubepods/besteffort/pod{UID}/{ID}"),
    "cgroupfs of CRI-O": ("", f"/kubepods/besteffort/pod{UID}/crio-{ID}", f"/kubepods/besteffort/pod{UID}/crio-{ID}"),
    "systemd": (SLICES, f"{POD_SLICE}:cri-containerd:{ID}", f"{SLICES}/cri-containerd-{ID}.scope"),
    "systemd of CRI-O": (SLICES, f"{POD_SLICE}:crio:{ID}", f"{SLICES}/crio-{ID}.scope"),
    "systemd without a parent": ("", f"{POD_SLICE}:cri-containerd:{ID}", f"{SLICES}/cri-containerd-{ID}.scope"),
    "systemd without a prefix": ("", f"{POD_SLICE}::{ID}", f"{SLICES}/{ID}.scope"),
    "cgroupfs, by its parent": (f"/kubepods/besteffort/pod{UID}", "", f"/kubepods/besteffort/pod{UID}/{ID}"),
    "systemd, by its parent": (SLICES, "", f"{SLICES}/cri-containerd-{ID}.scope"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_first_place_of_each_known_form(form: str) -> None:
    """Both drivers, both runtimes, with and without a pod's own path; the scan reads the place as this container of this pod."""
    parent, path, expected = FORMS[form]

    first = cgroup_places(parent, path, ID)[0]

    assert first == expected
    identity = unit_of(first)
    assert identity is not None
    assert (identity.uid, identity.container) == (UID, ID)


def test_the_class_of_a_pod_shows_in_its_place() -> None:
    """Rules ask for it before the pod was ever seen in the tree."""
    identity = unit_of(cgroup_places(SLICES, f"{POD_SLICE}:cri-containerd:{ID}", ID)[0])

    assert identity is not None
    assert identity.qos is QosClass.BESTEFFORT


def test_a_slice_for_a_runtime_without_systemd_is_a_directorys_name() -> None:
    """containerd with cgroupfs and a kubelet with systemd: the whole text is one directory, at the root or beside the runtime."""
    text = f"{POD_SLICE}:cri-containerd:{ID}"

    places = cgroup_places(SLICES, text, ID)

    assert {f"/{text}", f"{SLICES}/{text}", f"/system.slice/containerd.service/{text}"} <= set(places)
    for place in (f"/{text}", f"/system.slice/containerd.service/{text}"):
        identity = unit_of(place)
        assert identity is not None
        assert (identity.uid, identity.container) == (UID, ID)


def test_slices_below_another_are_found_by_the_pods_own_path() -> None:
    """A kubelet inside a slice names the whole way; the slice's own name does not tell it."""
    parent = f"/docker.slice/node.scope/kubelet.slice/{POD_SLICE}"

    places = cgroup_places(parent, f"{POD_SLICE}:cri-containerd:{ID}", ID)

    assert f"{parent}/cri-containerd-{ID}.scope" in places


def test_a_relative_path_is_beside_the_runtime() -> None:
    """Without the systemd driver it is below the runtime's own cgroup."""
    assert cgroup_places("", f"pods/{ID}", ID) == (
        f"/pods/{ID}",
        f"/system.slice/containerd.service/pods/{ID}",
        f"/system.slice/crio.service/pods/{ID}",
    )


def test_a_container_as_reported() -> None:
    """The places of a container are those of its fields."""
    pod = RuntimePod("s", UID, cgroup_parent=SLICES)
    container = RuntimeContainer(ID, "s", cgroups_path=f"{POD_SLICE}:crio:{ID}")

    assert container_places(pod, container) == cgroup_places(SLICES, f"{POD_SLICE}:crio:{ID}", ID)


HOSTILE = {
    "nothing": ("", "", ID),
    "no id": (f"/kubepods/pod{UID}", f"/kubepods/pod{UID}/{ID}", ""),
    "the root": ("/", "/", ID),
    "all pods": ("/kubepods", "/kubepods", ID),
    "a way up": ("", f"/kubepods/../../{ID}", ID),
    "a way up from a parent": ("/kubepods/..", "", ID),
    "this directory": ("", f"/kubepods/./{ID}", ID),
    "a NUL": ("", f"/kubepods/\0/{ID}", ID),
    "a NUL in the id": ("", f"/kubepods/{ID}\0", f"{ID}\0"),
    "an id that goes up": ("/kubepods", "", ".."),
    "an id with a slash": ("/kubepods", "", f"a/{ID}"),
    "an id with colons": ("", "a.slice:b:c:d", "c:d"),
    "ten thousand characters": ("", "/" + "a" * 10_000 + f"/{ID}", ID),
    "ten thousand names": ("", "/a" * 10_000 + f"/{ID}", ID),
    "ten thousand colons": ("", ":" * 10_000 + ID, ID),
    "ten thousand slices": ("", "a-" * 5_000 + f"b.slice:x:{ID}", ID),
    "a lone surrogate": ("", f"/kubepods/\ud800/{ID}", ID),
    "a name of 256 bytes": ("", "/kubepods/" + "\u00e4" * 128 + f"/{ID}", ID),
    "a name of 256 characters": ("", f"/kubepods/{'a' * 256}/{ID}", ID),
    "an id of another": ("", f"/kubepods/pod{UID}/{ID}", "f" * 64),
    "a longer id": ("", f"/kubepods/pod{UID}/x{ID}", ID),
}


@pytest.mark.parametrize("form", HOSTILE)
def test_hostile_reports_name_no_place(form: str) -> None:
    """Nothing that leads out of the hierarchy, to no directory, or to the threads of others."""
    assert cgroup_places(*HOSTILE[form]) == ()


@given(parent=st.text(max_size=200), path=st.text(max_size=300), container_id=st.text(max_size=80))
def test_any_text_gives_places_inside_the_hierarchy(parent: str, path: str, container_id: str) -> None:
    """Whatever is reported, a place is an absolute path without a way up whose last name is the container's."""
    for place in cgroup_places(parent, path, container_id):
        names = place.split("/")
        assert names[0] == ""
        assert len(names) > 1
        assert all(name not in ("", ".", "..") and "\0" not in name for name in names[1:])
        assert names_container(place, container_id)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.slice", "/a.slice"),
        ("a-b.slice", "/a.slice/a-b.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", ""),
        (".slice", None),
        ("a--b.slice", None),
        ("a-.slice", None),
        ("a.scope", None),
        ("a/b.slice", None),
        ("-".join("abcdefghijklmnopq") + ".slice", None),
        ("", None),
    ],
)
def test_slices_stand_in_slices(name: str, path: str | None) -> None:
    """systemd nests a slice by the dashes of its name."""
    assert slice_path(name) == path


@pytest.mark.parametrize(
    ("path", "is_its"),
    [
        (f"/x/{ID}", True),
        (f"/x/crio-{ID}.scope", True),
        (f"/x/docker_{ID}", True),
        (f"/x.slice:cri-containerd:{ID}", True),
        (f"/x{ID}", False),
        (f"/{ID}/x", False),
        ("/", False),
    ],
)
def test_the_last_name_is_the_containers(path: str, is_its: bool) -> None:
    """The id alone or behind a prefix that ends with a separator."""
    assert names_container(path, ID) is is_its
    assert not names_container(path, "")


@pytest.mark.parametrize(
    ("parent", "path", "container_id"),
    [
        ("", "/kubepods", "kubepods"),
        ("", "/system.slice/containerd.service", "containerd.service"),
        ("", "/user.slice", "user.slice"),
        ("", f"/kubepods/besteffort/pod{UID}", f"pod{UID}"),
        ("", "/init.scope", "init"),
        ("/", "", "kubepods"),
        ("/kubepods.slice", "system.slice::containerd", "containerd"),
        ("", f"/kubepods/besteffort/pod{UID}", ID),
        ("", "/", ID),
        ("", f"/../../{ID}", ID),
        ("", f"/proc/../{ID}", ID),
        ("", "/a", "a"),
    ],
)
def test_no_report_makes_another_cgroup_a_containers(parent: str, path: str, container_id: str) -> None:
    """Whatever a runtime calls its containers: threads of the host, of the runtime or of other pods are not touched."""
    assert cgroup_places(parent, path, container_id) == ()
    assert ".." in path or not names_container(path, container_id)
