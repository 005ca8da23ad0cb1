"""What happens with pods and their groups, by the numbers of the specification of pod groups, with and without a runtime."""

import pytest
from fakes.group_host import UID, UIDS, Host, container_of, sandbox
from fakes.memory_resctrl import ROOT

from agent.config import CONTROL_PLANE_INTERVAL, RESCTRL_RETRY_INTERVAL
from agent.model.rule import Action, GroupRule, Match, decode_assignment
from agent.model.tables import CONTAINER_NAME
from agent.model.timebase import MS, S
from workers.control_plane.container_runtime.event import (
    ContainerRemoved,
    ContainerStarting,
    ContainerStopped,
    PodRemoved,
    PodStarted,
    PodStopped,
    RuntimeWire,
    Synchronized,
)
from workers.control_plane.group_step import PartState
from workers.control_plane.runtime_follower import GATHER_NS
from workers.resctrl.problem import ProblemKind, ResctrlError

POD = sandbox(app="web")
MAIN, SIDE = container_of(POD), container_of(POD, "d", "side")
FRONT = GroupRule("front", match=Match(namespace="shop", labels={"app": "web"}), action=Action("shared", "front"))


def _host(profile: str = "tiny") -> Host:
    """A host with a runtime that has nothing yet, after the first look."""
    return Host(profile, has_runtime=True).connect().pass_time(1 * S)


# ---- 1. pods that are already running --------------------------------------------------------------


def test_1_pods_that_run_already_are_grouped_and_named() -> None:
    """Each with its group and its counts; the sandbox's own thread is in the group and counts as no container."""
    host = Host(has_runtime=True)
    host.run(UID, 10, 11, container=MAIN.id)
    host.run(UID, 20, container=SIDE.id)
    host.run(UID, 5, container="e" * 64)
    host.pass_time(1 * S)
    pod = sandbox(sandbox_id="e" * 64)
    host.connect(pod, containers=[container_of(pod), container_of(pod, "d", "side")])
    host.pass_time(1 * S)
    unit = host.assigned().unit
    assert (unit.namespace, unit.name, unit.container_names) == ("shop", "web", {MAIN.id: "main", SIDE.id: "side"})
    assert (host.whole(), host.tasks(host.paths()[0])) == ((2, 2), {5, 10, 11, 20})


def test_1_many_pods_at_the_registration_are_grouped_within_a_second() -> None:
    """110 pods with two containers each, of which no look has seen any."""
    host = Host("intel-2socket", has_runtime=True).pass_time(100 * MS)
    uids = [f"{number:08x}-aaaa-4d6a-9f21-7c5d0e4b6a13" for number in range(110)]
    pods = [sandbox(uid, f"web-{number}") for number, uid in enumerate(uids)]
    for number, uid in enumerate(uids):
        host.run(uid, 1000 + number, container=container_of(pods[number]).id)
        host.run(uid, 2000 + number, container=container_of(pods[number], "d").id)
    host.connect(*pods, containers=[container_of(pod, each) for pod in pods for each in "cd"])
    host.pass_time(1 * S)
    assert all(host.whole(uid) == (2, 2) for uid in uids)
    assert {host.assigned(uid).unit.name for uid in uids} == {pod.name for pod in pods}
    # Bound, made and whole may be one message or two, never one for each container.
    assert max(host.events(uid) for uid in uids) <= 3


# ---- 2. containers that come and change ------------------------------------------------------------


def test_2_a_container_that_starts_is_reconciled_before_the_next_look() -> None:
    """Its place follows from what the runtime says; counts change when it is whole."""
    host = _host().hear(PodStarted(POD)).pass_time(100 * MS)
    assert (host.whole(), host.paths()) == ((0, 0), (f"{ROOT}/mon_groups/pod_{UID}",))
    host.run(UID, 10, 11, container=MAIN.id)
    host.hear(ContainerStarting(POD, MAIN)).pass_time(100 * MS)
    assert host.whole() == (1, 1)
    assert host.tasks(host.paths()[0]) == {10, 11}
    host.hear(ContainerStarting(POD, SIDE)).pass_time(100 * MS)
    assert host.whole() == (1, 2)


def test_2_what_the_start_of_a_container_did_is_one_event() -> None:
    """Group made and threads moved before its first instruction: the pod is announced once, whole."""
    host = _host()
    outcome = host.start_container(POD, MAIN, 10, 11)
    assert (outcome.is_new, outcome.is_whole) == (True, True)
    host.pass_time(1 * S)
    assert (host.whole(), host.events()) == ((1, 1), 1)
    steps = host.work.stats()["resctrl"]["steps"]
    assert "create" not in steps
    assert steps["check"] >= 1, "forks that were under way are looked for"
    host.start_container(POD, SIDE, 20)
    host.pass_time(1 * S)
    assert (host.whole(), host.events()) == ((2, 2), 2)


