"""What each CLOSID may use: `schemata`, `size`, `mode` and the use of the bits. PURE.

Masks are stored, shown and checked; they do not limit what a group holds in the cache.
"""

from collections.abc import Callable, Iterator
from errno import EINVAL, ENOSPC
from typing import NamedTuple

from workers.resctrl.emulator.command import UINT_MAX, CommandStatus, command_line, parse_number
from workers.resctrl.emulator.group import EmulatedGroup
from workers.resctrl.emulator.ports import Caller
from workers.resctrl.emulator.profile import LOCAL, TOTAL, BandwidthControl, Profile
from workers.resctrl.emulator.traffic import DomainCache

SHAREABLE = "shareable"
EXCLUSIVE = "exclusive"
# The name column is as wide as with CDP, so that a table looks the same with it and without.
CDP_SUFFIX_WIDTH = 4


class Schema(NamedTuple):
    """One line of `schemata`: a cache by its mask, or a bandwidth. `peer` is the other half of a cache split by CDP."""

    name: str
    closids: int
    bandwidth: BandwidthControl | None
    peer: str | None = None


def schemas_of(profile: Profile) -> tuple[Schema, ...]:
    """The schemas in the order of `info`; `schemata` shows them in reverse."""
    closids = profile.closids
    found = []
    if profile.cache_control is not None and profile.cdp:
        found = [Schema("L3CODE", closids // 2, None, "L3DATA"), Schema("L3DATA", closids // 2, None, "L3CODE")]
    elif profile.cache_control is not None:
        found = [Schema("L3", closids, None)]
    return (*found, *(Schema(control.name, closids, control) for control in profile.bandwidth_controls))


class Controls:
    """The values by schema, CLOSID and cache. An unused CLOSID keeps its values until a new group gets it."""

    def __init__(self, profile: Profile, status: CommandStatus, domains: tuple[DomainCache, ...]):
        self._profile = profile
        self._status = status
        self._domains = domains
        self.schemas = schemas_of(profile)
        self.closids = min((schema.closids for schema in self.schemas), default=0)
        self._width = max((len(schema.name) + self._suffix_width(schema) for schema in self.schemas), default=0)
        self._values = {schema.name: self._start_values(schema) for schema in self.schemas}
        self._modes: dict[int, str] = {0: SHAREABLE}
        self._feedback_events: dict[int, str] = {}

    def _suffix_width(self, schema: Schema) -> int:
        return CDP_SUFFIX_WIDTH if schema.name == "L3" else 0

    def _start_values(self, schema: Schema) -> dict[int, dict[int, int]]:
        return {closid: {cache.id: self._largest(schema) for cache in self._profile.caches} for closid in range(schema.closids)}

    def _largest(self, schema: Schema) -> int:
        if schema.bandwidth is None:
            return self._full_mask
        return UINT_MAX if self._in_megabytes(schema) else schema.bandwidth.maximum

    def _in_megabytes(self, schema: Schema) -> bool:
        return self._profile.mba_mbps and schema.name == "MB"

    @property
    def _full_mask(self) -> int:
        control = self._profile.cache_control
        return 0 if control is None else control.full_mask

    @property
    def _shareable(self) -> int:
        control = self._profile.cache_control
        return 0 if control is None else control.shareable

    def _cache_ids(self) -> Iterator[int]:
        for cache in self._profile.caches:
            if any(domain.cache_id == cache.id and domain.online for domain in self._domains):
                yield cache.id

    def begin(self, closid: int) -> None:
        """A new control group gets everything that no exclusive group has. *Raises:* OSError(ENOSPC)."""
        for schema in self.schemas:
            for cache_id in self._cache_ids():
                if schema.bandwidth is not None:
                    self._values[schema.name][closid][cache_id] = self._largest(schema)
                else:
                    self._values[schema.name][closid][cache_id] = self._first_mask(schema, cache_id)
        self._modes[closid] = SHAREABLE

    def end(self, closid: int) -> None:
        """A control group is removed; its values stay until the CLOSID is used again."""
        self._modes.pop(closid, None)
        self._feedback_events.pop(closid, None)

    def _first_mask(self, schema: Schema, cache_id: int) -> int:
        mask = used = self._shareable
        for other, mode in self._modes.items():
            value = self._values[schema.name][other][cache_id]
            if schema.peer is not None:
                value |= self._values[schema.peer][other][cache_id]
            used |= value
            if mode == SHAREABLE:
                mask |= value
        mask |= self._full_mask & ~used
        mask = lowest_run(mask)
        control = self._profile.cache_control
        if control is not None and mask.bit_count() < control.min_bits:
            raise self._status.refuse(ENOSPC, f"No space on {schema.name}:{cache_id}\n")
        return mask

    def show(self, group: EmulatedGroup, now_ns: int) -> str:
        """`schemata`. *Source:* resctrl.rst."""
        return self._table(group, lambda schema, value: f"{value}" if schema.bandwidth is not None else f"{value:x}")

    def show_size(self, group: EmulatedGroup, now_ns: int) -> str:
        """`size`: bytes for masks, the value itself for bandwidth. *Source:* resctrl.rst."""
        return self._table(group, lambda schema, value: f"{value if schema.bandwidth is not None else self._size(value)}")

    def _table(self, group: EmulatedGroup, text: Callable[[Schema, int], str]) -> str:
        lines = []
        for schema in reversed(self.schemas):
            values = self._values[schema.name][group.closid]
            cells = ";".join(f"{cache_id}={text(schema, values[cache_id])}" for cache_id in self._cache_ids())
            lines.append(f"{schema.name:>{self._width}}:{cells}\n")
        return "".join(lines)

    def _size(self, mask: int) -> int:
        control = self._profile.cache_control
        return 0 if control is None else self._profile.l3_bytes // control.bits * mask.bit_count()

    def write(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`schemata`. All lines are checked before the first one takes effect. *Raises:* OSError(EINVAL). *Source:* resctrl.rst."""
        text = command_line(content)
        self._status.clear()
        staged: dict[tuple[str, int], int] = {}
        for line in text.split("\n"):
            name, colon, values = line.partition(":")
            name = name.strip()
            if not colon:
                raise self._status.refuse(EINVAL, "Missing ':'\n")
            if not values:
                raise self._status.refuse(EINVAL, f"Missing '{name}' value\n")
            schema = next((known for known in self.schemas if known.name == name), None)
            if schema is None:
                raise self._status.refuse(EINVAL, f"Unknown or unsupported resource name '{name}'\n")
            self._stage(schema, group.closid, values, staged)
        for (schema_name, cache_id), value in staged.items():
            self._values[schema_name][group.closid][cache_id] = value

    def _stage(self, schema: Schema, closid: int, text: str, staged: dict[tuple[str, int], int]) -> None:
        while text:
            part, _, text = text.partition(";")
            word, equals, value = part.partition("=")
            try:
                cache_id = parse_number(word, 10)
            except (ValueError, OverflowError):
                equals = ""
            if not equals:
                raise self._status.refuse(EINVAL, "Missing '=' or non-numeric domain\n")
            if cache_id not in self._cache_ids():
                raise self._status.refuse(EINVAL, "")
            if (schema.name, cache_id) in staged:
                raise self._status.refuse(EINVAL, f"Duplicate domain {cache_id}\n")
            read = self._read_mask if schema.bandwidth is None else self._read_bandwidth
            staged[schema.name, cache_id] = read(schema, closid, cache_id, value.strip())

    def _read_bandwidth(self, schema: Schema, closid: int, cache_id: int, text: str) -> int:
        control = schema.bandwidth
        assert control is not None
        try:
            value = parse_number(text, 10, maximum=UINT_MAX)
        except (ValueError, OverflowError) as cause:
            raise self._status.refuse(EINVAL, f"Invalid MB value {text}\n") from cause
        if self._in_megabytes(schema):
            return value
        if not control.minimum <= value <= control.maximum:
            raise self._status.refuse(EINVAL, f"MB value {value} out of range [{control.minimum},{control.maximum}]\n")
        return -(-value // control.step) * control.step

    def _read_mask(self, schema: Schema, closid: int, cache_id: int, text: str) -> int:
        control = self._profile.cache_control
        assert control is not None
        try:
            mask = parse_number(text, 16)
        except (ValueError, OverflowError) as cause:
            raise self._status.refuse(EINVAL, f"Non-hex character in the mask {text}\n") from cause
        if (control.min_bits > 0 and mask == 0) or mask > control.full_mask:
            raise self._status.refuse(EINVAL, "Mask out of range\n")
        if not control.sparse and lowest_run(mask) != mask:
            raise self._status.refuse(EINVAL, f"The mask {mask:x} has non-consecutive 1-bits\n")
        if lowest_run(mask).bit_count() < control.min_bits:
            raise self._status.refuse(EINVAL, f"Need at least {control.min_bits} bits in the mask\n")
        if self._overlaps(schema, closid, cache_id, mask, exclusive_only=True):
            raise self._status.refuse(EINVAL, "Overlaps with exclusive group\n")
        if self._modes.get(closid) == EXCLUSIVE and self._overlaps(schema, closid, cache_id, mask, exclusive_only=False):
            raise self._status.refuse(EINVAL, "Overlaps with other group\n")
        return mask

    def _overlaps(self, schema: Schema, closid: int, cache_id: int, mask: int, *, exclusive_only: bool) -> bool:
        if not exclusive_only and mask & self._shareable:
            return True
        names = (schema.name,) if schema.peer is None else (schema.name, schema.peer)
        return any(
            mask & self._values[name][other][cache_id]
            for name in names
            for other, mode in self._modes.items()
            if other != closid and (mode == EXCLUSIVE or not exclusive_only)
        )

    def show_mode(self, group: EmulatedGroup, now_ns: int) -> str:
        """`mode`. *Source:* resctrl.rst."""
        return f"{self._modes[group.closid]}\n"

    def write_mode(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`mode`. *Raises:* OSError(EINVAL) for an unknown mode, and for an exclusive group that overlaps with another."""
        wanted = command_line(content)
        self._status.clear()
        if wanted == self._modes[group.closid]:
            return
        if wanted == EXCLUSIVE:
            self._test_exclusive(group.closid)
        elif wanted != SHAREABLE:
            raise self._status.refuse(EINVAL, "Unknown or unsupported mode\n")
        self._modes[group.closid] = wanted

    def _test_exclusive(self, closid: int) -> None:
        masks = [schema for schema in self.schemas if schema.bandwidth is None]
        if not masks:
            raise self._status.refuse(EINVAL, "Cannot be exclusive without CAT/CDP\n")
        for schema in masks:
            for cache_id, mask in self._values[schema.name][closid].items():
                if self._overlaps(schema, closid, cache_id, mask, exclusive_only=False):
                    raise self._status.refuse(EINVAL, "Schemata overlaps\n")

    def show_feedback_event(self, group: EmulatedGroup, now_ns: int) -> str:
        """`mba_MBps_event`: the event that the software controller watches."""
        return f"{self._feedback_events.get(group.closid, self._bandwidth_events[-1])}\n"

    def write_feedback_event(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`mba_MBps_event`. *Raises:* OSError(EINVAL) for an event that the machine does not have."""
        wanted = command_line(content)
        self._status.clear()
        if wanted not in self._bandwidth_events:
            raise self._status.refuse(EINVAL, f"Unsupported event id '{wanted}'\n")
        self._feedback_events[group.closid] = wanted

    @property
    def _bandwidth_events(self) -> tuple[str, ...]:
        """The kernel prefers the local one."""
        return tuple(event for event in (TOTAL, LOCAL) if event in self._profile.events)

    def show_bit_usage(self, schema: Schema) -> str:
        """`bit_usage`: one letter per bit, the highest bit first. *Source:* resctrl.rst."""
        parts = []
        for cache_id in self._cache_ids():
            shared = exclusive = 0
            for closid, mode in self._modes.items():
                value = self._values[schema.name][closid][cache_id]
                if mode == EXCLUSIVE:
                    exclusive |= value
                else:
                    shared |= value
            bits = range(self._full_mask.bit_length() - 1, -1, -1)
            parts.append(f"{cache_id}=" + "".join(_letter(bit, self._shareable, shared, exclusive) for bit in bits))
        return ";".join(parts) + "\n"


def lowest_run(mask: int) -> int:
    """The lowest bits of a mask that stand side by side; 0 of 0."""
    if mask == 0:
        return 0
    first = (mask & -mask).bit_length() - 1
    length = ((~(mask >> first)) & ((mask >> first) + 1)).bit_length() - 1
    return ((1 << length) - 1) << first


def _letter(bit: int, hardware: int, shared: int, exclusive: int) -> str:
    if hardware >> bit & 1:
        return "X" if shared >> bit & 1 else "H"
    if shared >> bit & 1:
        return "S"
    return "E" if exclusive >> bit & 1 else "0"
