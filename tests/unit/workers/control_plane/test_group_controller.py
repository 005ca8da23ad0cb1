"""The control plane over a resctrl in memory: from cgroups to groups, through shortage, foreign hands and its own restarts."""

import errno

import pytest
from fakes.group_host import FIRST, SECOND, UID, UIDS, Host, pod_path, thread_lines
from fakes.memory_resctrl import ROOT, MemoryResctrl

from agent.config import (
    CONTROL_PLANE_INTERVAL,
    HANG_TIMEOUT,
    RESCTRL_AUTO_MOUNT,
    RESCTRL_CHECK_INTERVAL,
    RESCTRL_HEALTH_INTERVAL,
    RESCTRL_RETRY_INTERVAL,
    Config,
)
from agent.model.rule import Action, GroupRule, Match, QosClass
from agent.model.timebase import MS, S
from workers.resctrl.name import group_name

DIGESTED = group_name("/system.slice/nginx.service")


def test_pods_that_ran_before_have_every_thread_in_their_group() -> None:
    """Not only the leaders: all that their cgroups list; the assignment names the directory and counts the containers."""
    host = Host()
    host.run(UID, 10, 11, 12)
    host.run(UID, 20, container=SECOND)
    host.pass_time(1 * S)

    assert host.paths() == (f"{ROOT}/mon_groups/pod_{UID}",)
    assert host.tasks(host.paths()[0]) == {10, 11, 12, 20}
    assert host.whole() == (2, 2)
    assert host.condition() is None


def test_the_first_look_counts_as_whole_when_every_group_was_tried() -> None:
    """Readiness hangs on it: before, nobody knows which pods are measured; a host without pods is whole as well."""
    host = Host()
    host.run(UID, 10)
    host.work.on_timer(host.clock.now_ns())
    assert [published.complete for published in host.bus.published] == [False]
    host.pass_time(1 * S)
    assert host.bus.published[-1].complete
    assert Host().pass_time(1 * S).bus.published[-1].complete


def test_where_there_is_no_resctrl_the_look_is_whole_when_that_is_known() -> None:
    """What keeps the agent from being ready then is the condition, with its remedy, and not a look without end."""
    host = Host(is_mounted=False)
    host.run(UID, 10)
    host.pass_time(1 * S)
    assert host.bus.published[-1].complete
    host.run(UIDS[1], 20)
    host.pass_time(6 * S)
    assert host.problem(UIDS[1]) == "not_mounted"


def test_a_container_that_starts_later_is_moved_and_counted() -> None:
    """It is pending while its cgroup is empty, and whole after a pass."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    host.run(UID, container=SECOND)
    host.pass_time(6 * S)
    assert host.whole() == (1, 2)
    host.run(UID, 20, 21, container=SECOND)
    host.pass_time(RESCTRL_CHECK_INTERVAL.default)
    assert host.whole() == (2, 2)
    assert host.tasks(host.paths()[0]) == {10, 20, 21}


def test_nothing_is_published_when_nothing_changed() -> None:
    """Looks and checks go on in silence."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(2 * S)
    said = len(host.bus.published)
    host.echo()
    host.pass_time(60 * S)
    assert len(host.bus.published) == said


