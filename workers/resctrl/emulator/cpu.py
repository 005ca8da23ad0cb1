"""The CPUs whose threads count for a group unless they are in a group of their own: files `cpus` and `cpus_list`. PURE."""

from errno import EINVAL

from workers.resctrl.emulator.command import CommandStatus, parse_cpu_list, parse_cpu_mask, show_cpu_list, show_cpu_mask, text_of
from workers.resctrl.emulator.group import EmulatedGroup, EmulatedGroups, GroupKind
from workers.resctrl.emulator.ports import Caller


class CpuFiles:
    """Masks are integers with one bit for each CPU. The CPUs of a monitoring group belong to its parent, too."""

    def __init__(self, status: CommandStatus, groups: EmulatedGroups, online: int):
        self._status = status
        self._groups = groups
        self._online = online
        self._width = max(online.bit_length(), 1)

    def show_mask(self, group: EmulatedGroup, now_ns: int) -> str:
        """`cpus`: the group's CPUs as a hexadecimal mask. *Source:* resctrl.rst."""
        return show_cpu_mask(group.cpus, self._width) + "\n"

    def show_list(self, group: EmulatedGroup, now_ns: int) -> str:
        """`cpus_list`: the group's CPUs as ranges. *Source:* resctrl.rst."""
        return show_cpu_list(group.cpus) + "\n"

    def write_mask(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`cpus`. *Raises:* OSError as `parse_cpu_mask`; EINVAL for CPUs that this group may not have."""
        self._write(group, content, is_list=False)

    def write_list(self, group: EmulatedGroup, content: bytes, caller: Caller, now_ns: int) -> None:
        """`cpus_list`. *Raises:* OSError as `parse_cpu_list`; EINVAL for CPUs that this group may not have."""
        self._write(group, content, is_list=True)

    def _write(self, group: EmulatedGroup, content: bytes, *, is_list: bool) -> None:
        self._status.clear()
        parse = parse_cpu_list if is_list else parse_cpu_mask
        try:
            mask = parse(text_of(content), self._width)
        except OSError:
            self._status.say("Bad CPU list/mask\n")
            raise
        if mask & ~self._online:
            raise self._status.refuse(EINVAL, "Can only assign online CPUs\n")
        if group.is_control:
            self._give_to_control(group, mask)
        else:
            self._give_to_monitoring(group, mask)

    def _give_to_control(self, group: EmulatedGroup, mask: int) -> None:
        dropped = group.cpus & ~mask
        if dropped and group.kind is GroupKind.ROOT:
            raise self._status.refuse(EINVAL, "Can't drop CPUs from default group\n")
        self._groups.root.cpus |= dropped
        added = mask & ~group.cpus
        for other in self._groups.control_groups():
            if other is not group and other.cpus & added:
                other.cpus &= ~added
                for child in other.children.values():
                    child.cpus &= other.cpus
        group.cpus = mask
        for child in group.children.values():
            child.cpus = 0

    def _give_to_monitoring(self, group: EmulatedGroup, mask: int) -> None:
        parent = group.parent or self._groups.root
        if mask & ~parent.cpus:
            raise self._status.refuse(EINVAL, "Can only add CPUs to mongroup that belong to parent\n")
        for sibling in parent.children.values():
            if sibling is not group:
                sibling.cpus &= ~(mask & ~group.cpus)
        group.cpus = mask
