"""The word of long work that it goes on."""

from agent.model.heartbeat import Heartbeat, beating


def test_a_heartbeat_beats_where_somebody_listens() -> None:
    """Until a loop has put its heartbeat there it does nothing."""
    beats: list[int] = []
    heartbeat = Heartbeat()
    heartbeat()
    heartbeat.beat = lambda: beats.append(1)
    heartbeat()
    assert beats == [1]


def test_work_on_many_things_beats_at_every_so_many() -> None:
    """The things are what they were; without a heartbeat they are nothing else."""
    beats: list[int] = []
    seen: list[int] = []
    for thing in beating(range(10), lambda: beats.append(len(seen)), 4):
        seen.append(thing)
    assert (seen, beats) == (list(range(10)), [0, 4, 8])
    assert list(beating("ab", None)) == ["a", "b"]