def test_a_pod_that_ends_gives_its_id_back() -> None:
    """Its directory goes with its assignment."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    host.end(UID)
    host.pass_time(6 * S)
    assert f"pod/{UID}" not in host.bus.entries()
    assert host.groups() == set()


def test_without_an_id_the_pod_says_so_and_has_one_as_soon_as_one_is_free() -> None:
    """All ids are in use; a pod ends, its id passes through limbo, and the one that waits has it; one event for each step."""
    host = Host()
    # The default group has an id of its own.
    for number, uid in enumerate(UIDS[:8]):
        host.run(uid, 10 + number)
    host.pass_time(1 * S)
    without = [uid for uid in UIDS[:8] if not host.paths(uid)]
    assert len(without) == 1
    assert host.problem(without[0]) == "capacity"
    told = host.condition("pods_unmeasured")
    assert told is not None
    assert "1 capacity" in told.detail
    assert not told.blocks_ready

    holder = next(uid for uid in UIDS[:8] if host.paths(uid))
    events = sum(key == f"pod/{without[0]}" for published in host.bus.published for key, _content in published.changes)
    host.end(holder)
    host.pass_time(8 * S)
    assert host.paths(without[0])
    assert host.whole(without[0]) == (1, 1)
    assert host.condition("pods_unmeasured") is None
    later = sum(key == f"pod/{without[0]}" for published in host.bus.published for key, _content in published.changes)
    # In limbo, made, whole.
    assert later - events <= 3


def test_ids_that_others_release_are_found_at_the_retry_interval() -> None:
    """Nobody tells us when another tool removes its groups."""
    host = Host()
    other = host.resctrl.view()
    for number in range(7):
        other.mkdir(f"mon_groups/theirs{number}")
    host.run(UID, 10)
    host.pass_time(1 * S)
    assert host.problem() == "capacity"
    for number in range(7):
        other.rmdir(f"mon_groups/theirs{number}")
    host.pass_time(RESCTRL_RETRY_INTERVAL.default + 2 * S)
    assert host.paths()


def test_the_priority_of_a_rule_decides_who_is_measured() -> None:
    """A pod of higher priority that comes late gets the id of one of lower priority, which is told why."""
    host = Host()
    host.set_rules(GroupRule("vip", priority=9, match=Match(qos=QosClass.GUARANTEED)))
    for number, uid in enumerate(UIDS[:7]):
        host.run(uid, 10 + number)
    host.pass_time(1 * S)
    assert all(host.paths(uid) for uid in UIDS[:7])
    vip = UIDS[9]
    host.run(vip, 99, qos="guaranteed")
    host.pass_time(9 * S)
    assert host.tasks(host.paths(vip)[0]) == {99}
    (evicted,) = [uid for uid in UIDS[:7] if not host.paths(uid)]
    assert host.problem(evicted) == "capacity"


def test_pods_come_before_services_of_the_same_priority() -> None:
    """A host has more services than anybody wants to pay ids for."""
    host = Host()
    for number in range(7):
        host.table.start(50 + number)
        host.tree.put(f"system.slice/s{number}.service/cgroup.threads", thread_lines([50 + number]))
    host.pass_time(1 * S)
    host.run(UID, 10)
    host.pass_time(9 * S)
    assert host.tasks(host.paths()[0]) == {10}


def test_a_service_is_taken_without_the_units_below_it() -> None:
    """A user's manager and what it runs are different units, though one lies in the other."""
    host = Host()
    manager = "user.slice/user@7.service"
    for path, ids in {manager: [50], f"{manager}/init.scope": [51], f"{manager}/app.slice/a.service": [52, 53]}.items():
        for thread_id in ids:
            host.table.start(thread_id)
        host.tree.put(f"{path}/cgroup.threads", thread_lines(ids))
    host.pass_time(1 * S)
    assert host.tasks(host.paths(f"/{manager}/app.slice/a.service")[0]) == {52, 53}
    assert 52 not in host.tasks(host.paths(f"/{manager}")[0])


def test_shared_and_ignored_units() -> None:
    """Several pods share one directory, which lives as long as one of them; an ignored one has none."""
    host = Host()
    host.set_rules(
        GroupRule("front", match=Match(qos=QosClass.BURSTABLE), action=Action("shared", "front")),
        GroupRule("quiet", match=Match(qos=QosClass.BESTEFFORT), action=Action("ignore")),
    )
    host.run(UIDS[0], 10)
    host.run(UIDS[1], 20)
    host.run(UIDS[2], 30, qos="besteffort")
    host.pass_time(1 * S)
    assert host.paths(UIDS[0]) == host.paths(UIDS[1])
    assert host.tasks(host.paths(UIDS[0])[0]) == {10, 20}
    assert host.assigned(UIDS[2]).monitoring is None
    assert len(host.groups()) == 1

    host.end(UIDS[0])
    host.pass_time(6 * S)
    assert host.tasks(host.paths(UIDS[1])[0]) == {20}
    host.end(UIDS[1])
    host.pass_time(6 * S)
    assert host.groups() == set()


