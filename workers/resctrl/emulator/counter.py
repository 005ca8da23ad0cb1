"""Hardware counters given to groups one by one (AMD's ABMC), and what bandwidth events count (BMEC). PURE.

What a filter selects does not change the counts here; a change only restarts them.
"""

from collections.abc import Callable
from errno import EINVAL, ENOENT, ENOSPC

from workers.resctrl.emulator.command import CommandStatus, command_line, parse_number, parse_truth, text_of
from workers.resctrl.emulator.group import EmulatedGroup, EmulatedGroups
from workers.resctrl.emulator.ports import Caller
from workers.resctrl.emulator.profile import LOCAL, TOTAL, Profile
from workers.resctrl.emulator.traffic import UNASSIGNED, UNREAD, VALID, Cell, DomainCache

TRANSACTIONS = (
    "local_reads",
    "remote_reads",
    "local_non_temporal_writes",
    "remote_non_temporal_writes",
    "local_reads_slow_memory",
    "remote_reads_slow_memory",
    "dirty_victim_writes_all",
)
"""One bit each, the first is bit 0."""
_ALL_BITS = (1 << len(TRANSACTIONS)) - 1
DEFAULT_FILTERS = {TOTAL: _ALL_BITS, LOCAL: 0b0010101}

# The kernel has different sentences for a read and for a write.
_NOT_ENABLED = "mbm_event counter assignment mode is not enabled\n"
_NOTHING_TO_ASSIGN = "mbm_event mode is not enabled\n"


