"""When silence is a hang and when it is not."""

from agent.model.timebase import MS, S
from supervisor.core.watchdog import ProcessState, Watch, WatchVerdict

STEP = 500 * MS


def _looks(watch: Watch, turns: list[int | None], sights: list[ProcessState | None], *, step_ns: int = STEP) -> list[WatchVerdict]:
    return [
        watch.observe(turn, process_state, number * step_ns)
        for number, (turn, process_state) in enumerate(zip(turns, sights, strict=True))
    ]


def _watch() -> Watch:
    return Watch(timeout_ns=2 * S, interval_ns=STEP)


def test_a_worker_that_turns_is_never_hung() -> None:
    """Progress at every look is progress."""
    sights: list[ProcessState | None] = [ProcessState("S", 0)] * 100
    assert set(_looks(_watch(), list(range(100)), sights)) == {WatchVerdict.PROGRESS}


def test_a_sleeping_worker_without_turns_is_hung_after_the_timeout() -> None:
    """A deadlock shows as sleep."""
    verdicts = _looks(_watch(), [1] * 6, [ProcessState("S", 0)] * 6)
    assert verdicts == [WatchVerdict.PROGRESS, *[WatchVerdict.SILENT] * 3, WatchVerdict.HUNG, WatchVerdict.HUNG]


def test_a_stopped_worker_is_hung_after_the_timeout() -> None:
    """SIGSTOP shows as T."""
    assert _looks(_watch(), [1] * 5, [ProcessState("T", 0)] * 5)[-1] is WatchVerdict.HUNG


def test_a_spinning_worker_is_hung_after_the_timeout() -> None:
    """It runs and burns processor time without a turn."""
    assert _looks(_watch(), [1] * 5, [ProcessState("R", number * STEP) for number in range(5)])[-1] is WatchVerdict.HUNG


def test_a_starved_worker_gets_ten_times_as_long() -> None:
    """Runnable without processor time: the machine is overloaded, the worker is not at fault."""
    verdicts = _looks(_watch(), [1] * 42, [ProcessState("R", 0)] * 42)
    assert verdicts.index(WatchVerdict.HUNG) == 40


def test_a_worker_that_waits_for_the_disk_gets_ten_times_as_long() -> None:
    """SIGKILL would not end it before the disk answers."""
    verdicts = _looks(_watch(), [1] * 42, [ProcessState("D", 0)] * 42)
    assert verdicts.index(WatchVerdict.HUNG) == 40


def test_a_supervisor_that_was_stopped_itself_blames_nobody() -> None:
    """An hour between two looks counts as two intervals."""
    watch = _watch()
    watch.observe(1, ProcessState("S", 0), 0)
    assert watch.observe(1, ProcessState("S", 0), 3600 * S) is WatchVerdict.SILENT


def test_a_torn_page_is_no_progress_and_no_hang() -> None:
    """One unreadable look changes nothing but the silence."""
    watch = _watch()
    watch.observe(1, ProcessState("S", 0), 0)
    assert watch.observe(None, ProcessState("S", 0), STEP) is WatchVerdict.SILENT
    assert watch.observe(2, ProcessState("S", 0), 2 * STEP) is WatchVerdict.PROGRESS
    assert watch.silent_ns == 0


def test_another_timeout_holds_from_now_on() -> None:
    """Also for a silence that has begun."""
    watch = _watch()
    assert _looks(watch, [1] * 3, [ProcessState("S", 0)] * 3)[-1] is WatchVerdict.SILENT
    watch.set_timeout(1 * S)
    assert watch.observe(1, ProcessState("S", 0), 3 * STEP) is WatchVerdict.HUNG


def test_processor_time_counts_from_the_first_silent_look_at_which_it_is_known() -> None:
    """A worker that turns is not measured: what it used before is no sign of a loop without end."""
    used: list[ProcessState | None] = [None, *[ProcessState("R", 100 * S)] * 4]
    assert _looks(_watch(), [1] * 5, used)[-1] is WatchVerdict.SILENT
    burning: list[ProcessState | None] = [None, *[ProcessState("R", 100 * S + number * STEP) for number in range(4)]]
    assert _looks(_watch(), [1] * 5, burning)[-1] is WatchVerdict.HUNG
