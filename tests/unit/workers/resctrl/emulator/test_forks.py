"""Threads that are born, moved and ended, with the news of it in any order, against a model that knows everything at once."""

from dataclasses import dataclass

from fakes.emulated_tree import SECOND, EmulatedTree
from hypothesis import given
from hypothesis import strategies as st

from workers.resctrl.emulator.task import MEMORY_NS

GROUPS = ("mon_groups/a", "mon_groups/b", "c", "c/mon_groups/m")
MILLISECOND = SECOND // 1000


@dataclass(frozen=True)
class Birth:
    """A thread makes another one."""

    parent: int
    child: int


@dataclass(frozen=True)
class Move:
    """A thread is written to the `tasks` of a group; `""` is the root."""

    thread: int
    group: str


@dataclass(frozen=True)
class End:
    """A thread ends."""

    thread: int


@st.composite
def histories(draw: st.DrawFn) -> list[Birth | Move | End]:
    """What happened, one event a millisecond: threads are born of living ones only, and the dead do nothing."""
    living, child = [1, 2, 3], 100
    events: list[Birth | Move | End] = []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from("bbbmmme"))
        thread = draw(st.sampled_from(living))
        if kind == "b":
            events.append(Birth(thread, child))
            living.append(child)
            child += 1
        elif kind == "m":
            events.append(Move(thread, draw(st.sampled_from(("", *GROUPS)))))
        elif len(living) > 1:
            living.remove(thread)
            events.append(End(thread))
    return events


def model(events: list[Birth | Move | End]) -> dict[int, str]:
    """Which group each living thread is in, told in the order in which it happened."""
    where = {1: "", 2: "", 3: ""}
    for event in events:
        match event:
            case Birth(parent, child):
                where[child] = where[parent]
            case Move(thread, group):
                where[thread] = group
            case End(thread):
                del where[thread]
    return where


def tell(tree: EmulatedTree, event: Birth | Move | End, at_ns: int) -> None:
    """The news of one event, with the instant at which it happened. Moves go past the rules of control groups."""
    match event:
        case Birth(parent, child):
            tree.emulation.on_fork(parent, child, at_ns)
        case Move(thread, group):
            tasks = tree.emulation._registry.tasks
            tasks.move(thread, tree.emulation._group(group), at_ns)
        case End(thread):
            tree.emulation.on_exit(thread, at_ns)


def grown(living: range = range(1, 200)) -> EmulatedTree:
    """All groups of the stories."""
    tree = EmulatedTree("tiny", living=living)
    for name in GROUPS:
        tree.mkdir(name)
    return tree


@given(histories(), st.randoms(use_true_random=False))
def test_news_in_any_order_give_the_same_groups(events: list[Birth | Move | End], chance: object) -> None:
    """Whatever order the news come in, every living thread ends in the group where it really is, and is a member of no other."""
    tree = grown()
    stamped = [(tree.now_ns + place * MILLISECOND, event) for place, event in enumerate(events)]
    chance.shuffle(stamped)  # type: ignore[attr-defined]
    for at_ns, event in stamped:
        tell(tree, event, at_ns)
    where = model(events)
    assert {thread: tree.emulation.group_of(thread) for thread in where} == where
    for path in GROUPS:
        members = {thread for thread, group in where.items() if group == path}
        assert tree.emulation._group(path).threads == members


@given(histories(), st.integers(0, 24), st.sampled_from(("mon_groups/a", "c")))
def test_a_group_may_go_between_an_event_and_its_news(events: list[Birth | Move | End], place: int, removed: str) -> None:
    """A removed group's threads are in its successor, also those whose fork is reported only then."""
    tree = grown()
    moves = [event for event in events[place:] if isinstance(event, Move)]
    events = [*events[:place], *(event for event in events[place:] if event not in moves)]
    late = [(place, event) for place, event in enumerate(events) if isinstance(event, Birth)]
    for instant, event in enumerate(events):
        if not isinstance(event, Birth):
            tell(tree, event, tree.now_ns + instant * MILLISECOND)
    tree.now_ns += len(events) * MILLISECOND
    tree.rmdir(removed)
    for instant, event in late:
        tell(tree, event, tree.now_ns - (len(events) - instant) * MILLISECOND)
    gone = {removed, f"{removed}/mon_groups/m"}
    where = {thread: "" if group in gone else group for thread, group in model(events).items()}
    assert {thread: tree.emulation.group_of(thread) for thread in where} == where


def test_a_child_has_the_group_of_the_instant_of_its_birth() -> None:
    """News of a fork before a move come after the move: the child is where its parent was, not where it is."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "1")
    forked_ns = tree.now_ns + MILLISECOND
    tree.pass_seconds(0.002)
    tree.write("mon_groups/b/tasks", "1")
    tree.emulation.on_fork(1, 150, forked_ns)
    assert [tree.emulation.group_of(thread) for thread in (1, 150)] == ["mon_groups/b", "mon_groups/a"]


def test_a_child_that_was_moved_already_stays_there() -> None:
    """Somebody found the child and moved it before the news of its birth came."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "1")
    tree.pass_seconds(0.002)
    tree.write("mon_groups/b/tasks", "150")
    tree.emulation.on_fork(1, 150, tree.now_ns - MILLISECOND)
    assert tree.emulation.group_of(150) == "mon_groups/b"