def test_2_nothing_is_published_when_nothing_changed() -> None:
    """Reports that are repeated, and everything listed again."""
    host = _host()
    host.start_container(POD, MAIN, 10)
    host.pass_time(1 * S)
    said = len(host.bus.published)
    host.hear(PodStarted(POD), ContainerStarting(POD, MAIN), Synchronized((POD,), (MAIN,)), ContainerStopped("unknown"))
    host.pass_time(60 * S)
    assert len(host.bus.published) == said


def test_2_ended_init_containers_and_late_ephemeral_ones() -> None:
    """An init container that is over is no part; one that a person attaches is."""
    host = _host()
    host.start_container(POD, MAIN, 10)
    host.hear(ContainerStopped(MAIN.id))
    host.run(UID, container=MAIN.id)
    host.start_container(POD, SIDE, 20)
    host.pass_time(1 * S)
    assert (host.whole(), host.assigned().unit.container_names) == ((1, 1), {SIDE.id: "side"})
    host.hear(ContainerRemoved(MAIN.id)).pass_time(1 * S)
    debug = container_of(POD, "f", "debugger")
    host.start_container(POD, debug, 30)
    assert host.whole() == (2, 2)
    assert [row["name"] for row in host.outbox.records(CONTAINER_NAME)] == ["main", "side", "debugger"]


# ---- 3. capacity -----------------------------------------------------------------------------------


def _full_host(free: int = 0) -> Host:
    """Others hold all ids but some."""
    host = _host()
    for number in range(7 - free):
        host.resctrl.view().mkdir(f"mon_groups/theirs{number}")
    return host


def _release(host: Host, count: int = 7) -> None:
    """Others give ids back, and the cache forgets them."""
    for number in range(count):
        host.resctrl.view().rmdir(f"mon_groups/theirs{number}")
    host.clock.advance(2 * S)
    host._pass_limbo()


def test_3_a_group_that_cannot_be_made_is_failed_until_there_is_an_id() -> None:
    """While it is full a retry is an error and no event; once free it is one event, and the reconciled container one more."""
    host = _full_host()
    host.start_container(POD, MAIN, 10)
    host.pass_time(1 * S)
    assert (host.problem(), host.whole(), host.paths()) == ("capacity", (0, 1), ())
    said = host.events()
    with pytest.raises(ResctrlError) as refused:
        host.controller.retry_group_creation(UID)
    assert (refused.value.kind, host.follow().events()) == (ProblemKind.CAPACITY, said)
    assert host.controller.retry_container_reconcile(UID, MAIN.id) == (PartState.PARTIAL, 0)

    _release(host)
    made = host.controller.retry_group_creation(UID)
    assert made is not None
    assert (made.paths, host.follow().events()) == ((f"{ROOT}/mon_groups/pod_{UID}",), said + 1)
    assert host.controller.retry_group_creation(UID) == made
    assert host.follow().events() == said + 1
    assert host.controller.retry_container_reconcile(UID, MAIN.id) == (PartState.RECONCILED, 0)
    assert (host.follow().events(), host.whole()) == (said + 2, (1, 1))
    assert host.controller.retry_container_reconcile(UID, MAIN.id) == (PartState.RECONCILED, 0)
    assert host.follow().events() == said + 2


def test_3_what_is_not_known_cannot_be_retried() -> None:
    """Neither a pod nor a container; an empty container is pending."""
    host = _host().hear(ContainerStarting(POD, MAIN)).pass_time(1 * S)
    assert host.controller.retry_group_creation("unknown") is None
    assert host.controller.retry_container_reconcile("unknown", MAIN.id) is None
    assert host.controller.retry_container_reconcile(UID, "unknown") is None
    assert host.controller.retry_container_reconcile(UID, MAIN.id) == (PartState.PENDING, 0)


# ---- 4. the periodic retry ---------------------------------------------------------------------------