class Counters:
    """Which group has a counter for which event in which domain. *Source:* resctrl.rst, "mbm_assign_mode"."""

    def __init__(self, profile: Profile, status: CommandStatus, groups: EmulatedGroups, domains: tuple[DomainCache, ...]):
        self._profile = profile
        self._status = status
        self._groups = groups
        self._domains = domains
        self._events = tuple(event for event in (TOTAL, LOCAL) if event in profile.events)
        self._held: tuple[set[tuple[int, str]], ...] = tuple(set() for _ in domains)
        self._filters = dict(DEFAULT_FILTERS)
        self._configurations: dict[tuple[str, int], int] = {}
        self._on_mkdir = True
        self.enabled = profile.counters > 0
        # Which files exist depends on the mode; the tree is built again when it changes.
        self.on_mode_change: Callable[[], None] = lambda: None

    @property
    def first_state(self) -> int:
        """The state of a counter that has just started."""
        if self.enabled:
            return UNASSIGNED
        return UNREAD if self._profile.first_read_unavailable else VALID

    def on_new_group(self, group: EmulatedGroup, now_ns: int) -> None:
        """A new group gets counters if `mbm_assign_on_mkdir` says so. Without a free one mkdir only sets the status."""
        if self.enabled and self._on_mkdir:
            for event in self._events:
                try:
                    self._assign_all(group, event, now_ns)
                except OSError:
                    continue

    def release(self, group: EmulatedGroup) -> None:
        """A group that is removed gives back its counters."""
        for held in self._held:
            held.difference_update({key for key in held if key[0] == group.serial})

    def _assign_all(self, group: EmulatedGroup, event: str, now_ns: int) -> None:
        for place in self._online():
            self._assign(group, event, place, now_ns)

    def _assign(self, group: EmulatedGroup, event: str, place: int, now_ns: int) -> None:
        held = self._held[place]
        key = (group.serial, event)
        if key in held:
            return
        if len(held) >= self._profile.counters:
            domain = self._domains[place].id
            raise self._status.refuse(ENOSPC, f"Failed to allocate counter for {event} in domain {domain}\n")
        held.add(key)
        _restart(group.monitor.cells[place], event, now_ns, UNREAD if self._profile.first_read_unavailable else VALID)

    def _unassign(self, group: EmulatedGroup, event: str, place: int, now_ns: int) -> None:
        self._held[place].discard((group.serial, event))
        _restart(group.monitor.cells[place], event, now_ns, UNASSIGNED)

    def _online(self) -> tuple[int, ...]:
        return tuple(place for place, domain in enumerate(self._domains) if domain.online)

    def _must_be_enabled(self, sentence: str = _NOT_ENABLED) -> None:
        self._status.clear()
        if not self.enabled:
            raise self._status.refuse(EINVAL, sentence)

    def show_assignments(self, group: EmulatedGroup, now_ns: int) -> str:
        """`mbm_L3_assignments`: one line per event.

        *Raises:* OSError(EINVAL) when counters are not assigned one by one. *Source:* resctrl.rst.
        """
        self._must_be_enabled()
        lines = []
        for event in self._events:
            key = (group.serial, event)
            marks = (f"{self._domains[place].id}={'e' if key in self._held[place] else '_'}" for place in self._online())
            lines.append(f"{event}:{';'.join(marks)}\n")
        return "".join(lines)

    def write_assignments(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`mbm_L3_assignments`.

        *Raises:* OSError: EINVAL for a malformed line, ENOENT for an unknown event, ENOSPC without a free counter.
        *Source:* resctrl.rst.
        """
        text = command_line(content)
        self._must_be_enabled(_NOTHING_TO_ASSIGN)
        for line in text.split("\n"):
            event, _, wishes = line.partition(":")
            if event not in self._events:
                raise self._status.refuse(ENOENT, f"Invalid event {event}\n")
            self._apply(group, event, wishes, now_ns)

    def _apply(self, group: EmulatedGroup, event: str, wishes: str, now_ns: int) -> None:
        while wishes:
            wish, _, wishes = wishes.partition(";")
            domain, equals, state = wish.strip().partition("=")
            if domain.startswith("*"):
                places, domain = self._online(), "*"
            else:
                places = (self._place(domain, equals),)
            if state not in ("e", "_"):
                raise self._status.refuse(EINVAL, f"Assign operation '{event}:{domain}={state}' failed\n")
            for place in places:
                try:
                    (self._assign if state == "e" else self._unassign)(group, event, place, now_ns)
                except OSError:
                    self._status.say(f"Assign operation '{event}:{domain}={state}' failed\n")
                    raise
            if domain == "*":
                return

    def _place(self, word: str, equals: str) -> int:
        try:
            domain = parse_number(word, 10)
        except (ValueError, OverflowError) as cause:
            raise self._status.refuse(EINVAL, "Missing domain id\n") from cause
        for place in self._online():
            if self._domains[place].id == domain:
                return place
        raise self._status.refuse(EINVAL, f"Invalid domain id {domain}\n")

    def show_mode(self, group: EmulatedGroup, now_ns: int) -> str:
        """`mbm_assign_mode`, with the mode in use in brackets. *Source:* resctrl.rst."""
        return "[mbm_event]\ndefault\n" if self.enabled else "[default]\nmbm_event\n"

    def write_mode(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`mbm_assign_mode`. A change takes all counters away, and all counts restart. *Raises:* OSError(EINVAL)."""
        wanted = command_line(content)
        self._status.clear()
        if wanted not in ("default", "mbm_event"):
            raise self._status.refuse(EINVAL, "Unsupported assign mode\n")
        if (wanted == "mbm_event") == self.enabled:
            return
        self.enabled = not self.enabled
        if self.enabled:
            self._filters = dict(DEFAULT_FILTERS)
            self._on_mkdir = True
        for held in self._held:
            held.clear()
        self._restart_everything(self._online(), now_ns)
        self.on_mode_change()

    def _restart_everything(self, places: tuple[int, ...], now_ns: int) -> None:
        for group in self._groups.everyone():
            for place in places:
                group.monitor.cells[place].restart(now_ns, self.first_state)

    def show_total(self, group: EmulatedGroup, now_ns: int) -> str:
        """`num_mbm_cntrs`: the number of counters per domain. *Source:* resctrl.rst."""
        return self._per_domain(lambda place: self._profile.counters)

    def show_available(self, group: EmulatedGroup, now_ns: int) -> str:
        """`available_mbm_cntrs`: the free counters per domain. *Raises:* OSError(EINVAL) as `show_assignments`."""
        self._must_be_enabled()
        return self._per_domain(lambda place: self._profile.counters - len(self._held[place]))

    def _per_domain(self, figure: Callable[[int], int]) -> str:
        return ";".join(f"{self._domains[place].id}={figure(place)}" for place in self._online()) + "\n"

    def show_on_mkdir(self, group: EmulatedGroup, now_ns: int) -> str:
        """`mbm_assign_on_mkdir`: whether a new group gets counters. *Raises:* OSError(EINVAL) as `show_available`."""
        self._must_be_enabled()
        return f"{int(self._on_mkdir)}\n"

    def write_on_mkdir(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`mbm_assign_on_mkdir`. *Raises:* OSError(EINVAL)."""
        wanted = parse_truth(text_of(content))
        self._must_be_enabled()
        self._on_mkdir = wanted

    def show_filter(self, event: str) -> str:
        """`event_filter`: the kinds of transactions that an event counts. *Raises:* OSError(EINVAL) as `show_available`."""
        self._must_be_enabled()
        bits = self._filters[event]
        return ",".join(name for bit, name in enumerate(TRANSACTIONS) if bits >> bit & 1) + "\n"

    def write_filter(self, event: str, content: bytes, now_ns: int) -> None:
        """`event_filter`. *Raises:* OSError(EINVAL) for an unknown kind of transaction."""
        text = command_line(content)
        self._must_be_enabled()
        bits = 0
        while text:
            name, _, text = text.partition(",")
            if name.strip() not in TRANSACTIONS:
                raise self._status.refuse(EINVAL, f"Invalid memory transaction type {name.strip()}\n")
            bits |= 1 << TRANSACTIONS.index(name.strip())
        if bits == self._filters[event]:
            return
        self._filters[event] = bits
        for group in self._groups.everyone():
            for place in self._online():
                if (group.serial, event) in self._held[place]:
                    state = UNREAD if self._profile.first_read_unavailable else VALID
                    _restart(group.monitor.cells[place], event, now_ns, state)

    def show_configuration(self, event: str) -> str:
        """`mbm_*_bytes_config`: the bits that an event counts, per domain. *Source:* resctrl.rst."""
        figures = (f"{domain.id}=0x{self._configuration(event, domain.id):02x}" for domain in self._domains if domain.online)
        return ";".join(figures) + "\n"

    def _configuration(self, event: str, domain: int) -> int:
        return self._configurations.get((event, domain), DEFAULT_FILTERS[event])

    def write_configuration(self, event: str, content: bytes, now_ns: int) -> None:
        """`mbm_*_bytes_config`. A change restarts all counts of the domain, of every event. *Raises:* OSError(EINVAL)."""
        text = command_line(content)
        self._status.clear()
        while text:
            part, _, text = text.partition(";")
            word, _, figure = part.strip().partition("=")
            try:
                domain = parse_number(word, 10)
            except (ValueError, OverflowError) as cause:
                raise self._status.refuse(EINVAL, "Missing '=' or non-numeric domain id\n") from cause
            try:
                bits = parse_number(figure, 16)
            except (ValueError, OverflowError) as cause:
                raise self._status.refuse(EINVAL, "Non-numeric event configuration value\n") from cause
            if bits & ~_ALL_BITS:
                raise self._status.refuse(EINVAL, f"Invalid event configuration: max valid mask is 0x{_ALL_BITS:02x}\n")
            places = tuple(place for place in self._online() if self._domains[place].id == domain)
            if not places:
                raise self._status.refuse(EINVAL, "")
            if self._configuration(event, domain) != bits:
                self._configurations[event, domain] = bits
                self._restart_everything(places, now_ns)


def _restart(cell: Cell, event: str, now_ns: int, state: int) -> None:
    if event == TOTAL:
        cell.restart_total(now_ns, state)
    else:
        cell.restart_local(now_ns, state)
