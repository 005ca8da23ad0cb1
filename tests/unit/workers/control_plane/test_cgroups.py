"""Looking through the cgroup tree: every layout, within bounds, whatever vanishes or refuses meanwhile."""

import errno

import pytest
from fakes.kernel_tree import MemoryTree

from agent.model.errors import UnavailableError
from agent.model.rule import UnitKind
from workers.control_plane.cgroups import DEPTH_MAX, DIRECTORIES_MAX, CgroupTree

CONTAINER = "c" * 64
OTHER_CONTAINER = "d" * 64
UID = "8a7f1c52-3e0b-4d6a-9f21-7c5d0e4b6a13"
POD = f"kubepods/burstable/pod{UID}"


def _v2(*directories: str) -> MemoryTree:
    return MemoryTree({"cgroup.controllers": b"cpu memory\n", **{f"{name}/cgroup.procs": b"" for name in directories}})


def _paths(tree: MemoryTree) -> list[str]:
    return [found.path for found in CgroupTree(tree).look().found]


def test_on_v2_the_one_hierarchy_is_looked_at() -> None:
    """Pods, their containers and services are found below the root, parents first."""
    tree = _v2("system.slice/nginx.service", f"{POD}/{CONTAINER}", "plain")

    look = CgroupTree(tree).look()

    assert look.hierarchy == "v2"
    assert [f"/{POD}", f"/{POD}/{CONTAINER}", "/system.slice/nginx.service"] == [found.path for found in look.found]
    assert not look.truncated


def test_on_v1_systemds_hierarchy_and_one_controller_are_merged() -> None:
    """What is in both is found once; what only one of them has is found too; the other controllers are not looked at."""
    tree = MemoryTree(
        {
            "systemd/system.slice/nginx.service/tasks": b"",
            "memory/system.slice/nginx.service/tasks": b"",
            f"memory/docker/{CONTAINER}/tasks": b"",
            "cpu/cpu-only.scope/tasks": b"",
        }
    )

    look = CgroupTree(tree).look()

    assert look.hierarchy == "v1"
    assert {"/system.slice/nginx.service", f"/docker/{CONTAINER}"} == {found.path for found in look.found}
    assert len(look.found) == 2
    assert not [path for _call, path in tree.calls if path.startswith("cpu")]


def test_without_the_memory_controller_another_one_stands_for_all() -> None:
    """A kernel started with memory groups switched off still has pods."""
    assert [f"/docker/{CONTAINER}"] == _paths(MemoryTree({f"cpu,cpuacct/docker/{CONTAINER}/tasks": b""}))


def test_on_hybrid_an_empty_v2_does_not_matter() -> None:
    """v2 is mounted for systemd's own use: the hierarchies of v1 hold everything."""
    tree = MemoryTree({"unified/cgroup.procs": b"", "systemd/a.service/tasks": b"", f"memory/{POD}/tasks": b""})

    look = CgroupTree(tree).look()

    assert look.hierarchy == "hybrid"
    assert {"/a.service", f"/{POD}"} == {found.path for found in look.found}


def test_on_hybrid_v2_counts_when_v1_holds_nothing() -> None:
    """The hierarchies of v1 are mounted but nobody made a group in them."""
    tree = MemoryTree({"unified/a.service/cgroup.procs": b"", "systemd/tasks": b"", "memory/tasks": b""})
    assert _paths(tree) == ["/a.service"]


@pytest.mark.parametrize("place", ["system.slice/evergauge-workloads.service", "evergauge-workloads"])
@pytest.mark.parametrize(("apart", "hierarchy"), [("unified", "hybrid"), ("freezer", "v1")])
def test_workloads_are_found_where_the_keeper_has_them(place: str, apart: str, hierarchy: str) -> None:
    """On hosts with controllers of v1 they are in a hierarchy in which nothing else is looked for."""
    tree = MemoryTree(
        {
            "systemd/a.service/tasks": b"",
            "memory/a.service/tasks": b"",
            f"{apart}/b.service/cgroup.procs": b"",
            f"{apart}/{place}/job.workload/cgroup.procs": b"7\n",
            f"{apart}/{place}/keeper/cgroup.procs": b"6\n",
        }
    )
    look = CgroupTree(tree).look()
    assert (look.hierarchy, look.roots) == (hierarchy, ("systemd", "memory", apart))
    assert {found.path: found.identity.kind for found in look.found} == {
        "/a.service": UnitKind.SERVICE,
        f"/{place}/job.workload": UnitKind.WORKLOAD,
    }


def test_one_hierarchy_of_v1_may_be_the_root() -> None:
    """The setting can name `/sys/fs/cgroup/memory` itself."""
    tree = MemoryTree({"cgroup.procs": b"1\n", "a.service/cgroup.procs": b""})
    assert (CgroupTree(tree).look().hierarchy, _paths(tree)) == ("v1", ["/a.service"])