def test_a_rule_that_ignores_a_pod_takes_its_group_away_at_once() -> None:
    """No look is waited for."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    host.set_rules(GroupRule("quiet", action=Action("ignore")))
    host.pass_time(100 * MS)
    assert host.assigned().monitoring is None
    assert host.groups() == set()


def test_the_first_start_removes_what_an_earlier_agent_left_and_counts_it() -> None:
    """Only what has our prefix, at the root and in its mon_groups; one line with the counters."""
    host = Host(is_mounted=False)
    host.resctrl.host.mount()
    other = host.resctrl.view()
    for path in ("mon_groups/pod_old", "mon_groups/theirs", "batch", "batch/mon_groups/pod_kept"):
        other.mkdir(path)
    host.run(UID, 10)
    host.pass_time(1 * S)
    assert host.resctrl.list_directories("batch/mon_groups") == ["pod_kept"]
    (note,) = [note for note in host.bus.notes if note.kind == "resctrl_cleanup"]
    assert (note.severity, note.fields["removed"], note.fields["removal_failures"]) == ("info", 1, 0)
    assert host.groups() == {"theirs", f"pod_{UID}"}


def test_a_restarted_control_plane_adopts_its_groups() -> None:
    """The directories stay the same ones, so that counters go on; what it had just made and not yet told is removed."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    inode = host.resctrl.host.emulation.attributes(f"mon_groups/pod_{UID}").inode  # type: ignore[union-attr]
    host.resctrl.mkdir("mon_groups/pod_untold")
    host.restart()
    host.run(UID, 10, 11)
    host.pass_time(1 * S)
    assert host.resctrl.host.emulation.attributes(f"mon_groups/pod_{UID}").inode == inode  # type: ignore[union-attr]
    assert host.tasks(host.paths()[0]) == {10, 11}
    assert host.groups() == {f"pod_{UID}"}
    assert len([note for note in host.bus.notes if note.kind == "resctrl_cleanup"]) == 1


def test_a_group_that_somebody_removes_is_made_again() -> None:
    """At the next check its threads are back in it."""
    host = Host()
    host.run(UID, 10, 11)
    host.pass_time(1 * S)
    host.resctrl.view().rmdir(f"mon_groups/pod_{UID}")
    host.pass_time(RESCTRL_CHECK_INTERVAL.default + 2 * S)
    assert host.tasks(host.paths()[0]) == {10, 11}
    assert host.whole() == (1, 1)


def test_threads_that_somebody_moves_away_are_moved_back() -> None:
    """And strangers that somebody put into our group are put back."""
    host = Host()
    host.run(UID, 10, 11)
    host.table.start(77)
    host.pass_time(1 * S)
    other = host.resctrl.view()
    other.write("tasks", b"11")
    other.write(f"mon_groups/pod_{UID}/tasks", b"77")
    host.pass_time(RESCTRL_CHECK_INTERVAL.default + 2 * S)
    assert host.tasks(host.paths()[0]) == {10, 11}


def test_threads_in_a_control_group_of_another_tool_keep_their_allocation() -> None:
    """They get a monitoring group there; the assignment names both directories, and both go with the pod."""
    host = Host()
    host.resctrl.view().mkdir("batch")
    host.run(UID, 10, 11)
    host.resctrl.view().write("batch/tasks", b"11")
    host.pass_time(1 * S)
    assert host.paths() == (f"{ROOT}/mon_groups/pod_{UID}", f"{ROOT}/batch/mon_groups/pod_{UID}")
    assert [host.tasks(path) for path in host.paths()] == [{10}, {11}]
    assert host.whole() == (1, 1)
    host.end(UID)
    host.pass_time(6 * S)
    assert host.resctrl.list_directories("batch/mon_groups") == []


