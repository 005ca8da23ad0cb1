"""Random stories of rules, workers and broken lines against a plain dict: the pure core of both sides, told by Hypothesis."""

import os

import pytest
from fakes.rules_world import CHILDREN, LOOKS_TO_REPAIR_MAX, RulesWorld
from fakes.story import POLICY
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from agent.model.timebase import MS
from supervisor.core.child import TAKEOVER_ANSWER_NS
from supervisor.core.takeover import RETRY_NS

SEQUENCES = int(os.environ.get("EVERGAUGE_SEQUENCES", "2000"))
# Split into this many tests, so that each stays well below the time limit of a test.
PARTS = 5
STEPS = 50

WORKERS = st.sampled_from(sorted(CHILDREN))
RULE_NAMES = st.sampled_from(["r0", "r1", "r2"])
# Nothing; a message's way; a restart delay; the patience with a hung worker, an survivor and one that does not become ready.
WAITS_NS = (0, 1 * MS, 60 * MS, 700 * MS, 4_000 * MS, 11_000 * MS)
DRIFTS = st.sampled_from(["added", "altered", "removed", "emptied", "thrown back"])


class RulesMachine(RuleBasedStateMachine):
    """What may happen, in any order. The world checks itself after each event; `teardown` makes peace and checks the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.world = RulesWorld()

    @initialize(is_up=st.booleans())
    def begin(self, is_up: bool) -> None:
        if is_up:
            self.world.flow()

    # ---- clients and the disk --------------------------------------------------------------------

    @rule(name=RULE_NAMES, priority=st.integers(0, 2), is_written_at_once=st.booleans())
    def add_rule(self, name: str, priority: int, is_written_at_once: bool) -> None:
        self.world.change(name, priority)
        if is_written_at_once:
            self.world.disk_answers()

    @precondition(lambda self: self.world.model or self.world.persists)
    @rule(name=RULE_NAMES)
    def remove_rule(self, name: str) -> None:
        self.world.change(name, None)

    @precondition(lambda self: self.world.persists)
    @rule()
    def the_disk_takes_it(self) -> None:
        self.world.disk_answers()

    @precondition(lambda self: self.world.persists)
    @rule()
    def the_disk_is_full(self) -> None:
        self.world.disk_answers(problem="no space left on device")

    @precondition(lambda self: self.world.persists)
    @rule()
    def the_disk_takes_it_and_knows_not_for_how_long(self) -> None:
        self.world.disk_answers(problem="Input/output error", is_in_place=True)

    # ---- workers ---------------------------------------------------------------------------------

    @rule(name=WORKERS, status=st.sampled_from([-9, -11, 0, 1, 70, 78]))
    def die(self, name: str, status: int) -> None:
        self.world.exit(name, status)

    @rule(name=WORKERS)
    def hang(self, name: str) -> None:
        if name in self.world.workers:
            # One that was found to hang is killed, also when it goes on in its last moment.
            self.world.workers[name].is_stopped = self.world.workers[name].is_harmed = True

    @rule(name=WORKERS)
    def go_on(self, name: str) -> None:
        if name in self.world.workers:
            self.world.workers[name].is_stopped = False

    @rule(name=WORKERS, operation=st.sampled_from(["restart-worker", "reset-worker"]))
    def ask_for(self, name: str, operation: str) -> None:
        self.world.command(operation, name=name)

    @rule(count=st.integers(1, 3))
    def the_next_forks_fail(self, count: int) -> None:
        self.world.failing_spawns = count

    @rule(uid=st.sampled_from(["p0", "p1"]), group=st.sampled_from([None, "g0", "g1"]))
    def publish(self, uid: str, group: str | None) -> None:
        self.world.publish(uid, group)

    # Not again and again before anything has come of the one before.
    @precondition(lambda self: self.world.now_ns > POLICY.hang_timeout_ns)
    @rule(is_written=st.booleans(), killed=st.sets(WORKERS), keeps_heard=st.booleans(), is_connected=st.booleans())
    def the_supervisor_dies(self, is_written: bool, killed: set[str], keeps_heard: bool, is_connected: bool) -> None:
        self.world.die(is_written=is_written, killed=killed, keeps_heard=keeps_heard, is_connected=is_connected)

    @precondition(lambda self: self.world.now_ns > POLICY.hang_timeout_ns)
    @rule()
    def the_supervisor_dies_and_so_does_the_next_before_it_has_heard_anybody(self) -> None:
        self.world.die(is_written=False, killed=(), keeps_heard=True)
        for name in CHILDREN:
            self.world.deliver(name)
        self.world.die(is_written=False, killed=(), keeps_heard=True)

    @precondition(lambda self: self.world.now_ns > POLICY.hang_timeout_ns)
    @rule(keeps_heard=st.booleans(), connected_after_ns=st.sampled_from([0, 1 * MS, 60 * MS]))
    def a_healthy_worker_keeps_its_process_when_the_supervisor_dies(self, keeps_heard: bool, connected_after_ns: int) -> None:
        self.world.flow()
        workers = self.world.workers
        if len(workers) < len(CHILDREN) or not all(map(self.world.is_well, workers.values())):
            return
        epochs = {name: worker.epoch for name, worker in workers.items()}
        self.world.die(is_written=False, killed=(), keeps_heard=keeps_heard, is_connected=not connected_after_ns)
        self.world.wait(connected_after_ns)
        for worker in self.world.workers.values():
            worker.is_cut_off = False
        self.world.wait(10 * RETRY_NS)
        self.world.flow()
        self.world.wait(TAKEOVER_ANSWER_NS)
        assert {name: worker.epoch for name, worker in self.world.workers.items()} == epochs, "somebody was not taken over"
        self.world.assert_healthy_workers_agree()

    # ---- lines -----------------------------------------------------------------------------------

    @rule()
    def all_arrives(self) -> None:
        self.world.flow()

    @rule(name=WORKERS)
    def deliver(self, name: str) -> None:
        self.world.deliver(name)

    @rule(name=WORKERS, place=st.integers(0, 3))
    def hear(self, name: str, place: int) -> None:
        self.world.hear(name, place)

    @rule(name=WORKERS, place=st.integers(0, 3))
    def hear_an_old_acknowledgement_again(self, name: str, place: int) -> None:
        worker = self.world.workers.get(name)
        if worker is not None and worker.echoes:
            worker.up.append(worker.echoes[-1 - place % len(worker.echoes)])
            self.world.hear(name, len(worker.up) - 1)

    @precondition(lambda self: self.world.late_words)
    @rule(place=st.integers(0, 3))
    def hear_the_dead(self, place: int) -> None:
        late = self.world.late_words
        self.world.tell(late.pop(place % len(late)))

    @rule(name=WORKERS)
    def lose_a_message(self, name: str) -> None:
        worker = self.world.workers.get(name)
        if worker is not None and worker.down:
            worker.down.popleft()
            worker.is_harmed = True

    @rule(name=WORKERS)
    def deliver_twice(self, name: str) -> None:
        worker = self.world.workers.get(name)
        if worker is not None and worker.down:
            worker.down.appendleft(worker.down[0])

    @rule(name=WORKERS)
    def cut(self, name: str) -> None:
        if name in self.world.workers:
            self.world.workers[name].lose_line()

    @rule(name=WORKERS)
    def mend(self, name: str) -> None:
        if name in self.world.workers:
            self.world.workers[name].is_cut_off = False

    # ---- drift and time --------------------------------------------------------------------------

    @rule(name=WORKERS, how=DRIFTS)
    def drift(self, name: str, how: str) -> None:
        worker = self.world.workers.get(name)
        if worker is not None and worker.replica.is_loaded and worker.drift(how):
            worker.turn(self.world.now_ns)

    @rule(name=WORKERS, how=DRIFTS)
    def drift_is_repaired_within_two_looks(self, name: str, how: str) -> None:
        self.world.flow()
        worker = self.world.workers.get(name)
        if worker is None or not self.world.is_well(worker):
            return
        drifts = self.world.supervisor_state.authority.drifts
        if worker.drift(how):
            worker.turn(self.world.now_ns)
            self.world.look()
            self.world.look()
            self.world.flow()
            assert dict(worker.replica.state.items()) == self.world.expected(), f"{name} still holds what is {how}"
            assert self.world.supervisor_state.authority.is_in_sync(name)
            assert self.world.supervisor_state.authority.drifts > drifts

    @rule(name=WORKERS, priority=st.integers(0, 2))
    def a_refused_word_is_made_good_at_the_first_look_after_the_line_is_mended(self, name: str, priority: int) -> None:
        self.world.flow()
        worker = self.world.workers.get(name)
        if worker is None or self.world.persists or not self.world.is_well(worker):
            return
        worker.lose_line()
        self.world.change("r0", priority)
        self.world.disk_answers()
        worker.is_cut_off = False
        # One that stood still until now is found to hang by its old page, and killed, whatever it was refused.
        worker.turn(self.world.now_ns)
        self.world.look()
        self.world.flow()
        assert self.world.is_well(worker), f"{name} was refused a word and has not been given it since"

    @rule()
    def look(self) -> None:
        self.world.look()

    @rule(duration_ns=st.sampled_from(WAITS_NS))
    def wait(self, duration_ns: int) -> None:
        self.world.wait(duration_ns)

    # ---- what must hold --------------------------------------------------------------------------

    @invariant()
    def is_whole(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        for _ in range(LOOKS_TO_REPAIR_MAX):
            self.world.look()
            self.world.flow()
        self.world.assert_healthy_workers_agree()
        self.world.make_peace()


# A failing sequence is made short before it is shown, which takes longer than all that pass.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_to_rules_workers_and_lines_everybody_agrees_in_the_end(part: int) -> None:
    """Rules added, removed, refused by the disk; workers killed, hung, cut off, drifted; words lost, late, double: one truth."""
    run_state_machine_as_test(
        RulesMachine,
        settings=settings(
            max_examples=max(1, SEQUENCES // PARTS),
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
