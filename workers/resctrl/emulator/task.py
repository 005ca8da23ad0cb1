"""Which thread is in which group, and the `tasks` files. PURE.

News of forks arrive late, and a thread may have been moved meanwhile. So what became of each thread is kept for a while, and a
child is judged by the group that its creator was in at the instant of the fork. A thread that never left the root is not kept.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable
from errno import EINVAL, EPERM, ESRCH
from operator import itemgetter

from workers.resctrl.emulator.command import INT_MAX, CommandStatus, parse_number, refusal, text_of
from workers.resctrl.emulator.group import EmulatedGroup, EmulatedGroups, GroupKind
from workers.resctrl.emulator.ports import Caller, Threads
from workers.resctrl.emulator.profile import Profile

# Events arrive late by milliseconds; under the heaviest load that we could make it was far less than a second.
MEMORY_NS = 2_000_000_000
# Up to this many members it is cheaper to ask for each than to list all threads of the host.
ASK_SINGLY_MAX = 64


class Life:
    """What is known about one thread. `moves` are (instant, group), in order; before the first move it was in its first group."""

    __slots__ = ("exit_ns", "first_group", "moves", "started_ns")

    def __init__(self, first_group: EmulatedGroup, started_ns: int):
        self.first_group = first_group
        self.started_ns = started_ns
        self.moves: list[tuple[int, EmulatedGroup]] = []
        self.exit_ns: int | None = None

    def group_at(self, instant_ns: int) -> EmulatedGroup:
        """The group that the thread was in at an instant."""
        for moved_ns, group in reversed(self.moves):
            if moved_ns <= instant_ns:
                return group
        return self.first_group

    def note_move(self, now_ns: int, group: EmulatedGroup) -> None:
        """The thread is in another group from this instant on."""
        while self.moves and self.moves[0][0] < now_ns - MEMORY_NS:
            self.first_group = self.moves.pop(0)[1]
        insort(self.moves, (now_ns, group), key=itemgetter(0))

    @property
    def current(self) -> EmulatedGroup:
        """The group that the thread is in now."""
        return self.moves[-1][1] if self.moves else self.first_group

    @property
    def last_change_ns(self) -> int:
        """When the thread last changed its group."""
        return max(self.started_ns, self.exit_ns or 0, self.moves[-1][0] if self.moves else 0)


def _successor(group: EmulatedGroup) -> EmulatedGroup:
    """The group itself, or the one that got its threads when it was removed."""
    while group.removed and group.successor is not None:
        group = group.successor
    return group


class TaskTable:
    """All threads that are in a group other than the root."""

    def __init__(self, root: EmulatedGroup):
        self._root = root
        self._lives: dict[int, Life] = {}
        self._forks: deque[tuple[int, int, int]] = deque()
        self._newest_fork_ns = 0
        self._fading: deque[tuple[int, int]] = deque()

    def group_of(self, thread_id: int) -> EmulatedGroup:
        """The group of a thread; the root for one that is not known."""
        life = self._lives.get(thread_id)
        return self._root if life is None or life.exit_ns is not None else _successor(life.current)

    def _group_at(self, thread_id: int, instant_ns: int) -> EmulatedGroup:
        life = self._lives.get(thread_id)
        return self._root if life is None else life.group_at(instant_ns)

    def move(self, thread_id: int, group: EmulatedGroup, now_ns: int) -> None:
        """Puts a thread into a group."""
        self._forget_old(now_ns)
        life = self._lives.get(thread_id)
        if life is None or (life.exit_ns is not None and life.exit_ns < now_ns):
            life = self._lives[thread_id] = Life(self._root, 0)
        before = life.current
        life.note_move(now_ns, group)
        self._settle(thread_id, life, before)
        self._correct_children(thread_id, now_ns)

    def move_all(self, origin: EmulatedGroup, target: EmulatedGroup, now_ns: int) -> None:
        """Moves all threads of a group that is removed."""
        for thread_id in sorted(origin.threads):
            self.move(thread_id, target, now_ns)

    def fork(self, parent: int, child: int, at_ns: int) -> None:
        """A new thread inherits the group that its creator had at that instant."""
        self._forget_old(at_ns)
        self._forks.append((at_ns, parent, child))
        self._start_thread(parent, child, at_ns)
        self._correct_children(child, at_ns)
        self._newest_fork_ns = max(self._newest_fork_ns, at_ns)

    def _start_thread(self, parent: int, child: int, at_ns: int) -> None:
        group = self._group_at(parent, at_ns)
        life = self._lives.get(child)
        if life is None and group is self._root:
            return
        before = self._root if life is None else life.current
        if life is None:
            life = self._lives[child] = Life(group, at_ns)
        life.first_group, life.started_ns = group, at_ns
        life.moves = [move for move in life.moves if move[0] >= at_ns]
        if life.exit_ns is not None and life.exit_ns < at_ns:
            life.exit_ns = None
        self._settle(child, life, before)

    def _correct_children(self, thread_id: int, changed_ns: int) -> None:
        """Corrects the groups of children whose forks were reported before an earlier move. Usually there are none."""
        if changed_ns >= self._newest_fork_ns:
            return
        pending = [thread_id]
        while pending:
            creator = pending.pop()
            for at_ns, parent, child in tuple(self._forks):
                if parent != creator or at_ns < changed_ns:
                    continue
                life = self._lives.get(child)
                if life is not None and life.started_ns > at_ns:
                    # The id belongs to another thread by now.
                    continue
                before = self._root if life is None else life.first_group
                if self._group_at(parent, at_ns) is not before:
                    self._start_thread(parent, child, at_ns)
                    pending.append(child)

    def exit(self, thread_id: int, at_ns: int) -> None:
        """Forgets a thread."""
        self._forget_old(at_ns)
        life = self._lives.get(thread_id)
        if life is None:
            # Its fork may be reported later, and must not bring it to life again.
            life = self._lives[thread_id] = Life(self._root, 0)
        elif life.started_ns > at_ns or (life.exit_ns is not None and life.exit_ns >= at_ns):
            return
        life.exit_ns = at_ns
        self._settle(thread_id, life, life.current)

    def rescan(self, live: Iterable[int], at_ns: int) -> None:
        """Events were lost. What is not alive has ended; an id that ended and is alive again is another thread, of the root."""
        living = frozenset(live)
        self._forget_old(at_ns)
        for thread_id, life in tuple(self._lives.items()):
            if life.last_change_ns > at_ns:
                continue
            if life.exit_ns is None and thread_id not in living:
                self.exit(thread_id, at_ns)
            elif life.exit_ns is not None and thread_id in living:
                del self._lives[thread_id]

    def _settle(self, thread_id: int, life: Life, before: EmulatedGroup) -> None:
        """Updates the group's members; notes what can be forgotten later."""
        current = _successor(life.current)
        _successor(before).threads.discard(thread_id)
        before.threads.discard(thread_id)
        if life.exit_ns is None and current is not self._root:
            current.threads.add(thread_id)
        else:
            self._fading.append((life.last_change_ns + MEMORY_NS, thread_id))

    def _forget_old(self, now_ns: int) -> None:
        while self._forks and self._forks[0][0] < now_ns - MEMORY_NS:
            self._forks.popleft()
        while self._fading and self._fading[0][0] < now_ns:
            _, thread_id = self._fading.popleft()
            life = self._lives.get(thread_id)
            if life is None or life.last_change_ns + MEMORY_NS >= now_ns:
                continue
            if life.exit_ns is not None or _successor(life.current) is self._root:
                del self._lives[thread_id]

    @property
    def kept(self) -> int:
        """How many threads are remembered, for memory measurements."""
        return len(self._lives)