def test_when_resctrl_is_unmounted_readiness_goes_and_comes_back_with_it() -> None:
    """The condition names the remedy; the pods say that they are not measured; a new mount gets all groups again."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    host.resctrl.host.unmount()
    host.pass_time(2 * S)
    lost = host.condition()
    assert lost is not None
    assert lost.blocks_ready
    assert "mount -t resctrl" in lost.detail
    assert (host.paths(), host.problem()) == ((), "not_mounted")

    host.resctrl.host.mount()
    host.pass_time(2 * S)
    assert host.condition() is None
    assert host.tasks(host.paths()[0]) == {10}


def test_a_remount_behind_our_back_is_noticed() -> None:
    """The old directories are gone with the old mount, and all are made again."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    host.resctrl.host.unmount()
    host.resctrl.host.mount()
    assert host.groups() == set()
    host.pass_time(2 * S)
    assert host.tasks(host.paths()[0]) == {10}


def test_where_nothing_is_mounted_the_agent_says_so_and_mounts_only_when_told_to() -> None:
    """By default the operator is told what to do; with the setting it is done."""
    host = Host(is_mounted=False)
    host.run(UID, 10)
    host.pass_time(3 * S)
    assert host.problem() == "not_mounted"
    assert host.resctrl.mount_id() is None

    bold = Host(is_mounted=False)
    bold.config = Config({RESCTRL_AUTO_MOUNT.key: True})
    bold.run(UID, 10)
    bold.restart()
    bold.pass_time(1 * S)
    assert bold.paths()


def test_a_read_only_mount_is_named_as_such() -> None:
    """Nothing is tried on it; it is looked at again until it can be written."""
    host = Host()
    host.resctrl.host.is_read_only = True
    host.restart()
    host.run(UID, 10)
    host.pass_time(2 * S)
    told = host.condition()
    assert told is not None
    assert "read-write" in told.detail
    assert host.problem() == "no_permission"
    host.resctrl.host.is_read_only = False
    host.pass_time(2 * S)
    assert host.paths()


def test_a_lock_held_by_another_tool_only_delays() -> None:
    """Nothing changes behind the holder's back; as soon as it is free, work goes on."""
    host = Host()
    other = host.resctrl.view()
    host.run(UID, 10)
    host.pass_time(1 * S)
    assert other.try_lock()
    host.run(UIDS[1], 20)
    host.pass_time(8 * S)
    assert host.problem(UIDS[1]) == "locked"
    assert host.groups() == {f"pod_{UID}"}
    other.unlock()
    host.pass_time(1 * S)
    assert host.tasks(host.paths(UIDS[1])[0]) == {20}


def test_the_health_line_counts_who_is_not_measured_and_who_is_not_whole() -> None:
    """In the form that other tools' readers know; silent while all is well."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(RESCTRL_HEALTH_INTERVAL.default + 1 * S)
    assert [note for note in host.bus.notes if note.kind == "resctrl_health"] == []
    for number, uid in enumerate(UIDS[1:9]):
        host.run(uid, 20 + number)
    host.run(UID, container=SECOND)
    host.pass_time(RESCTRL_HEALTH_INTERVAL.default)
    (note,) = [note for note in host.bus.notes if note.kind == "resctrl_health"]
    assert note.fields["line"] == "resctrl health: pods_failed=2, pods_unreconciled=1"


def test_a_stop_for_good_gives_every_id_back_and_a_restart_none() -> None:
    """A successor that follows at once goes on with the groups."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    host.work.on_stop(host.clock.now_ns(), for_good=False)
    assert host.groups() == {f"pod_{UID}"}
    host.restart()
    host.pass_time(1 * S)
    host.work.on_stop(host.clock.now_ns(), for_good=True)
    assert host.groups() == set()
    assert host.work.is_done()