def test_4_the_first_refusal_for_want_of_ids_ends_the_tries_and_containers_are_looked_at() -> None:
    """One mkdir for all pods that wait; the container that is partial is reconciled in the same round."""
    host = _full_host(free=1)
    host.start_container(POD, MAIN, 10)
    others = [sandbox(uid, uid[:8]) for uid in UIDS[1:5]]
    for number, pod in enumerate(others):
        host.start_container(pod, container_of(pod), 20 + number)
    host.pass_time(1 * S)
    host.table.start(11)
    host.hear(ContainerStarting(POD, SIDE)).pass_time(1 * S)
    host.run(UID, 11, container=SIDE.id)
    tries, said = host.creates(), host.events()
    host.controller.retry_all_once()
    host.pass_time(10 * MS)
    assert host.creates() == tries + 1
    assert (host.whole(), host.events()) == ((2, 2), said + 1)
    assert [host.problem(pod.uid) for pod in others] == ["capacity"] * 4


def test_4_ids_in_limbo_are_tried_again_when_they_can_be_free_and_starve_nobody() -> None:
    """The pod that waits for an id has it within two seconds; a container that starts meanwhile is reconciled at once."""
    host = _full_host(free=1)
    host.start_container(POD, MAIN, 10)
    host.pass_time(1 * S)
    host.resctrl.view().rmdir("mon_groups/theirs0")
    second = sandbox(UIDS[1], "second")
    outcome = host.start_container(second, container_of(second), 20)
    assert outcome.problem == "busy"
    host.start_container(POD, SIDE, 11)
    host.pass_time(100 * MS)
    assert (host.whole(), host.problem(UIDS[1])) == ((2, 2), "busy")
    host.pass_time(2 * S)
    assert host.whole(UIDS[1]) == (1, 1)


# ---- 5. cleanup at the start --------------------------------------------------------------------------


def test_5_the_first_start_cleans_up_before_any_container_is_given_its_group() -> None:
    """What an earlier agent left goes and is counted; a container that starts meanwhile is not moved into a directory that goes."""
    host = Host(is_mounted=False, has_runtime=True)
    host.resctrl.host.mount()
    for path in ("mon_groups/pod_old", f"mon_groups/pod_{UID}", "mon_groups/theirs"):
        host.resctrl.view().mkdir(path)
    host.connect()
    outcome = host.start_container(POD, MAIN, 10)
    assert (outcome.path, outcome.problem) == ("", None)
    host.pass_time(1 * S)
    assert (host.whole(), host.groups()) == ((1, 1), {f"pod_{UID}", "theirs"})
    (note,) = [note for note in host.bus.notes if note.kind == "resctrl_cleanup"]
    assert (note.severity, note.fields["removed"], note.fields["non_prefix_groups"]) == ("info", 2, 1)


def test_5_a_restarted_control_plane_places_containers_before_its_first_turn() -> None:
    """The runtime takes the successor as soon as it registers, and what starts then begins in its group."""
    host = _host()
    host.start_container(POD, MAIN, 10)
    host.pass_time(1 * S)
    host.restart()
    other = sandbox(UIDS[1], "db")
    assert host.start_container(other, container_of(other), 20).is_whole
    host.connect(POD, other, containers=[MAIN, container_of(other)]).pass_time(1 * S)
    assert host.groups() == {f"pod_{UID}", f"pod_{UIDS[1]}"}
    assert (host.whole(), host.whole(UIDS[1])) == ((1, 1), (1, 1))


def test_5_a_restarted_control_plane_removes_no_group_that_a_start_has_just_made() -> None:
    """The container starts between the successor's registration and its first look."""
    host = _host()
    host.start_container(POD, MAIN, 10)
    host.pass_time(1 * S)
    host.restart()
    other = sandbox(UIDS[1], "db")
    host.pass_time(0)
    host.link.tell(RuntimeWire.NRI, PodStarted(other))
    host.resctrl.view().mkdir(f"mon_groups/pod_{UIDS[1]}")
    host.pass_time(1 * S)
    assert host.groups() == {f"pod_{UID}", f"pod_{UIDS[1]}"}


# ---- 6. runtime events -----------------------------------------------------------------------------


def test_6_a_pod_that_the_runtime_removes_is_gone_at_once() -> None:
    """Though its cgroup is still there; its group goes with it."""
    host = _host()
    host.start_container(POD, MAIN, 10)
    host.pass_time(6 * S)
    host.hear(PodStopped(POD.sandbox_id), PodRemoved(POD.sandbox_id)).pass_time(100 * MS)
    assert (f"pod/{UID}" in host.bus.entries(), host.groups()) == (False, set())
    host.pass_time(2 * CONTROL_PLANE_INTERVAL.default)
    assert f"pod/{UID}" not in host.bus.entries()


