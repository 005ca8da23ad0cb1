"""Whether this proc mount shows every process, or hides those of other users (`hidepid`)."""

import os

from agent.model.mountinfo import NAME as MOUNTINFO
from agent.model.mountinfo import mount_at
from agent.ports import Bus, KernelTree
from workers.framework.condition import Conditions

# Some 6,000 mounts; proc is one of the first of them.
FILE_BYTES_MAX = 1 << 20
# The kernel's words for a mount that hides nothing. *Source:* linux/Documentation/filesystems/proc.rst.
_NOT_HIDDEN = frozenset({"", "0", "off"})
# Only who may trace a process sees it, whatever the groups.
_HIDDEN_FROM_GROUPS = frozenset({"4", "ptraceable"})
_CAP_SYS_PTRACE = 19
# A process that refuses once may be about to end.
REFUSED_TICKS = 3
_HIDDEN, _REFUSED = "processes_hidden", "processes_refused"


def mount_options(text: str, point: str) -> dict[str, str]:
    """The options of the proc that is mounted at `point`, empty where there is none. PURE."""
    mount = mount_at(text, point)
    if mount is None or mount.type != "proc":
        return {}
    return {name: value for name, _, value in (option.partition("=") for option in mount.options)}


def running_threads(loadavg: str) -> int | None:
    """How many threads the kernel runs: the number behind the slash. PURE. *Source:* proc_loadavg(5)."""
    word = (loadavg.split(" ") + [""] * 4)[3].partition("/")[2]
    return int(word) if word.isdecimal() else None


class Visibility:
    """Tells, as lasting conditions, that processes are hidden or refuse to be read."""

    def __init__(self, tree: KernelTree, root: str, bus: Bus) -> None:
        self._tree = tree
        self._root = os.path.realpath(root)
        self._conditions = Conditions(bus)
        self._refusing_ticks = 0

    @property
    def is_hidden(self) -> bool:
        """Whether other users' processes are hidden."""
        return _HIDDEN in self._conditions

    def check(self, names: list[str]) -> None:
        """Look at the mount, and at the names that it lists; tell what is new."""
        listed = [name for name in names if name.isdecimal()]
        options = mount_options(self._read(MOUNTINFO), self._root)
        option = options.get("hidepid", "")
        # In every namespace there is a process 1. One that is not listed is hidden, whatever is known of the mount.
        is_hidden = bool(listed) and ("1" not in listed or (option not in _NOT_HIDDEN and not self._is_exempt(options)))
        # The sentence has counts of its moment, which are no news while the condition holds.
        if is_hidden is not self.is_hidden:
            self._conditions.tell(_HIDDEN, self._sentence(listed, option) if is_hidden else "", blocks_ready=True)

    def on_refused(self, refused: int, listed: int) -> None:
        """Say that processes refuse to be read, once they have done so for a while."""
        self._refusing_ticks = self._refusing_ticks + 1 if refused else 0
        is_told = self._refusing_ticks >= REFUSED_TICKS
        if is_told is not (_REFUSED in self._conditions):
            sentence = f"{refused} of {listed} processes refuse to be read: run the agent as root, with CAP_SYS_PTRACE"
            self._conditions.tell(_REFUSED, sentence if is_told else "")

    def _sentence(self, listed: list[str], option: str) -> str:
        how = f"hidepid={option}" if option else "hidepid, or a security module"
        threads = running_threads(self._read("loadavg"))
        of_all = "" if threads is None else f", and the kernel runs {threads} threads"
        number = f"{len(listed)} process{'' if len(listed) == 1 else 'es'}"
        seen = f"{number} listed, of which only our own can be read" if "1" in listed else f"only {number} seen{of_all}"
        return (
            f"{seen}: {self._root} hides those of other users ({how}); "
            f"mount -o remount,hidepid=0 {self._root}, or run the agent as root or with CAP_SYS_PTRACE"
        )

    def _is_exempt(self, options: dict[str, str]) -> bool:
        """Whether nothing is hidden from us: by the capability, or by the group that the mount names."""
        for line in self._read("self/status").splitlines():
            name, _, value = line.partition(":")
            if name == "CapEff" and int(value or "0", 16) >> _CAP_SYS_PTRACE & 1:
                return True
        if options.get("hidepid") in _HIDDEN_FROM_GROUPS:
            return False
        # Where the mount names no group, it is that of root.
        group = options.get("gid", "0")
        return group.isdecimal() and int(group) in (os.getegid(), *os.getgroups())

    def _read(self, path: str) -> str:
        try:
            return self._tree.read(path, FILE_BYTES_MAX).decode("utf-8", "replace")
        except OSError:
            return ""