def test_a_turn_of_work_leaves_time_for_the_heartbeat() -> None:
    """Hundreds of pods at once are made in many turns, each of a few milliseconds by the clock."""
    host = Host("intel-2socket")
    uids = [f"{number:08x}-aaaa-4d6a-9f21-7c5d0e4b6a13" for number in range(200)]
    for number, uid in enumerate(uids):
        host.run(uid, 1000 + number)
    resctrl = host.work._controller._groups.filesystem  # type: ignore[union-attr]
    make = resctrl.mkdir

    def slow_mkdir(path: str) -> None:
        host.clock.advance(2 * MS)
        make(path)

    resctrl.mkdir = slow_mkdir  # type: ignore[method-assign]
    longest_ns = 0
    while host.clock.now_ns() < 3 * S:
        deadline_ns = host.work.next_deadline_ns()
        assert deadline_ns is not None
        began_ns = host.clock.advance(max(0, deadline_ns - host.clock.now_ns()))
        host.work.on_timer(began_ns)
        longest_ns = max(longest_ns, host.clock.now_ns() - began_ns)
    assert all(host.paths(uid) for uid in uids)
    assert longest_ns < 50 * MS


def test_the_worker_tells_what_it_did_for_groups() -> None:
    """For status and metrics: how many groups, how many steps of each kind, which failures."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    stats = host.work.on_ask("stats", host.clock.now_ns())
    assert stats is not None
    assert stats["resctrl"]["groups"] == 1
    assert stats["resctrl"]["steps"]["create"] == 1
    assert stats["resctrl"]["failures"] == {}


def test_a_container_that_systemd_counts_to_its_engine_is_the_containers() -> None:
    """An engine that uses the controllers only leaves its containers' threads in its service's group of systemd's tree: they
    stay in the group of the pod, and no check of the service takes them back."""
    host = Host()
    host.tree.remove("cgroup.controllers")
    for thread_id in (10, 20, 21):
        host.table.start(thread_id)
    host.tree.put("unified/cgroup.controllers")
    host.tree.put("systemd/system.slice/engine.service/tasks", thread_lines([10, 20, 21]))
    host.tree.put(f"memory/{pod_path(UID)}/{FIRST}/tasks", thread_lines([20, 21]))
    host.pass_time(2 * S)
    for _look in range(30):
        host.pass_time(1 * S)
        assert host.tasks(host.paths()[0]) == {20, 21}
    assert host.tasks(host.paths("/system.slice/engine.service")[0]) == {10}
    assert host.whole() == host.whole("/system.slice/engine.service") == (1, 1)


def test_who_waits_hears_nothing_of_the_others_who_wait() -> None:
    """Fifteen pods and seven ids: a pod ends, the next one has its id; no message for those that wait, and of no other pod."""
    host = Host()
    for number, uid in enumerate(UIDS[:15]):
        host.run(uid, 10 + number)
    host.pass_time(2 * S)
    last = [uid for uid in UIDS[:15] if not host.paths(uid)][-1]
    monitoring = host.assigned(last).monitoring
    assert monitoring is not None
    assert "pod_" not in monitoring.detail

    said = len(host.bus.published)
    for uid in [uid for uid in UIDS[:15] if host.paths(uid)][:5]:
        host.end(uid)
        host.pass_time(8 * S)
    assert sum(bool(host.paths(uid)) for uid in UIDS[5:15] if f"pod/{uid}" in host.bus.entries()) == 7
    assert f"pod/{last}" not in {key for published in host.bus.published[said:] for key, _content in published.changes}


def test_a_resctrl_that_only_allocates_is_one_lasting_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches that can be divided and not measured are common: it is said once; readiness does not come and go with each look."""

    def mkdir(_self: MemoryResctrl, path: str) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr(MemoryResctrl, "list_directories", lambda _self, path: ["info"] if not path else [])
    monkeypatch.setattr(MemoryResctrl, "mkdir", mkdir)
    host = Host()
    host.run(UID, 10)
    host.pass_time(30 * S)
    (told,) = [condition for condition in host.bus.conditions if condition.kind == "resctrl"]
    assert (told.active, told.blocks_ready) == (True, True)
    assert "monitors nothing" in told.detail
    assert host.problem() == "unsupported"