def test_6_a_start_that_is_told_after_the_removal_leaves_nothing() -> None:
    """The thread that made the group was late: its directory is removed."""
    host = _host().hear(PodStarted(POD), PodRemoved(POD.sandbox_id))
    host.start_container(POD, MAIN, 10)
    host.pass_time(1 * S)
    assert (f"pod/{UID}" in host.bus.entries(), host.groups()) == (False, set())


def test_6_a_burst_of_starts_is_one_change() -> None:
    """All that waits is taken in at once."""
    host = _host("intel-2socket")
    pods = [sandbox(uid, uid[:8]) for uid in UIDS]
    for number, pod in enumerate(pods):
        host.run(pod.uid, 100 + number, container=container_of(pod).id)
    said = len(host.bus.published)
    host.hear(*(ContainerStarting(pod, container_of(pod)) for pod in pods))
    assert len(host.bus.published) == said + 1
    host.pass_time(1 * S)
    assert all(host.whole(uid) == (1, 1) for uid in UIDS)


# ---- 7. the runtime restarts, or its connection is lost ---------------------------------------------


def test_7_a_lost_connection_ends_nothing_and_the_next_list_is_a_difference() -> None:
    """Groups stay the same directories; what ended meanwhile goes with the tree or with the list."""
    host = _host()
    other = sandbox(UIDS[1], "db")
    host.start_container(POD, MAIN, 10)
    host.start_container(other, container_of(other), 20)
    host.pass_time(6 * S)
    emulation = host.resctrl.host.emulation
    assert emulation is not None
    inode = emulation.attributes(f"mon_groups/pod_{UID}").inode
    host.lose_runtime().pass_time(20 * S)
    assert (host.whole(), host.whole(UIDS[1]), host.assigned().unit.name) == ((1, 1), (1, 1), "web")
    host.end(UIDS[1])
    host.pass_time(6 * S)
    assert f"pod/{UIDS[1]}" not in host.bus.entries()
    said = len(host.bus.published)
    host.connect(POD, containers=[MAIN]).pass_time(6 * S)
    assert (len(host.bus.published), host.groups()) == (said, {f"pod_{UID}"})
    assert emulation.attributes(f"mon_groups/pod_{UID}").inode == inode


def test_7_what_a_runtime_ended_while_it_was_not_heard_goes_with_its_list() -> None:
    """Its cgroup may still be there."""
    host = _host()
    host.start_container(POD, MAIN, 10)
    host.pass_time(6 * S)
    host.lose_runtime().connect().pass_time(100 * MS)
    assert (f"pod/{UID}" in host.bus.entries(), host.groups()) == (False, set())


def test_7_a_restarted_control_plane_keeps_names_and_groups_until_the_runtime_reports() -> None:
    """Nothing is published and no directory is made again; the runtime's list changes nothing either."""
    host = _host()
    host.set_rules(FRONT)
    host.start_container(POD, MAIN, 10)
    host.pass_time(6 * S)
    emulation = host.resctrl.host.emulation
    assert emulation is not None
    inode, said = emulation.attributes("mon_groups/pod_front").inode, host.events()
    host.restart()
    host.pass_time(20 * S)
    assert (host.assigned().group, host.assigned().unit.container_names) == ("front", {MAIN.id: "main"})
    host.connect(POD, containers=[MAIN]).pass_time(6 * S)
    assert (host.events(), host.whole()) == (said, (1, 1))
    assert emulation.attributes("mon_groups/pod_front").inode == inode


# ---- 9. shared groups ------------------------------------------------------------------------------


def test_9_pods_share_a_group_by_namespace_and_label() -> None:
    """It goes when its last pod goes, and a change of rules moves the pods."""
    host = _host()
    host.set_rules(FRONT)
    second, other = sandbox(UIDS[1], "web-2", app="web"), sandbox(UIDS[2], "db", app="db")
    for number, pod in enumerate((POD, second, other)):
        host.start_container(pod, container_of(pod), 10 + number)
    host.pass_time(1 * S)
    assert host.paths() == host.paths(UIDS[1]) == (f"{ROOT}/mon_groups/pod_front",)
    assert host.groups() == {"pod_front", f"pod_{UIDS[2]}"}
    host.hear(PodRemoved(POD.sandbox_id)).pass_time(1 * S)
    assert host.tasks(host.paths(UIDS[1])[0]) == {11}
    host.set_rules()
    host.pass_time(1 * S)
    assert host.groups() == {f"pod_{UIDS[1]}", f"pod_{UIDS[2]}"}
    assert host.tasks(host.paths(UIDS[1])[0]) == {11}
    host.set_rules(FRONT)
    host.hear(PodRemoved(second.sandbox_id)).pass_time(5 * S)
    assert host.groups() == {f"pod_{UIDS[2]}"}


