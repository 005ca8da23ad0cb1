"""The largest process without a row, by unit and command, found without looking at all."""

from random import Random

from fakes.sleeping import sleeping

from workers.process.largest import LargestUnshown
from workers.process.tracked_process import Scan, TrackedProcess
from workers.process.unit_command import UnitCommand


def _by_hand(processes: list[TrackedProcess], shown: set[TrackedProcess]) -> dict[UnitCommand, int]:
    found: dict[UnitCommand, int] = {}
    for process in processes:
        if process not in shown and process.rss_bytes > found.get(process.key, 0):
            found[process.key] = process.rss_bytes
    return found


def test_the_largest_is_the_same_as_of_a_look_at_all() -> None:
    """Whatever grows, shrinks, moves, ends or gets a row."""
    drawn = Random(3)
    largest = LargestUnshown()
    living = [sleeping(pid, command=f"c{pid % 5}", rss_bytes=drawn.randrange(50)) for pid in range(40)]
    scan = Scan(touched=list(living))
    for tick in range(300):
        shown = set(drawn.sample(living, min(len(living), drawn.randrange(6))))
        assert dict(largest.find(living, scan, shown).rss_bytes) == _by_hand(living, shown), tick
        scan = Scan(touched=drawn.sample(living, drawn.randrange(4)))
        for process in scan.touched:
            process.rss_bytes = drawn.randrange(50)
            if drawn.random() < 0.3:
                process.key = UnitCommand(None, f"c{drawn.randrange(6)}")
        for process in drawn.sample(living, drawn.randrange(3)):
            living.remove(process)
            drawn.choice([scan.gone, scan.lost]).append(process)
            new = sleeping(1000 + tick, command=f"c{drawn.randrange(5)}", rss_bytes=drawn.randrange(50))
            living.append(new)
            scan.touched.append(new)
        scan.touched = [process for process in scan.touched if process in living]


def test_cpu_is_that_of_the_tick_alone() -> None:
    """Only those that ran are looked at; those with a row do not count."""
    processes = [sleeping(pid, interval_cpu_ns=pid) for pid in (1, 2, 3)]
    found = LargestUnshown().find(processes, Scan(active=processes, touched=processes), {processes[2]})
    assert dict(found.cpu_ns) == {UnitCommand(None, "nginx"): 2}


def test_a_process_without_a_row_whose_cpu_is_not_known_is_told() -> None:
    """By its unit and command; one with a row says so itself."""
    met, shown = sleeping(1, command="a", interval_cpu_ns=None), sleeping(2, command="b", interval_cpu_ns=None)
    found = LargestUnshown().find([met, shown], Scan(active=[met, shown], touched=[met, shown]), {shown})
    assert set(found.cpu_unknown) == {UnitCommand(None, "a")}