def test_a_lock_held_for_a_moment_at_the_end_leaves_no_group_behind() -> None:
    """Another tool works for longer than one wait lasts: the agent has time for some more."""
    host = Host()
    for number, uid in enumerate(UIDS[:5]):
        host.run(uid, 10 + number)
    host.pass_time(2 * S)
    other = host.resctrl.view()
    assert other.try_lock()
    host.on_wait = lambda: other.unlock() if host.clock.now_ns() >= unlocked_at_ns else None
    unlocked_at_ns = host.clock.now_ns() + 150 * MS
    host.work.on_stop(host.clock.now_ns(), for_good=True)
    assert host.groups() == set()


def test_groups_of_pods_that_ended_while_resctrl_could_not_be_seen_go() -> None:
    """Something else is mounted over it for a while: it is the same resctrl afterwards, and what is wanted keeps its counters."""
    host = Host()
    host.run(UID, 10)
    host.run(UIDS[1], 11)
    host.pass_time(2 * S)
    emulation = host.resctrl.host.emulation
    assert emulation is not None
    inode = emulation.attributes(f"mon_groups/pod_{UID}").inode
    host.resctrl.host.emulation = None
    host.pass_time(2 * S)
    host.end(UIDS[1])
    host.pass_time(6 * S)
    host.resctrl.host.emulation = emulation
    host.pass_time(6 * S)
    assert host.groups() == {f"pod_{UID}"}
    assert emulation.attributes(f"mon_groups/pod_{UID}").inode == inode


def test_an_important_pod_does_not_wait_behind_others_for_the_retry_interval() -> None:
    """All ids are in use and others wait already: it is tried as soon as it is seen, and somebody gives way."""
    host = Host()
    host.set_rules(GroupRule("vip", priority=9, match=Match(qos=QosClass.GUARANTEED)))
    for number, uid in enumerate(UIDS[:10]):
        host.run(uid, 10 + number)
    host.pass_time(11 * S)
    vip = UIDS[12]
    host.run(vip, 99, qos="guaranteed")
    # A look, the removal, and the limbo of the id.
    host.pass_time(CONTROL_PLANE_INTERVAL.default + 2 * S)
    assert host.tasks(host.paths(vip)[0]) == {99}


def test_nobody_gives_way_to_a_group_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory fails by itself; of the others, equals do not take the id from each other in turn."""
    host = Host()
    host.set_rules(GroupRule("vip", priority=9, match=Match(qos=QosClass.GUARANTEED)))
    make = MemoryResctrl.mkdir

    def mkdir(resctrl: MemoryResctrl, path: str) -> None:
        if UIDS[12] in path:
            raise OSError(errno.EIO, "Input/output error", path)
        make(resctrl, path)

    monkeypatch.setattr(MemoryResctrl, "mkdir", mkdir)
    for number, uid in enumerate(UIDS[:8]):
        host.run(uid, 10 + number)
    host.run(UIDS[12], 99, qos="guaranteed")
    host.pass_time(60 * S)
    assert host.problem(UIDS[12]) == "io"
    assert sum(bool(host.paths(uid)) for uid in UIDS[:8]) == 7
    steps = host.work.on_ask("stats", host.clock.now_ns())
    assert steps is not None
    assert "delete" not in steps["resctrl"]["steps"]


def test_a_container_that_cannot_be_listed_keeps_nobody_else_out_of_a_shared_group() -> None:
    """The other pods' threads are moved and theirs are whole; its own, which nobody can list, are not thrown out."""
    host = Host()
    host.set_rules(GroupRule("front", match=Match(qos=QosClass.BURSTABLE), action=Action("shared", "front")))
    host.run(UIDS[1], 20)
    host.pass_time(1 * S)
    host.tree.fail(f"{pod_path(UIDS[1])}/{FIRST}/cgroup.threads", errno.EACCES)
    host.run(UIDS[0], 10)
    host.pass_time(30 * S)
    assert host.tasks(host.paths(UIDS[0])[0]) == {10, 20}
    assert (host.whole(UIDS[0]), host.whole(UIDS[1])) == ((1, 1), (0, 1))
    assert host.problem(UIDS[1]) == "io"