def test_an_id_that_is_used_again_is_a_stranger() -> None:
    """A new thread with a dead one's id is where its own parent is."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "5")
    tree.emulation.on_exit(5, tree.now_ns + MILLISECOND)
    tree.emulation.on_fork(2, 5, tree.now_ns + 2 * MILLISECOND)
    assert tree.emulation.group_of(5) == ""
    assert tree.tasks("mon_groups/a") == []


def test_late_news_of_an_end_do_not_end_the_next_one() -> None:
    """The id's new owner was born after the old one ended; in whatever order that is told, it lives and is a member."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "1,5")
    tree.emulation.on_fork(1, 5, tree.now_ns + 2 * MILLISECOND)
    tree.emulation.on_exit(5, tree.now_ns + MILLISECOND)
    assert tree.tasks("mon_groups/a") == [1, 5]


def test_news_of_an_id_used_twice_come_in_the_wrong_order() -> None:
    """The fork of an id's first owner is judged again when its parent's comes late; the second owner's is not."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "1")
    tree.write("mon_groups/b/tasks", "2")
    start_ns = tree.now_ns
    tree.emulation.on_fork(150, 151, start_ns + 2 * MILLISECOND)
    tree.emulation.on_exit(151, start_ns + 3 * MILLISECOND)
    tree.emulation.on_fork(2, 151, start_ns + 4 * MILLISECOND)
    tree.emulation.on_fork(1, 150, start_ns + MILLISECOND)
    assert [tree.emulation.group_of(thread) for thread in (150, 151)] == ["mon_groups/a", "mon_groups/b"]


def test_what_is_long_past_is_one_group() -> None:
    """A thread that is moved for hours keeps the moves of the last two seconds, and before them the group it was in."""
    tree = grown()
    for turn in range(100):
        tree.write(f"mon_groups/{'ab'[turn % 2]}/tasks", "1")
        tree.pass_seconds(0.5)
    life = tree.emulation._registry.tasks._lives[1]
    assert len(life.moves) <= MEMORY_NS / (SECOND // 2) + 1
    tree.emulation.on_fork(1, 150, tree.now_ns - SECOND * 3 // 4)
    assert tree.emulation.group_of(150) == "mon_groups/a"


def test_back_in_the_root_a_thread_is_remembered_from_the_last_time() -> None:
    """What it was two seconds before its last return to the root is still known, however long ago it first returned."""
    tree = grown()
    for group in ("mon_groups/a", "", "mon_groups/b", ""):
        tree.write(f"{group}/tasks".lstrip("/"), "1")
        tree.pass_seconds(0.5)
    tree.pass_seconds(1.2)
    # What is old is forgotten when something new is told.
    tree.emulation.on_fork(3, 4, tree.now_ns)
    tree.emulation.on_fork(1, 150, tree.now_ns - round(1.9 * SECOND))
    assert tree.emulation.group_of(150) == "mon_groups/b"


def test_a_thread_that_left_the_root_again_stays_where_it_is() -> None:
    """It is not forgotten two seconds after it was in the root, nor at any time later."""
    tree = grown()
    for group in ("mon_groups/a", "", "mon_groups/b"):
        tree.write(f"{group}/tasks".lstrip("/"), "1")
        tree.pass_seconds(0.5)
    tree.pass_seconds(MEMORY_NS / SECOND)
    tree.emulation.on_fork(3, 4, tree.now_ns)
    assert (tree.emulation.group_of(1), tree.tasks("mon_groups/b")) == ("mon_groups/b", [1])


def test_the_dead_are_forgotten_after_a_while() -> None:
    """Memory holds the living outside of the root and those of the last two seconds."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "1,2")
    for child in range(100, 200):
        tree.emulation.on_fork(1, child, tree.now_ns)
        tree.emulation.on_exit(child, tree.now_ns + MILLISECOND)
    tree.write("tasks", "2")
    assert tree.emulation._registry.tasks.kept == 102
    tree.pass_seconds(MEMORY_NS / SECOND + 1)
    tree.emulation.on_fork(3, 4, tree.now_ns)
    assert tree.emulation._registry.tasks.kept == 1


def test_a_rescan_ends_the_dead_and_knows_no_unknown() -> None:
    """After lost news the members that still live stay, the others end, and who is new is in the root."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "1,2")
    tree.pass_seconds(1)
    tree.emulation.on_rescan([2, 3, 199], tree.now_ns)
    assert tree.tasks("mon_groups/a") == [2]
    assert [tree.emulation.group_of(thread) for thread in (1, 2, 199)] == ["", "mon_groups/a", ""]


def test_a_rescan_knows_nothing_of_what_came_after_it() -> None:
    """A thread that was moved after the list was made is not ended by it."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "1")
    tree.emulation.on_rescan([], tree.now_ns - MILLISECOND)
    assert tree.tasks("mon_groups/a") == [1]


def test_a_rescan_that_sees_a_dead_id_sees_somebody_else() -> None:
    """The old one's group is not the new one's, and a later move counts for the new one."""
    tree = grown()
    tree.write("mon_groups/a/tasks", "1")
    tree.pass_seconds(0.1)
    tree.emulation.on_exit(1, tree.now_ns)
    tree.pass_seconds(0.1)
    tree.emulation.on_rescan([1], tree.now_ns)
    assert tree.emulation.group_of(1) == ""
    tree.write("mon_groups/b/tasks", "1")
    assert tree.emulation.group_of(1) == "mon_groups/b"