def test_a_slice_counts_only_with_a_process_of_its_own() -> None:
    """Slices are folders of units, unless somebody sits in one."""
    tree = _v2("system.slice/nginx.service", "user.slice")
    tree.put("user.slice/cgroup.procs", b"4711\n4712\n")

    assert {"/user.slice", "/system.slice/nginx.service"} == set(_paths(tree))


def test_a_slice_of_a_controller_says_nothing_beside_systemds_own() -> None:
    """Under controllers systemd leaves processes in the slice: that is no membership."""
    tree = MemoryTree(
        {
            "systemd/system.slice/nginx.service/tasks": b"",
            "memory/system.slice/cgroup.procs": b"4711\n",
            "systemd/cgroup.procs": b"",
        }
    )
    assert _paths(tree) == ["/system.slice/nginx.service"]


def test_what_is_below_a_pods_container_is_not_listed() -> None:
    """A container is one workload; its inside is nobody's business and costs nothing."""
    tree = _v2(f"{POD}/{CONTAINER}/inner.service")

    assert [f"/{POD}", f"/{POD}/{CONTAINER}"] == _paths(tree)
    assert ("list_directories", f"{POD}/{CONTAINER}") not in tree.calls


def test_pods_inside_an_engines_container_are_found() -> None:
    """The nodes of a kind cluster are containers with kubelets of their own."""
    inner = f"docker/{CONTAINER}/kubelet/kubepods/pod{UID}"
    assert f"/{inner}" in _paths(_v2(inner))


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENODEV])
def test_a_directory_that_vanishes_meanwhile_is_nothing_special(code: int) -> None:
    """Removed between being named and being listed: both of the kernel's answers are taken for gone."""
    tree = _v2("a.service", "b.service/inner.scope")
    tree.fail("b.service", code)

    look = CgroupTree(tree).look()

    assert [found.path for found in look.found] == ["/a.service", "/b.service"]
    assert look.unreadable == ()


def test_a_directory_that_refuses_is_named() -> None:
    """Nobody knows what is below it, and that is said."""
    tree = _v2("a.slice/x.service", "b.service")
    tree.fail("a.slice", errno.EACCES)

    look = CgroupTree(tree).look()

    assert (look.unreadable, [found.path for found in look.found]) == (("/a.slice",), ["/b.service"])


def test_a_slice_whose_processes_cannot_be_read_does_not_count() -> None:
    """A threaded group answers EOPNOTSUPP; nothing is known to sit in it."""
    tree = _v2("a.slice")
    tree.fail("a.slice/cgroup.procs", errno.EOPNOTSUPP)
    assert _paths(tree) == []


