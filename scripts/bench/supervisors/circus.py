"""circus: one Python process that looks every five seconds by default; its best setting here looks ten times a second."""

from supervisors.rival import Bench, Rival, Variant

SETTINGS = """
[circus]
{check_delay}
endpoint = ipc://{folder}/control
pubsub_endpoint = ipc://{folder}/events
statsd = false
[watcher:child]
cmd = {child} {label}-$(circus.wid)
numprocesses = {count}
copy_env = true
"""


class Circus(Rival):
    """One watcher with all children; `check_delay` as in its file, empty: its default."""

    def __init__(self, bench: Bench, count: int, *, check_delay: str) -> None:
        super().__init__(bench, "c", count)
        self._check_delay = check_delay

    def prepare(self) -> None:
        """The one file."""
        text = SETTINGS.format(
            folder=self.folder, child=self.child, label=self.label, count=self.count, check_delay=self._check_delay
        )
        (self.folder / "conf").write_text(text)

    def command_line(self) -> list[str]:
        """In the foreground."""
        return [self.bench.toolchain.python_tool("circusd"), str(self.folder / "conf")]

    def status_command(self) -> list[str]:
        """The processes of the watcher."""
        return [self.bench.toolchain.python_tool("circusctl"), "--endpoint", f"ipc://{self.folder}/control", "list", "child"]


VARIANTS = (
    Variant(
        "circus, check_delay=0.1",
        "circus",
        lambda bench, count: Circus(bench, count, check_delay="check_delay = 0.1"),
        pause_seconds=(0.02, 0.22),
        side_by_side=2,
    ),
    Variant(
        "circus, default (5 s)",
        "circus",
        lambda bench, count: Circus(bench, count, check_delay=""),
        pause_seconds=(0.02, 5.02),
        side_by_side=16,
        is_slow=True,
    ),
)
