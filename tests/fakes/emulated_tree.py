"""One emulation with a clock of its own, spoken to as a shell would: by path, text and errno."""

from errno import errorcode

import msgspec
from fakes.thread_table import ThreadTable

from workers.resctrl.emulator.emulation import Emulation
from workers.resctrl.emulator.ports import Caller, Faults, OpenFile
from workers.resctrl.emulator.profile import PROFILES, Profile

SECOND = 1_000_000_000
ROOT_USER = Caller(thread_id=1, uid=0, gid=0)


class EmulatedTree:
    """Time stands still until `pass_seconds`; timers that became due on the way are run then, as the server does."""

    def __init__(
        self, profile: str | Profile, living: range = range(1, 100), faults: Faults | None = None, **changes: object
    ) -> None:
        machine = PROFILES[profile] if isinstance(profile, str) else profile
        self.now_ns = 10 * SECOND
        self.threads = ThreadTable(living)
        self.emulation = Emulation(
            msgspec.structs.replace(machine, **changes), self.threads, self.now_ns, 1_000 * SECOND, seed=1, faults=faults
        )

    def pass_seconds(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)
        while (due_ns := self.emulation.next_deadline_ns()) is not None and due_ns <= self.now_ns:
            self.emulation.on_timer(due_ns)

    def mkdir(self, path: str, caller: Caller = ROOT_USER, mode: int = 0o755) -> None:
        self.emulation.mkdir(path, mode, caller, self.now_ns)

    def rmdir(self, path: str) -> None:
        self.emulation.rmdir(path, ROOT_USER, self.now_ns)

    def rename(self, old: str, new: str) -> None:
        self.emulation.rename(old, new, ROOT_USER, self.now_ns)

    def open(self, path: str) -> OpenFile:
        return self.emulation.open(path)

    def read(self, path: str) -> str:
        return self.open(path).read(self.now_ns).decode()

    def number(self, path: str) -> int:
        return int(self.read(path))

    def write(self, path: str, text: str, caller: Caller = ROOT_USER) -> None:
        self.open(path).write(text.encode(), caller, self.now_ns)

    def names(self, path: str) -> set[str]:
        """With a slash behind each directory."""
        return {f"{name}/" if is_directory else name for name, is_directory in self.emulation.list(path)}

    def tasks(self, path: str) -> list[int]:
        return [int(line) for line in self.read(f"{path}/tasks".lstrip("/")).split()]

    @property
    def status(self) -> str:
        return self.read("info/last_cmd_status")

    def refused(self, operation: str, *arguments: object) -> str:
        """The name of the errno with which it fails; `ok` where it does not."""
        try:
            getattr(self, operation)(*arguments)
        except OSError as failure:
            return errorcode[failure.errno or 0]
        return "ok"
