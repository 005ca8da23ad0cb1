"""systemd: its user manager, in cgroups of its own and with a private /run, since the machine may have another first process."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from supervisors.child_starts import SupervisorFailed
from supervisors.rival import START_SECONDS, Bench, Rival, Variant
from supervisors.toolchain import SYSTEMD

UNIT = """
[Unit]
{limit}
[Service]
ExecStart={child} %i
Environment=BENCH_SOCKET={socket} {variables}
Restart=always
{settings}
"""
# $1 is the folder of its cgroups in each hierarchy it may use; the controllers of cgroup v1 are none of its business, and as
# root it would make groups in all of them. /run/systemd/system tells its programs that systemd runs.
LAUNCH = """
for group in $1; do echo $$ >"$group/cgroup.procs" || exit 1; done
for mount in $(awk '$3 == "cgroup" { print $2 }' /proc/self/mounts); do
    case $mount in */systemd) ;; *) umount "$mount" ;; esac
done
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system
exec "$2" --user --log-target=console --log-level=warning
"""


class Systemd(Rival):
    """`settings` go into the service, `limit` into the unit."""

    def __init__(self, bench: Bench, count: int, *, settings: str = "", limit: str = "") -> None:
        super().__init__(bench, "m", count)
        self._settings = settings
        self._limit = limit

    def prepare(self) -> None:
        """One template, wanted by the default target once for each child."""
        units = self.folder / "home" / ".config" / "systemd" / "user"
        wanted = units / "default.target.wants"
        wanted.mkdir(parents=True)
        (self.folder / "run").mkdir(mode=0o700)
        variables = " ".join(f"{name}={value}" for name, value in self.child_environment.items())
        text = UNIT.format(
            child=self.child, socket=self.bench.starts.path, settings=self._settings, limit=self._limit, variables=variables
        )
        (units / "w@.service").write_text(text)
        for name in self.names:
            (wanted / f"w@{name}.service").symlink_to("../w@.service")

    def command_line(self) -> list[str]:
        """The user manager."""
        if not self.bench.cgroups:
            raise SupervisorFailed("it finds no cgroup hierarchy that can be written")
        own = [self._own_group(group) for group in self.bench.cgroups]
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", LAUNCH, "sh", " ".join(own), str(SYSTEMD)]

    def environment(self) -> dict[str, str]:
        """A home and a runtime folder of its own."""
        home = self.folder / "home"
        return {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "XDG_RUNTIME_DIR": str(self.folder / "run")}

    def status_command(self) -> list[str]:
        """All units of the template."""
        return ["systemctl", "--user", "--no-pager", "list-units", "w@*"]

    def status_environment(self) -> dict[str, str]:
        """Where the manager listens."""
        return {"XDG_RUNTIME_DIR": str(self.folder / "run")}

    def stop(self) -> None:
        """With its cgroups, which only it has filled."""
        super().stop()
        end_at = time.monotonic() + START_SECONDS
        for group in self.bench.cgroups:
            while not _removed(Path(group) / self.label):
                assert time.monotonic() < end_at, f"the cgroup {group}/{self.label} cannot be removed"
                time.sleep(0.01)

    def _own_group(self, group: str) -> str:
        path = Path(group) / self.label
        path.mkdir(exist_ok=True)
        return str(path)


def _removed(group: Path) -> bool:
    """Kill what is in a cgroup and remove it with all below it; False: something is still ending."""
    if not group.exists():
        return True
    folders = sorted((path for path in [group, *group.rglob("*")] if path.is_dir()), key=lambda path: -len(path.parts))
    try:
        for folder in folders:
            for pid in (folder / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            folder.rmdir()
    except OSError:
        # EBUSY: a process in it has been killed and is not gone yet.
        return False
    return True


UNLIMITED = "StartLimitIntervalSec=0"
VARIANTS = (
    Variant(
        "systemd, RestartSec=0",
        "systemd",
        lambda bench, count: Systemd(bench, count, settings="RestartSec=0", limit=UNLIMITED),
    ),
    # A child that ends at once meets its limit of starts, five in ten seconds; the others are not to.
    Variant(
        "systemd, default (100 ms)",
        "systemd",
        lambda bench, count: Systemd(bench, count, limit=UNLIMITED),
        pause_seconds=(0.02, 0.22),
        side_by_side=4,
        looping=lambda bench, count: Systemd(bench, count),
    ),
)


def watched(bench: Bench, count: int, *, seconds: int) -> Systemd:
    """With its watchdog; the child beats four times in that time. SIGKILL, since a stopped process does not die of SIGABRT."""
    settings = f"RestartSec=0\nWatchdogSec={seconds}\nWatchdogSignal=SIGKILL"
    return Systemd(bench, count, settings=settings, limit=UNLIMITED)