def test_without_an_id_in_a_control_group_the_reason_is_the_want_of_ids() -> None:
    """Anyone who reads of a want of permission looks for the wrong remedy."""
    host = Host()
    other = host.resctrl.view()
    other.mkdir("batch")
    for number in range(5):
        other.mkdir(f"mon_groups/theirs{number}")
    host.run(UID, 10, 11)
    other.write("batch/tasks", b"11")
    host.pass_time(2 * S)
    assert (len(host.paths()), host.problem()) == (1, "capacity")


def test_a_directory_that_went_with_a_foreign_control_group_is_named_no_longer() -> None:
    """Its threads are in the main one again, and the rows are whole: nothing in them is called vanished for ever."""
    host = Host()
    other = host.resctrl.view()
    other.mkdir("batch")
    host.run(UID, 10, 11)
    other.write("batch/tasks", b"11")
    host.pass_time(1 * S)
    assert len(host.paths()) == 2
    other.rmdir("batch")
    host.pass_time(RESCTRL_CHECK_INTERVAL.default + 2 * S)
    assert host.paths() == (f"{ROOT}/mon_groups/pod_{UID}",)
    assert host.tasks(host.paths()[0]) == {10, 11}


def test_a_lock_that_is_never_released_does_not_keep_groups_from_being_looked_after() -> None:
    """A successor finds every thread where it should be, which takes no lock, though a removal waits for it."""
    host = Host()
    for number, uid in enumerate(UIDS[:3]):
        host.run(uid, 10 + number)
    host.pass_time(2 * S)
    host.end(UIDS[2])
    assert host.resctrl.view().try_lock()
    host.restart()
    host.pass_time(5 * S)
    assert host.whole(UIDS[0]) == host.whole(UIDS[1]) == (1, 1)


def test_a_lock_that_is_never_released_is_named() -> None:
    """A short wait is not reported; a pod that stays without a group for longer is, with the reason."""
    host = Host()
    host.run(UID, 10)
    assert host.resctrl.view().try_lock()
    host.pass_time(2 * S)
    assert host.condition("pods_unmeasured") is None
    host.pass_time(30 * S)
    told = host.condition("pods_unmeasured")
    assert told is not None
    assert "1 locked" in told.detail


def test_hundreds_of_left_groups_and_a_busy_lock_are_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another tool holds the lock for most of the time: no turn is as long as the supervisor's patience, and all of them go."""
    host = Host("intel-2socket", is_mounted=False)
    host.resctrl.host.mount()
    for number in range(440):
        host.resctrl.view().mkdir(f"mon_groups/pod_old{number}")
    lock, remove = MemoryResctrl.try_lock, MemoryResctrl.rmdir

    def rmdir(resctrl: MemoryResctrl, path: str) -> None:
        host.clock.advance(1 * MS)
        remove(resctrl, path)

    monkeypatch.setattr(MemoryResctrl, "try_lock", lambda resctrl: host.clock.now_ns() % (100 * MS) >= 80 * MS and lock(resctrl))
    monkeypatch.setattr(MemoryResctrl, "rmdir", rmdir)
    longest_ns = 0
    while host.groups():
        began_ns = host.clock.now_ns()
        host.work.on_timer(began_ns)
        longest_ns = max(longest_ns, host.clock.now_ns() - began_ns)
    assert longest_ns < HANG_TIMEOUT.default // 2


def _leave_behind(host: Host) -> None:
    """An agent measured a pod with threads in another tool's control group; all of it was killed, and the pod ended."""
    other = host.resctrl.view()
    for path in (
        "batch",
        f"batch/mon_groups/pod_{UID}",
        f"batch/mon_groups/{DIGESTED}",
        "batch/mon_groups/pod_kept",
        "batch/mon_groups/x",
    ):
        other.mkdir(path)


