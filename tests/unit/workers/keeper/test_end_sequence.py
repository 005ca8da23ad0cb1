"""A workload ends in one order: asked, given its grace, killed, read, removed."""

from workers.keeper.end_sequence import KILL_AGAIN_NS, KILL_AGAIN_NS_MAX, REMOVALS_MAX, EndAction, EndPhase, EndSequence

S = 10**9


def test_nothing_happens_while_it_runs() -> None:
    """Processes that come and go in its cgroup are its own."""
    end = EndSequence(10 * S)
    assert end.step(0, has_ended=False, is_empty=False) is EndAction.NOTHING
    assert end.step(0, has_ended=False, is_empty=True) is EndAction.NOTHING
    assert end.deadline_ns is None


def test_one_that_ends_alone_is_read_and_removed() -> None:
    """Nobody is left in its cgroup: no signal is sent."""
    end = EndSequence(10 * S)
    assert end.step(5, has_ended=True, is_empty=True) is EndAction.FINISH
    assert end.step(5, has_ended=True, is_empty=True) is EndAction.REMOVE
    assert end.note_removal(5, is_gone=True)
    assert end.phase is EndPhase.ENDED
    assert end.step(6, has_ended=True, is_empty=True) is EndAction.NOTHING
    assert end.deadline_ns is None


def test_what_the_first_process_leaves_behind_has_the_same_grace() -> None:
    """SIGTERM, then everything is killed, again and again until it is gone."""
    end = EndSequence(10 * S)
    assert end.step(0, has_ended=True, is_empty=False) is EndAction.TERMINATE
    assert end.step(9 * S, has_ended=True, is_empty=False) is EndAction.NOTHING
    assert end.deadline_ns == 10 * S
    assert end.step(10 * S, has_ended=True, is_empty=False) is EndAction.KILL
    assert end.step(10 * S, has_ended=True, is_empty=False) is EndAction.NOTHING
    assert end.step(10 * S + KILL_AGAIN_NS, has_ended=True, is_empty=False) is EndAction.KILL
    assert end.step(11 * S, has_ended=True, is_empty=True) is EndAction.FINISH
    assert not end.was_asked


def test_kills_become_rare() -> None:
    """A process that waits in the kernel is not hit a thousand times a second."""
    end = EndSequence(0)
    end.ask(0)
    now = 0
    pauses = []
    for _ in range(12):
        assert end.step(now, has_ended=False, is_empty=False) is EndAction.KILL
        assert end.deadline_ns is not None
        pauses.append(end.deadline_ns - now)
        now = end.deadline_ns
    assert pauses[0] == KILL_AGAIN_NS
    assert pauses[-1] == KILL_AGAIN_NS_MAX
    assert pauses == sorted(pauses)


def test_asked_it_ends_though_its_first_process_lives() -> None:
    """And with a second request it ends sooner, but never later."""
    end = EndSequence(10 * S)
    end.ask(0, 5 * S)
    assert end.step(0, has_ended=False, is_empty=False) is EndAction.TERMINATE
    assert end.was_asked
    assert end.deadline_ns == 5 * S
    end.ask(1 * S, 60 * S)
    assert end.deadline_ns == 5 * S
    end.ask(1 * S, 1 * S)
    assert end.deadline_ns == 2 * S
    end.ask(1 * S)
    assert end.deadline_ns == 2 * S


def test_a_cgroup_that_stays_busy_is_given_up() -> None:
    """After about half a minute; between the tries it is left alone for longer and longer."""
    end = EndSequence(10 * S)
    end.step(0, has_ended=True, is_empty=True)
    now = 0
    for _ in range(REMOVALS_MAX - 1):
        assert end.step(now, has_ended=True, is_empty=True) is EndAction.REMOVE
        assert not end.note_removal(now, is_gone=False)
        assert end.step(now, has_ended=True, is_empty=True) is EndAction.NOTHING
        assert end.deadline_ns is not None
        now = end.deadline_ns
    assert end.step(now, has_ended=True, is_empty=True) is EndAction.REMOVE
    assert end.note_removal(now, is_gone=False)
    assert end.phase is EndPhase.ENDED
    assert 20 * S < now < 60 * S


def test_an_end_is_under_way_from_the_first_signal_until_nobody_is_left() -> None:
    """Reading and removing wait for nobody."""
    end = EndSequence(10 * S)
    seen = [end.is_under_way]
    end.step(0, has_ended=True, is_empty=False)
    seen.append(end.is_under_way)
    end.step(10 * S, has_ended=True, is_empty=False)
    seen.append(end.is_under_way)
    end.step(11 * S, has_ended=True, is_empty=True)
    assert [*seen, end.is_under_way] == [False, True, True, False]