def test_the_retry_interval_finds_ids_that_others_release() -> None:
    """Nobody reports when another tool removes its groups."""
    host = _host()
    other = host.resctrl.view()
    for number in range(7):
        other.mkdir(f"mon_groups/theirs{number}")
    outcome = host.start_container(POD, MAIN, 10)
    assert outcome.problem == "capacity"
    host.pass_time(1 * S)
    assert (host.problem(), host.whole()) == ("capacity", (0, 1))
    for number in range(7):
        other.rmdir(f"mon_groups/theirs{number}")
    host.pass_time(RESCTRL_RETRY_INTERVAL.default + 2 * S)
    assert host.whole() == (1, 1)


def test_looks_that_are_always_due_leave_the_groups_every_second_turn() -> None:
    """On a host where a look takes longer than its interval, groups are still made."""
    host = _host()
    host.run(UID, 10)
    for _turn in range(40):
        # Each turn ends after the next look was due.
        host.work.on_timer(host.clock.advance(CONTROL_PLANE_INTERVAL.default))
    assert host.paths()
    assert {10} == host.tasks(host.paths()[0])


def test_7_a_group_is_not_removed_while_a_container_is_being_placed() -> None:
    """It may be in that very group; it is tried again a moment later, and everything else goes on."""
    host = _host()
    host.start_container(POD, MAIN, 10)
    host.pass_time(1 * S)
    with host.link.placing:
        host.end(UID)
        host.hear(PodRemoved(POD.sandbox_id)).pass_time(100 * MS)
        assert f"pod_{UID}" in host.groups()
    host.pass_time(2 * S)
    assert host.groups() == set()


def test_6_threads_of_a_container_that_is_being_placed_are_no_strays() -> None:
    """A check that is older than the report of its start lets nobody go; those that nobody reports go later."""
    host = _host()
    host.start_container(POD, MAIN, 10)
    host.pass_time(1 * S)
    path = host.paths()[0]
    host.table.start(20)
    host.resctrl.write(f"{path.removeprefix(ROOT + '/')}/tasks", b"20\n")
    with host.link.placing:
        host.pass_time(30 * S)
        assert host.tasks(path) == {10, 20}
    host.pass_time(60 * S)
    assert host.tasks(path) == {10}


def test_reports_that_follow_one_another_are_bound_together_a_moment_later() -> None:
    """While a pod starts the loop leaves the processors to the runtime: its reports are one change, after they were gathered."""
    host = Host(has_runtime=True, gather_ns=GATHER_NS)
    host.hear(Synchronized((), ())).pass_time(1 * S)
    before = len(host.bus.published)
    host.hear(PodStarted(POD))
    assert host.work.interests() == ()
    assert host.work.next_deadline_ns() == host.clock.now_ns() + GATHER_NS
    host.link.tell(RuntimeWire.NRI, ContainerStarting(POD, MAIN))
    host.clock.advance(GATHER_NS - 1)
    assert len(host.bus.published) == before

    host.work.on_timer(host.clock.advance(1))
    # One message binds it; those that follow in the same turn say how its group stands.
    held = [decode_assignment(content) for each in host.bus.published[before:] for _key, content in each.changes if content]
    assert [{MAIN.id: MAIN.name}] * len(held) == [each.unit.container_names for each in held]
    assert [bool(each.monitoring and each.monitoring.paths) for each in held] == [False, True]
    assert host.work.interests() != ()


def test_work_on_groups_does_not_overtake_reports_that_are_gathered() -> None:
    """A directory is removed only after what the runtime has reported is known."""
    host = Host(has_runtime=True, gather_ns=GATHER_NS)
    host.hear(Synchronized((), ())).pass_time(1 * S)
    host.hear(PodStarted(POD))
    assert host.work.next_deadline_ns() is not None
    host.work.on_timer(host.clock.now_ns())
    assert host.assigned(POD.uid).unit.name == POD.name


def test_reports_without_a_pause_put_off_neither_looks_nor_groups() -> None:
    """Each turn of the loop finds a new report: the first look comes, and groups are made."""
    host = Host(has_runtime=True, gather_ns=GATHER_NS)
    host.run(UID, 10)
    for number in range(40):
        host.hear(PodStarted(sandbox(UIDS[1], name=f"pod-{number}")))
        host.work.on_timer(host.clock.advance(10 * MS))
    assert host.paths()
    assert {10} == host.tasks(host.paths()[0])