class TaskFiles:
    """The `tasks` files."""

    def __init__(self, profile: Profile, status: CommandStatus, groups: EmulatedGroups, threads: Threads, table: TaskTable):
        self._profile = profile
        self._status = status
        self._groups = groups
        self._threads = threads
        self._table = table

    def show(self, group: EmulatedGroup, now_ns: int) -> str:
        """`tasks`: the ids of the group's threads, one per line. *Source:* resctrl.rst."""
        return "".join(f"{thread_id}\n" for thread_id in sorted(self.listed(group)))

    def listed(self, group: EmulatedGroup) -> set[int]:
        """A group's threads; for a control group with those of its children; for the root only on machines with control groups."""
        if group.kind is GroupKind.ROOT:
            if not self._profile.allocates:
                return set()
            return set(self._threads.live()).difference(*(self._all_of(control) for control in self._groups.controls.values()))
        return self.alive(self._all_of(group))

    def alive(self, members: set[int]) -> set[int]:
        """Those of the threads that exist."""
        if len(members) <= ASK_SINGLY_MAX:
            return {thread_id for thread_id in members if self._threads.exists(thread_id)}
        return members.intersection(self._threads.live())

    @staticmethod
    def _all_of(group: EmulatedGroup) -> set[int]:
        return group.threads.union(*(child.threads for child in group.children.values()))

    def write(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`tasks`: moves threads by their ids. *Raises:* OSError: EINVAL, ESRCH, EPERM. *Source:* resctrl.rst."""
        if self._profile.task_lists:
            self._status.clear()
            self._write_list(group, text_of(content), caller, now_ns)
            return
        try:
            thread_id = parse_number(text_of(content).strip(), 0, maximum=INT_MAX)
        except (ValueError, OverflowError) as cause:
            raise refusal(EINVAL) from cause
        self._status.clear()
        self._move(group, thread_id, caller, now_ns)

    def _write_list(self, group: EmulatedGroup, text: str, caller: Caller, now_ns: int) -> None:
        """Moves one thread after another; those moved before a failure stay moved."""
        while text and not text.startswith("\n"):
            word, _, text = text.partition(",")
            word = word.strip()
            try:
                thread_id = parse_number(word, 0, minimum=-INT_MAX - 1, maximum=INT_MAX)
            except (ValueError, OverflowError) as cause:
                raise self._status.refuse(EINVAL, f"Task list parsing error pid {word}\n") from cause
            if thread_id < 0:
                raise self._status.refuse(EINVAL, f"Invalid pid {thread_id}\n")
            try:
                self._move(group, thread_id, caller, now_ns)
            except OSError:
                self._status.say(f"Error while processing task {thread_id}\n")
                raise

    def _move(self, group: EmulatedGroup, thread_id: int, caller: Caller, now_ns: int) -> None:
        target = thread_id or caller.thread_id
        try:
            uid, suid = self._threads.owner(target)
        except ProcessLookupError as cause:
            raise self._status.refuse(ESRCH, f"No task {thread_id}\n") from cause
        if caller.uid not in (0, uid, suid):
            raise self._status.refuse(EPERM, f"No permission to move task {target}\n")
        current = self._table.group_of(target)
        if current is group:
            return
        if not group.is_control and current.closid != group.closid:
            raise self._status.refuse(EINVAL, "Can't move task to different control group\n")
        self._table.move(target, group, now_ns)