def test_what_a_killed_agent_left_inside_a_control_group_of_others_goes_at_the_next_start() -> None:
    """Each holds an id for ever; only names that are unmistakably ours are taken, the control group's own stay."""
    host = Host(is_mounted=False)
    host.resctrl.host.mount()
    _leave_behind(host)
    host.pass_time(1 * S)

    assert set(host.resctrl.list_directories("batch/mon_groups")) == {"pod_kept", "x"}
    assert "batch" in host.resctrl.list_directories("")
    (note,) = [note for note in host.bus.notes if note.kind == "resctrl_cleanup"]
    assert (note.fields["removed"], note.fields["removal_failures"]) == (2, 0)


def test_a_shared_groups_name_is_ours_where_a_rule_says_so() -> None:
    """`pod_kept` may be anybody's, until an operator's rule makes a group of that name."""
    host = Host(is_mounted=False)
    host.resctrl.host.mount()
    _leave_behind(host)
    host.set_rules(GroupRule("share", match=Match(qos=QosClass.BESTEFFORT), action=Action("shared", "kept")))
    host.pass_time(1 * S)
    assert host.resctrl.list_directories("batch/mon_groups") == ["x"]


def test_what_appears_inside_a_control_group_later_goes_at_the_periodic_check() -> None:
    """A control plane that dies between making a directory there and telling of it leaves one that no assignment names."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    _leave_behind(host)
    host.resctrl.view().mkdir(f"batch/mon_groups/pod_{UIDS[1]}")
    host.pass_time(RESCTRL_RETRY_INTERVAL.default + 2 * S)

    assert set(host.resctrl.list_directories("batch/mon_groups")) == {"pod_kept", "x"}
    assert host.whole() == (1, 1)


def test_a_group_inside_a_control_group_that_a_pod_lives_in_is_left_alone() -> None:
    """Cleanup at a restart and every periodic check go by; the counters of the pod's threads there go on."""
    host = Host()
    host.resctrl.view().mkdir("batch")
    host.run(UID, 10, 11)
    host.resctrl.view().write("batch/tasks", b"11")
    host.pass_time(1 * S)
    inside = f"batch/mon_groups/pod_{UID}"
    inode = host.resctrl.host.emulation.attributes(inside).inode  # type: ignore[union-attr]
    host.restart()
    host.pass_time(2 * RESCTRL_RETRY_INTERVAL.default)

    assert host.resctrl.host.emulation.attributes(inside).inode == inode  # type: ignore[union-attr]
    assert host.tasks(f"{ROOT}/{inside}") == {11}


def test_the_look_inside_control_groups_survives_a_lock_that_others_hold() -> None:
    """It is tried again at the next check."""
    host = Host()
    host.run(UID, 10)
    host.pass_time(1 * S)
    _leave_behind(host)
    holder = host.resctrl.view()
    assert holder.try_lock()
    host.pass_time(RESCTRL_RETRY_INTERVAL.default + 1 * S)
    assert f"pod_{UID}" in host.resctrl.list_directories("batch/mon_groups")
    holder.unlock()
    host.pass_time(RESCTRL_RETRY_INTERVAL.default + 2 * S)
    assert set(host.resctrl.list_directories("batch/mon_groups")) == {"pod_kept", "x"}


def test_a_control_group_whose_name_is_no_utf8_ends_nobody() -> None:
    """A thread lives there: its pod is measured there too, and what is published can be sent."""
    host = Host()
    host.resctrl.view().mkdir("b\udcff")
    host.run(UID, 10, 11)
    host.resctrl.view().write("b\udcff/tasks", b"11")
    host.pass_time(1 * S)
    assert host.whole() == (1, 1)
    assert host.paths()[1] == rf"{ROOT}/b\xff/mon_groups/pod_{UID}"
    host.resctrl.host.unmount()
    host.pass_time(2 * S)
    assert host.problem() == "not_mounted"