def test_a_root_that_cannot_be_listed_is_a_failure() -> None:
    """No look at all is not an empty look: at the folder, and at each hierarchy."""
    tree = MemoryTree({"memory/a.service/tasks": b""})
    tree.fail("memory", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        CgroupTree(tree).look()
    tree.fail(".", errno.EACCES)
    with pytest.raises(PermissionError):
        CgroupTree(tree).look()


def test_a_folder_without_any_hierarchy_is_a_failure_with_a_remedy() -> None:
    """An empty `/sys/fs/cgroup`, as in a container without a mount."""
    with pytest.raises(UnavailableError, match=r"kernel\.cgroup_root"):
        CgroupTree(MemoryTree({"readme": b""})).look()


def test_deeper_than_the_limit_is_not_looked_at_and_said() -> None:
    """A chain of groups without end is cut."""
    tree = _v2("/".join(["deep"] * (DEPTH_MAX + 5)))

    look = CgroupTree(tree).look()

    assert look.truncated
    assert look.directories == DEPTH_MAX


class _CrowdedTree(MemoryTree):
    """One directory pretends to hold more groups than may be looked at."""

    def list_directories(self, path: str = ".") -> list[str]:
        if path.endswith("crowd.service"):
            return [f"{number:06}.scope" for number in range(DIRECTORIES_MAX)]
        return super().list_directories(path)


def test_a_crowded_group_hides_neither_pods_nor_what_is_less_deep() -> None:
    """The look ends at its limit; pods and shallower units were seen before."""
    tree = _CrowdedTree(
        {"cgroup.controllers": b"", "a/b/crowd.service/x": b"", f"{POD}/{CONTAINER}/x": b"", "z.slice/nginx.service/x": b""}
    )

    look = CgroupTree(tree).look()

    assert look.truncated
    assert look.directories == DIRECTORIES_MAX
    assert {"/a/b/crowd.service", f"/{POD}/{CONTAINER}", "/z.slice/nginx.service"} <= {found.path for found in look.found}


def test_every_descriptor_is_given_back() -> None:
    """Looking again and again holds nothing open."""
    tree = _v2("a.slice", "b.service")
    cgroups = CgroupTree(tree)
    for _ in range(3):
        cgroups.look()
    assert tree.open_descriptors == 0


def _crowd(tree: MemoryTree, *crowded: str, count: int = 25_000) -> MemoryTree:
    """The same tree with a number of leaked scopes in each of these directories."""

    class Crowded(MemoryTree):
        def list_directories(self, path: str = ".") -> list[str]:
            leaked = [f"run-r{number:05}.scope" for number in range(count)] if path.removeprefix(".").lstrip("/") in crowded else []
            return [*(tree.list_directories(path) if "run-r" not in path else []), *leaked]

        def list_names(self, path: str = ".") -> list[str]:
            return tree.list_names(path)

        def owner(self, path: str) -> int:
            return 0 if "run-r" in path else tree.owner(path.removeprefix("./"))

        def device(self, path: str = ".") -> int:
            return 0 if "run-r" in path else tree.device(path)

    return Crowded()


PLACES_OF_PODS = (
    "kubepods/burstable",
    "system.slice/k3s.service/kubepods",
    "a.slice/b.slice/c.service/kubelet/kubepods.slice/kubepods",
    f"system.slice/docker-{CONTAINER}.scope/kubelet.slice/kubepods",
)


@pytest.mark.parametrize("crowded", ["", "system.slice", "user.slice/user@1000.service"])
def test_leaked_scopes_hide_no_pod(crowded: str) -> None:
    """25,000 of them, beside, above or far away from the pods, which may stand deep in somebody's service or container."""
    pods = [f"{place}/pod{UID[:-1]}{number}" for number, place in enumerate(PLACES_OF_PODS)]
    others = ("system.slice/nginx.service", "init.scope", f"docker/{OTHER_CONTAINER}")
    tree = _v2(*(f"{pod}/{CONTAINER}" for pod in pods), *others, f"{crowded}/x".lstrip("/"))

    look = CgroupTree(_crowd(tree, crowded)).look()

    wanted = {f"/{path}" for pod in pods for path in (pod, f"{pod}/{CONTAINER}")} | {f"/{path}" for path in others}
    assert wanted <= {found.path for found in look.found}
    assert look.directories == DIRECTORIES_MAX
    parent = f"/{crowded}" if crowded else ""
    assert list(look.left_out) == [parent]
    assert 5000 <= look.left_out[parent] <= 5100


def test_leaked_scopes_of_one_hierarchy_hide_no_pod_of_another() -> None:
    """Hierarchies of v1 take turns."""
    tree = MemoryTree({"systemd/system.slice/x": b"", f"memory/docker/{CONTAINER}/tasks": b"", f"memory/{POD}/{CONTAINER}/x": b""})
    look = CgroupTree(_crowd(tree, "systemd/system.slice")).look()
    assert {f"/docker/{CONTAINER}", f"/{POD}/{CONTAINER}"} <= {found.path for found in look.found}


def test_pods_that_a_user_made_up_come_first_nowhere() -> None:
    """In a delegated subtree, or inside a container, `kubepods` is a name like any other."""
    delegated = "user.slice/user-1000.slice/user@1000.service"
    tree = _v2(f"{delegated}/kubepods/x", f"docker/{CONTAINER}/kubepods/x", f"{POD}/{CONTAINER}", "z.service")
    tree.owners[delegated] = 1000

    look = CgroupTree(_crowd(tree, f"{delegated}/kubepods", f"docker/{CONTAINER}/kubepods")).look()

    paths = [found.path for found in look.found]
    assert [f"/{POD}", f"/{POD}/{CONTAINER}"] == paths[:2]
    assert "/z.service" in paths
    assert set(look.left_out) == {f"/{delegated}/kubepods", f"/docker/{CONTAINER}/kubepods"}


def test_every_directory_of_a_long_look_is_a_beat() -> None:
    """A look at a full tree takes longer than a worker may be silent."""
    beats: list[int] = []
    CgroupTree(_crowd(_v2("system.slice/x"), "system.slice"), lambda: beats.append(1)).look()
    assert len(beats) > DIRECTORIES_MAX


def test_what_is_mounted_below_a_hierarchy_is_none_of_it() -> None:
    """A hierarchy of v1 below v2 repeats every container under another path, and each would spend an id."""
    tree = _v2(f"docker/{CONTAINER}", f"net_cls/docker/{CONTAINER}", "system.slice/a.service", "system.slice/b.service/c.scope")
    tree.devices |= {"net_cls": 7, "system.slice/b.service": 8}

    look = CgroupTree(tree).look()

    assert {f"/docker/{CONTAINER}", "/system.slice/a.service", "/system.slice/b.service"} == {found.path for found in look.found}
    assert look.unreadable == ()
