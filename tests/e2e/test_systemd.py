"""The service under a real systemd: a small Debian is booted as a container, and the agent is installed, hurt, upgraded and
removed there. `scripts/lab/systemd` makes the image and the wheels once (a minute) and keeps them."""

import json
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.waiting import wait_until

import agent

CHECKOUT = Path(__file__).parents[2]
LAB = str(CHECKOUT / "scripts" / "lab" / "systemd")
INSTALL = str(CHECKOUT / "scripts" / "install")
UNIT = "evergauge.service"
KEEPER, PLACE = "evergauge-keeper.service", "evergauge-workloads.service"
WORKERS = ("control-plane", "gateway", "sampler/node", "sampler/process", "writer")
# A look at the agent, and a process that waits to become a worker.
NOT_COUNTED = ("agentctl", "eg:spare")
# As the kernel names the processes of a whole agent, each once: the supervisor, the fork server, the workers.
WHOLE = Counter(["agentd", "eg:fork-server", *(f"eg:{name}"[:15] for name in WORKERS)])
# What keeps the capabilities of the service: the sampler that needs them, and those that it is forked from.
MAY_HAND_DOWN = ("eg:sampler/process"[:15], "eg:spare", "eg:fork-server")
DROP_IN = f"/etc/systemd/system/{UNIT}.d/test.conf"
CONFIG = "/etc/evergauge/agentd.toml"
DEFAULTS = (CHECKOUT / "scripts" / "systemd" / "agentd.toml").read_text()
# With cgroup v2 alone, and with v1 beside it.
OWN_CGROUPS = (f"/sys/fs/cgroup/system.slice/{UNIT}", f"/sys/fs/cgroup/unified/system.slice/{UNIT}")
PLACES = (f"/sys/fs/cgroup/system.slice/{PLACE}", f"/sys/fs/cgroup/unified/system.slice/{PLACE}")
NEXT_VERSION, BROKEN_VERSION = "900.1", "900.2"
# What systemd, dpkg and Python write while a machine runs, and what is no file of the disk.
NOT_OURS = re.compile(
    r"^/(dev|proc|run|sys|tmp|root|var/(cache|log|tmp|lib/(dbus|systemd)))(/|$)|__pycache__|^/etc/\.updated|^/var/\.updated"
)

# A command in the container takes half a second of a processor that others use too. Waiting for what surely comes costs nothing.
SLOW_SECONDS = 60.0

# The first test waits for the image too (once on a machine), the container and the first installation.
pytestmark = [pytest.mark.timeout(400), pytest.mark.skipif(os.geteuid() != 0, reason="booting a container needs root")]


class Machine:
    """A booted container: commands run in it as root; `fresh` are the files that it had before anything was installed."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.fresh = self.files()

    def run(self, *words: str, check: bool = True, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """One command in the container, with what it said."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        command = ["nsenter", "--target", str(self._leader), *spaces, "--", "env", "-i", path, *words]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        assert not check or ended.returncode == 0, f"{words} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        return ended

    def install(self, version: str, *flags: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """scripts/install with the wheels of this version."""
        return self.run("/checkout/scripts/install", "--wheels", f"/wheels/{version}", *flags, check=check, seconds=240)

    def show(self, name: str, unit: str = UNIT) -> str:
        """A property of the unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def main(self) -> str:
        """The number of the service's main process, as systemd has it; nothing while it has none."""
        number = self.show("MainPID")
        return "" if number == "0" else number

    def journal(self) -> str:
        """What the service has said last, without what systemd puts before each line."""
        return self.run("journalctl", "--unit", UNIT, "--output", "cat", "--lines", "200").stdout

    def wait_journal(self, sentence: str) -> None:
        """Until the service has said that: a line is in the journal a moment after it was written."""
        wait_until(lambda: sentence in self.journal(), f"the journal has: {sentence}", seconds=SLOW_SECONDS)

    def write(self, path: str, text: str) -> None:
        """Make a file, and let systemd read its units again."""
        place = Path(f"/proc/{self._leader}/root{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        self.run("systemctl", "daemon-reload")

    def read(self, path: str) -> str:
        """A file's text; nothing where there is none."""
        return self.run("cat", path, check=False).stdout

    def status(self) -> dict[str, Any]:
        """What the agent says of itself; nothing when it does not answer."""
        ended = self.run("agentctl", "--timeout", "5", "status", "--json", check=False)
        return dict(json.loads(ended.stdout)) if ended.returncode == 0 else {}

    def ticks(self) -> int:
        """How often the process sampler has looked; 0 while it does not say."""
        stats = self.status().get("stats", {}).get("sampler/process") or {}
        return int(stats.get("ticks", 0))

    def installed_version(self) -> str:
        """What the installed agentd says; nothing where none is."""
        return self.run("agentd", "--version", check=False).stdout.removeprefix("agentd ").strip()

    def workers(self) -> dict[str, tuple[int, int]]:
        """Number and epoch of each worker that is up."""
        return {row["name"]: (row["pid"], row["epoch"]) for row in self.status().get("workers", []) if row["state"] == "up"}

    def processes(self) -> dict[int, str]:
        """Every process of the installed agent by its number here, as the kernel names them."""
        found = {}
        for process in psutil.Process(self._leader).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.name() not in NOT_COUNTED and "".join(process.cmdline()[:1]).startswith("/opt/evergauge/"):
                    found[process.pid] = process.name()
        return found

    def process(self, name: str) -> psutil.Process:
        """The one process of this name."""
        (pid,) = (pid for pid, each in self.processes().items() if each == name)
        return psutil.Process(pid)

    def rows(self) -> int:
        """How many rows of processes there are, sealed or not."""
        counted = self.run("agentctl", "query", "--json", "SELECT count(*) AS n FROM process").stdout
        return int(json.loads(counted)[0]["n"])

    def wait_rows(self) -> int:
        """Until there are rows, which may be a moment after an agent is ready; how many."""
        return wait_until(self.rows, "there are rows", seconds=SLOW_SECONDS)

    def wait_whole(self) -> None:
        """Until the agent is ready, with one process of each name and none beside them."""

        def is_whole() -> bool:
            return bool(self.status().get("ready")) and Counter(self.processes().values()) == WHOLE

        try:
            wait_until(is_whole, "the agent is ready and whole", seconds=SLOW_SECONDS)
        except AssertionError as late:
            story = self.run("journalctl", "--unit", UNIT, "--output", "cat", "--lines", "40", check=False).stdout
            raise AssertionError(f"{late}; {self.processes()}\n{story}") from late

    def files(self) -> set[str]:
        """All files of the disk but those that systems write about themselves."""
        return {path for path in self.run("find", "/", "-xdev").stdout.splitlines() if not NOT_OURS.search(path)}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of wheels for each version: this one, a later one, and one that starts and does not get far."""
    folder = tmp_path_factory.mktemp("wheels")
    ours = folder / agent.__version__
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": _said([LAB, "wheels"])}
    _said([INSTALL, "--make-wheels", str(ours)], env=environment)
    about = "evergauge/packages/agent/__init__.py"
    for version, changes in (
        (NEXT_VERSION, {about: f'__version__ = "{NEXT_VERSION}"'}),
        (
            BROKEN_VERSION,
            {
                about: f'__version__ = "{BROKEN_VERSION}"',
                "evergauge/packages/agent/daemon/wiring.py": "raise RuntimeError('a defect')",
            },
        ),
    ):
        shutil.copytree(ours, folder / version, copy_function=os.link)
        (wheel,) = (folder / version).glob("evergauge-*.whl")
        _alter(wheel, changes)
    yield folder
    shutil.rmtree(folder)


def _alter(wheel: Path, changes: dict[str, str]) -> None:
    """Put other texts into a wheel: another version without the ten seconds of making one."""
    with zipfile.ZipFile(wheel) as before:
        contents = {name: before.read(name) for name in before.namelist()}
    wheel.unlink()
    with zipfile.ZipFile(wheel, "w") as after:
        for name, content in (contents | {name: text.encode() for name, text in changes.items()}).items():
            after.writestr(name, content)


def _said(command: list[str], **options: Any) -> str:
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False, **options)
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}{ended.stderr}"
    said: str = ended.stdout.strip()
    return said


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Iterator[Machine]:
    """A booted container, without a network, with the checkout and the wheels to look at."""
    folder = tmp_path_factory.mktemp("machine")
    _said([LAB, "image"])
    # For an emulated resctrl; the service itself sees no device.
    command = [LAB, "boot", str(folder), f"--bind-ro={wheels}:/wheels", "--bind=/dev/fuse"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as lab:
        assert lab.stdout is not None
        word, _, leader = lab.stdout.readline().partition(" ")
        try:
            assert word == "leader", f"no container: {(folder / 'console.log').read_text(errors='replace')}"
            yield Machine(int(leader))
        finally:
            # The end of its standard input is the container's end; `with` waits for it.
            lab.communicate(timeout=120)
    assert not Path(f"/proc/{int(leader)}").exists()
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/evergauge-lab-{lab.pid}"))


@pytest.fixture
def service(machine: Machine) -> Machine:
    """The machine with an agent as a newcomer has it, installed if need be, and ready."""
    changed = machine.read(DROP_IN) != "" or machine.read(CONFIG) not in ("", DEFAULTS)
    if changed:
        machine.run("rm", "-rf", os.path.dirname(DROP_IN))
        machine.write(CONFIG, DEFAULTS)
    if machine.installed_version() not in (agent.__version__, NEXT_VERSION):
        machine.install(agent.__version__)
    elif changed:
        machine.run("systemctl", "restart", UNIT)
    # Whatever a test before this one has left.
    machine.run("sh", "-c", f"systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    machine.wait_whole()
    return machine


def test_systemctl_tells_that_it_is_ready_and_how_it_is(service: Machine) -> None:
    """`systemctl start` comes back with an agent that measures; its line in `systemctl status` is the agent's own word."""
    service.run("systemctl", "stop", UNIT)
    assert service.processes() == {}
    assert service.run("test", "-e", "/run/evergauge", check=False).returncode != 0
    service.run("systemctl", "start", UNIT)
    assert service.status()["ready"]
    told = service.run("systemctl", "status", "--no-pager", UNIT).stdout
    assert "Active: active (running)" in told
    assert f'Status: "ready, {len(WORKERS)} workers up"' in told
    service.wait_journal("`systemctl stop evergauge` ends it")
    assert f"{service.show('Type')} {service.show('NotifyAccess')}" == "notify main"
    folders = service.run("stat", "--format", "%a %U %n", "/run/evergauge", "/var/lib/evergauge").stdout.split("\n")
    assert folders[:2] == ["700 root /run/evergauge", "700 root /var/lib/evergauge"]


def test_its_protections_hold_and_refuse_nothing_that_it_does(service: Machine) -> None:
    """Where a refused system call kills, every worker works; one alone has capabilities, and none writes elsewhere."""
    assert service.run("systemd-analyze", "verify", UNIT).stderr == ""
    analysis = service.run("systemd-analyze", "security", "--threshold=25", UNIT, check=False)
    assert analysis.returncode == 0, analysis.stdout.splitlines()[-1]
    service.write(DROP_IN, "[Service]\nSystemCallErrorNumber=kill\n")
    service.run("systemctl", "restart", UNIT)
    service.wait_whole()
    wait_until(lambda: service.ticks() >= 2, "it measures", seconds=SLOW_SECONDS)
    assert "sealed" in service.run("agentctl", "rotate").stdout
    everything = "SELECT comm FROM process UNION SELECT command FROM process_tail"
    names = {row["comm"] for row in json.loads(service.run("agentctl", "query", "--json", everything).stdout)}
    # A process of another user than root, which no capability of the agent's opens to it.
    assert {"agentd", "dbus-daemon"} <= names
    rows = [row for row in service.status()["workers"] if row["state"] != "asleep"]
    assert all(row["pss_bytes"] for row in rows)
    assert service.show("NRestarts") == "0"
    assert [row["epoch"] for row in service.status()["workers"] if row["state"] != "asleep"] == [1] * len(WORKERS)
    for pid in service.processes():
        facts = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        # CAP_NET_ADMIN and CAP_SYS_PTRACE: for the process sampler, and for those that hand them down to it.
        assert (facts["CapBnd"], facts["NoNewPrivs"], facts["Seccomp"]) == ("0000000000081000", "1", "2")
        is_other_worker = facts["Name"].startswith("eg:") and facts["Name"] not in MAY_HAND_DOWN
        assert facts["CapPrm"] == ("0000000000000000" if is_other_worker else "0000000000081000"), facts["Name"]
    inside = ["nsenter", "--mount", "--target", service.show("MainPID")]
    for path in (
        "/etc/x",
        "/usr/x",
        "/opt/evergauge/x",
        "/root/x",
        f"{os.path.dirname(OWN_CGROUPS[0])}/x",
        "/sys/fs/cgroup/unified/x",
    ):
        assert service.run(*inside, "mkdir", path, check=False).returncode != 0, path
    own = next(path for path in OWN_CGROUPS if service.run("test", "-d", path, check=False).returncode == 0)
    service.run(*inside, "sh", "-c", f"mkdir {own}/x && rmdir {own}/x")


def _is_replaced(service: Machine, name: str, before: tuple[int, int]) -> bool:
    return service.workers().get(name, before)[1] > before[1]


def _has_other_main(service: Machine, main: str) -> bool:
    return service.show("MainPID") != main


def test_a_killed_worker_is_replaced_and_the_unit_stays_as_it_is(service: Machine) -> None:
    """kill -9 of each worker: the supervisor has a new one up, systemd sees the same main process and no restart."""
    main, restarts = service.show("MainPID"), service.show("NRestarts")
    for name in WORKERS:
        before = service.workers()
        service.process(f"eg:{name}"[:15]).kill()
        wait_until(partial(_is_replaced, service, name, before[name]), f"{name} is back", seconds=SLOW_SECONDS)
    service.wait_whole()
    assert ("active", main, restarts) == (service.show("ActiveState"), service.show("MainPID"), service.show("NRestarts"))


def test_a_killed_supervisor_comes_back_and_takes_its_workers_over(service: Machine, record_property: Callable[..., None]) -> None:
    """kill -9 of the main process: systemd starts another, which has the same workers with the same numbers."""
    before = service.workers()
    service.process("agentd").kill()
    service.wait_whole()
    record_property("workers_before_and_after", str((before, service.workers())))
    assert before == service.workers()


def test_a_supervisor_that_is_killed_again_and_again_is_never_given_up(service: Machine) -> None:
    """Ten deaths as fast as they can be had, more than systemd takes by default: one process of each name in the end."""
    restarts = int(service.show("NRestarts"))
    for _ in range(10):
        main = wait_until(lambda: service.main(), "systemd has started another", seconds=SLOW_SECONDS)
        service.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)
        wait_until(partial(_has_other_main, service, main), "systemd sees the death", seconds=SLOW_SECONDS)
    service.wait_whole()
    assert restarts + 10 == int(service.show("NRestarts"))


def test_a_service_that_is_stopped_while_its_supervisor_is_dead_leaves_nobody(service: Machine) -> None:
    """Workers that no supervisor comes for end by themselves when their time is over."""
    kill = f"systemctl kill --kill-who=main --signal=KILL {UNIT}"
    service.run("sh", "-c", f"{kill} && systemctl stop {UNIT}")
    wait_until(lambda: service.processes() == {}, "no process is left", seconds=SLOW_SECONDS)
    assert service.show("ActiveState") != "active"
    service.run("systemctl", "start", UNIT)


def test_a_supervisor_that_stands_still_is_replaced_by_the_watchdog(service: Machine) -> None:
    """SIGSTOP of the main process: after WatchdogSec systemd ends it, it says where it stood, and the next one is ready."""
    main, stopped = service.show("MainPID"), service.process("agentd")
    stopped.suspend()
    try:
        wait_until(lambda: service.show("MainPID") != main, "the watchdog ends it", seconds=SLOW_SECONDS)
    finally:
        with suppress(psutil.NoSuchProcess):
            stopped.resume()
    service.wait_whole()
    service.wait_journal("Watchdog timeout (limit 10s)!")
    service.wait_journal("Fatal Python error: Aborted")


def test_a_configuration_that_cannot_be_used_is_refused_once(service: Machine) -> None:
    """Exit code 78: the reason stands in `systemctl status`, nothing is tried again, a good file and `start` mend it."""
    service.write(CONFIG, "nonsense = 1\n")
    assert service.run("systemctl", "restart", UNIT, check=False).returncode != 0
    assert tuple(map(service.show, ("ActiveState", "Result", "ExecMainStatus", "NRestarts"))) == ("failed", "exit-code", "78", "0")
    told = partial(service.run, "systemctl", "status", "--full", UNIT, check=False)
    wait_until(lambda: "nonsense: there is no such setting" in told().stdout, "its line is in the journal", seconds=SLOW_SECONDS)
    service.write(CONFIG, DEFAULTS)
    service.run("systemctl", "start", UNIT)
    service.wait_whole()


def test_a_refused_start_is_tried_again_until_it_succeeds(service: Machine) -> None:
    """While another agent holds the data folder the service tries again, in peace, and starts by itself when that has gone."""
    service.run("systemctl", "stop", UNIT)
    service.run("sh", "-c", "setsid agentd --runtime-dir /run/other --gateway-port 0 </dev/null >/dev/null 2>&1 &")
    other = wait_until(
        lambda: Counter(service.processes().values()) == WHOLE and service.process("agentd"),
        "another agent is there",
        seconds=SLOW_SECONDS,
    )
    try:
        began = time.monotonic()
        service.run("systemctl", "start", "--no-block", UNIT)
        wait_until(lambda: int(service.show("NRestarts")) >= 2, "it is tried again", seconds=SLOW_SECONDS)
        assert time.monotonic() - began >= 2 * 2.0
        service.wait_journal("another agent (pid ")
    finally:
        other.terminate()
    service.wait_whole()
    assert service.show("ActiveState") == "active"


def test_members_of_a_reader_group_look_and_nobody_else_does(service: Machine) -> None:
    """--reader-group makes the group; a member asks and reads, old data too, and changes nothing; without it all is shut again."""
    service.wait_rows()
    service.run("agentctl", "rotate")
    before, version = service.files(), service.installed_version()
    told = service.install(version, "--reader-group", "gaugers").stderr
    assert "members of group gaugers may look" in told
    gid = service.run("getent", "group", "gaugers").stdout.split(":")[2]
    service.wait_whole()
    somebody = ["setpriv", "--reuid=65534", "--regid=65534"]
    member, stranger = [*somebody, f"--groups={gid}"], [*somebody, "--clear-groups"]
    query = ["agentctl", "query", "--json", "SELECT count(*) AS n FROM process"]
    folders = ("/run/evergauge", "/run/evergauge/control.sock", "/var/lib/evergauge", "/var/lib/evergauge/data")

    def modes() -> list[str]:
        return service.run("stat", "--format", "%a %U %G", *folders).stdout.splitlines()

    wait_until(lambda: modes()[3] == "750 root gaugers", "what is old is handed over", seconds=SLOW_SECONDS)
    assert modes()[:3] == ["710 root gaugers", "660 root gaugers", "750 root gaugers"]
    assert json.loads(service.run(*member, "agentctl", "status", "--json").stdout)["ready"]
    answer = service.run(*member, *query)
    assert (json.loads(answer.stdout)[0]["n"] > 0, answer.stderr) == (True, "")
    assert service.run(*member, "agentctl", "add-rule", "theirs", "--all", check=False).returncode == 77
    refused = service.run(*stranger, "agentctl", "status", check=False)
    assert (refused.returncode, "join group gaugers (`sudo usermod -aG gaugers" in refused.stderr) == (77, True), refused.stderr
    service.run("systemctl", "stop", UNIT)
    assert json.loads(service.run(*member, *query).stdout)[0]["n"] > 0
    service.run("rm", "-r", os.path.dirname(DROP_IN))
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "start", UNIT)
    service.wait_whole()
    closed = ["700 root root", "600 root root", "700 root root"]
    assert modes()[:3] == closed
    assert service.run(*member, "agentctl", "status", check=False).returncode == 77
    service.run("groupdel", "gaugers")
    # The tools of groups leave copies and a lock.
    service.run("rm", "-f", "--", *(path for path in service.files() - before if path.startswith("/etc/")))


RESCTRL = "/sys/fs/resctrl"
RESCTRL_DROP_IN = f"/etc/systemd/system/{UNIT}.d/resctrl.conf"
RESCTRL_SETTINGS = """[resctrl]
check_interval = "200ms"
[control_plane]
interval = "200ms"
[sampler.resctrl]
enabled = "true"
"""


@contextmanager
def _emulated(service: Machine) -> Iterator[None]:
    """A resctrl mounted in the container, by an emulator that another service of it runs."""
    # The kernel makes the folder where it knows resctrl. /sys of a container is a file system of its own, which takes one.
    make = f"mount -o remount,bind,rw /sys && mkdir -p {RESCTRL} && mount -o remount,bind,ro /sys"
    service.run("sh", "-c", make)
    run = ["systemd-run", "--quiet", "--collect", "--unit=emulator", "agentctl", "emulate-resctrl", "--mount", RESCTRL]
    service.run(*run)
    try:
        wait_until(lambda: RESCTRL in service.read("/proc/self/mounts"), "it is mounted", seconds=SLOW_SECONDS)
        yield
    finally:
        service.run("systemctl", "stop", "emulator", check=False)
        wait_until(lambda: RESCTRL not in service.read("/proc/self/mounts"), "it is unmounted", seconds=SLOW_SECONDS)


def _groups(service: Machine) -> set[str]:
    return set(service.run("ls", f"{RESCTRL}/mon_groups").stdout.split())


def _why_not_ready(service: Machine) -> str:
    return " ".join(service.status().get("reasons", []))


def test_a_host_with_resctrl_gets_the_drop_in_that_making_groups_needs(service: Machine) -> None:
    """The installation finds the mount; the service makes groups without a further capability; without the one line it cannot."""
    version = service.installed_version()
    service.write(CONFIG, RESCTRL_SETTINGS)
    with _emulated(service):
        told = service.install(version).stderr
        assert f"resctrl is mounted on {RESCTRL}: the service may make groups there" in told
        wait_until(lambda: _groups(service), "there are groups", seconds=SLOW_SECONDS)
        assert service.status()["ready"]
        # systemd's own services, whose threads the agent moves: threads of root and of other users. A group may go meanwhile.
        ours = partial(service.run, "sh", "-c", f"cat {RESCTRL}/mon_groups/*/tasks", check=False)
        wait_until(lambda: ours().stdout.split(), "threads are in them", seconds=SLOW_SECONDS)
        granted = Path(f"/proc/{service.process('eg:control-plane'[:15]).pid}/status").read_text()
        assert "CapBnd:\t0000000000081000" in granted
        written = service.read(RESCTRL_DROP_IN)
        lines = [line for line in written.splitlines() if not line.startswith(("#", "["))]
        assert lines == [f"ReadWritePaths=-{RESCTRL}"]

        service.run("systemctl", "stop", UNIT)
        wait_until(lambda: not _groups(service), "an agent that ends gives its groups back", seconds=SLOW_SECONDS)
        service.write(RESCTRL_DROP_IN, "[Service]\n")
        service.run("systemctl", "start", "--no-block", UNIT)
        wait_until(lambda: RESCTRL in _why_not_ready(service), "it says that it may not write there", seconds=SLOW_SECONDS)
        assert _groups(service) == set()

        # A drop-in of somebody's own stays as it is.
        assert "is there and not ours" in service.install(version, "--no-start").stderr
        assert service.read(RESCTRL_DROP_IN) == "[Service]\n"
        service.write(RESCTRL_DROP_IN, written)
        service.install(version, "--no-start", "--no-resctrl")
        assert service.read(RESCTRL_DROP_IN) == ""
    # Nothing is granted where there is nothing, and what was granted goes.
    service.write(RESCTRL_DROP_IN, written)
    service.write(CONFIG, DEFAULTS)
    service.install(version)
    assert service.read(RESCTRL_DROP_IN) == ""


# A runtime that hears what a plugin says first, and answers nothing.
LISTENER = """
import os, socket
os.makedirs("/run/nri", 0o700, exist_ok=True)
listening = socket.socket(socket.AF_UNIX)
listening.bind("/run/nri/nri.sock")
listening.listen()
connection = listening.accept()[0]
while data := connection.recv(4096):
    with open("/run/nri/heard", "ab") as heard:
        heard.write(data)
"""


def test_the_socket_of_a_container_runtime_needs_no_drop_in(service: Machine) -> None:
    """The service as it is registers over NRI; the installation says that it will, and grants nothing for it."""
    try:
        service.run("systemd-run", "--quiet", "--collect", "--unit=listener", "python3", "-c", LISTENER)
        wait_until(lambda: "RegisterPlugin" in service.read("/run/nri/heard"), "the plugin speaks", seconds=SLOW_SECONDS)
        told = service.install(service.installed_version(), "--no-start").stderr
        assert "a container runtime answers on /run/nri/nri.sock" in told
        assert service.read(RESCTRL_DROP_IN) == ""
    finally:
        service.run("systemctl", "stop", "listener", check=False)
        service.run("rm", "-rf", "/run/nri")
        # The next supervisor would be of the release that was not started, and takes over no workers of another one.
        service.run("systemctl", "restart", UNIT)


def test_an_upgrade_takes_over_and_keeps_settings_and_data(service: Machine) -> None:
    """scripts/install with another version: that one runs, an edited configuration and the rows of before are still there."""
    service.write(CONFIG, '[sampler.process]\ninterval = "500ms"\n')
    service.write(DROP_IN, "[Service]\nMemoryMax=600M\n")
    rows = service.wait_rows()
    (other,) = {agent.__version__, NEXT_VERSION} - {service.installed_version()}
    service.install(other)
    service.wait_whole()
    assert (service.installed_version(), service.status()["version"]) == (other, other)
    assert service.rows() >= rows > 0
    assert service.read(CONFIG) == '[sampler.process]\ninterval = "500ms"\n'
    assert service.show("MemoryMax") == str(600 << 20)
    assert len(service.run("ls", "/opt/evergauge/releases").stdout.split()) == 1


@pytest.fixture
def workload(service: Machine) -> Iterator[Callable[[], tuple[str, int]]]:
    """A workload that runs beside the service; gives its state and its process. At the end nothing of it is left."""

    def look() -> tuple[str, int]:
        # An agent that has just started may not answer yet, and then not yet know any.
        listed = service.run("agentctl", "list-workloads", "--json", check=False).stdout or '{"workloads": []}'
        rows = json.loads(listed)["workloads"]
        return (rows[0]["state"], rows[0]["pid"]) if rows else ("", 0)

    assert "is running" in service.run("agentctl", "run", "job", "--restart", "always", "--", "sleep", "100000").stdout
    try:
        yield look
    finally:
        service.run("systemctl", "start", UNIT)
        wait_until(lambda: service.status().get("ready"), "the agent is ready", seconds=SLOW_SECONDS)
        service.run("agentctl", "stop", "job", check=False)
        service.run("agentctl", "forget", "job")
        # Without a record nobody asks for the keeper: the next test finds the agent as a newcomer has it.
        service.run("systemctl", "restart", UNIT)
        service.run("systemctl", "stop", KEEPER)


def test_workloads_run_on_whatever_becomes_of_the_service(service: Machine, workload: Callable[[], tuple[str, int]]) -> None:
    """A restart, a SIGKILL of everything, a keeper that is killed, an upgrade: the same process runs on, and is known again."""
    state, pid = workload()
    assert state == "running"
    (cgroup,) = (line for line in service.read(f"/proc/{pid}/cgroup").splitlines() if line.startswith("0::"))
    assert cgroup.endswith(f"/{PLACE}/job.workload")
    is_known = partial(_is_seen, workload, (state, pid))
    service.run("systemctl", "restart", UNIT)
    wait_until(is_known, "it is listed", seconds=SLOW_SECONDS)
    service.run("systemctl", "kill", "--kill-whom=all", "--signal=KILL", UNIT)
    wait_until(lambda: service.status().get("ready"), "the agent is ready again", seconds=SLOW_SECONDS)
    wait_until(is_known, "it is known again", seconds=SLOW_SECONDS)
    keeper = service.show("MainPID", KEEPER)
    service.run("systemctl", "kill", "--signal=KILL", KEEPER)
    wait_until(lambda: service.show("MainPID", KEEPER) not in ("0", keeper), "there is another keeper", seconds=SLOW_SECONDS)
    wait_until(is_known, "another keeper knows it", seconds=SLOW_SECONDS)
    (other,) = {agent.__version__, NEXT_VERSION} - {service.installed_version()}
    service.install(other)
    wait_until(lambda: service.status().get("version") == other, "the other version runs", seconds=SLOW_SECONDS)
    wait_until(is_known, "it is known to the other version", seconds=SLOW_SECONDS)


def _is_seen(workload: Callable[[], tuple[str, int]], expected: tuple[str, int]) -> bool:
    return workload() == expected


def test_the_place_of_workloads_stays_while_one_runs_and_its_stop_ends_them(
    service: Machine, workload: Callable[[], tuple[str, int]]
) -> None:
    """systemd knows the processes of the place also without its own one; `systemctl stop` ends them, and a restart works there."""
    _state, pid = workload()
    assert service.show("ControlGroup", PLACE).endswith(f"/{PLACE}")
    held = service.run("systemctl", "status", "--no-pager", PLACE).stdout
    assert "job.workload" in held
    holder = re.search(r"([0-9]+) sleep infinity", held)
    assert holder is not None, held
    service.run("sh", "-c", f"kill -KILL {holder[1]}")
    # The command that once started it stays in what is shown, as far as a terminal is wide.
    wait_until(lambda: holder[0] not in service.run("systemctl", "status", PLACE, check=False).stdout, "it has gone", seconds=60)
    assert (service.show("ActiveState", PLACE), workload()) == ("active", ("running", pid))
    service.run("systemctl", "stop", PLACE)
    assert service.run("test", "-e", f"/proc/{pid}", check=False).returncode != 0
    wait_until(lambda: workload()[0] == "running" and workload()[1] != pid, "its policy starts it again", seconds=SLOW_SECONDS)
    wait_until(lambda: service.show("ActiveState", PLACE) == "active", "the place is there again", seconds=SLOW_SECONDS)


def test_limits_are_in_force_or_refused_with_a_sentence(service: Machine, workload: Callable[[], tuple[str, int]]) -> None:
    """Where the v2 hierarchy has the controller the kernel's own file has the limit; where not, it is said and nothing starts."""
    assert workload()[0] == "running"
    place = next(path for path in PLACES if service.run("test", "-d", path, check=False).returncode == 0)
    has_controller = "memory" in service.read(f"{place}/cgroup.controllers").split()
    ended = service.run("agentctl", "run", "tight", "--memory", "100M", "--", "sleep", "100000", check=False)
    if has_controller:
        assert service.read(f"{place}/tight.workload/memory.max").strip() == str(100 << 20), ended.stderr
        assert "has ended" in service.run("agentctl", "stop", "tight").stdout
    else:
        assert (ended.returncode, "its limits (memory) cannot be set here" in ended.stderr) == (69, True), ended.stderr
        assert service.run("test", "-e", f"{place}/tight.workload", check=False).returncode != 0
        told = service.run("agentctl", "run", "tight", "--memory", "100M", "--without-limits", "--", "true").stdout
        assert told.startswith("tight is ")
        wait_until(lambda: "tight" in service.run("agentctl", "forget", "tight", check=False).stdout, "it is forgotten", seconds=60)
        return
    service.run("agentctl", "forget", "tight")


def test_removal_is_refused_while_a_workload_runs(service: Machine, workload: Callable[[], tuple[str, int]]) -> None:
    """With its name and what to do; service and workload go on."""
    state, pid = workload()
    ended = service.run("/checkout/scripts/install", "--remove", check=False)
    assert (ended.returncode, "workloads run: job; end them first: agentctl stop NAME" in ended.stderr) == (69, True), ended.stderr
    assert workload() == (state, pid)
    service.run("systemctl", "stop", UNIT)
    assert service.run("/checkout/scripts/install", "--remove", check=False).returncode == 69
    assert service.read(f"/proc/{pid}/comm") == "sleep\n"
    service.run("systemctl", "start", UNIT)
    assert "has ended" in service.run("agentctl", "stop", "job").stdout
    assert service.run("systemctl", "is-active", PLACE).stdout.strip() == "active"


def test_an_upgrade_that_does_not_become_ready_leaves_the_old_version_at_work(service: Machine) -> None:
    """A version that dies at its start is taken back: exit 1 with the reason, the old one runs, nothing of the new stays."""
    before, version = service.files(), service.installed_version()
    # What the upgrade finds on the host goes with it, too: the old version had no drop-in.
    with _emulated(service):
        ended = service.install(BROKEN_VERSION, check=False)
        assert service.read(RESCTRL_DROP_IN) == ""
    assert (ended.returncode, "RuntimeError: a defect" in ended.stderr) == (1, True), ended.stderr
    assert "the old version goes on" in ended.stderr
    service.wait_whole()
    assert service.status()["version"] == version
    assert {path for path in service.files() ^ before if not path.startswith("/var/lib/evergauge/")} == set()


def test_what_cannot_be_installed_is_said_in_a_sentence(service: Machine) -> None:
    """Not root, no systemd, no wheels, a foreign program in the way: its exit code, one line, and the service goes on."""
    main = service.show("MainPID")
    install = "/checkout/scripts/install"
    alone = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs /run && {install}"]
    foreign = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs /usr/local/bin && touch /usr/local/bin/agentd && {install}"]
    for words, code, sentence in (
        (["setpriv", "--reuid=65534", "--clear-groups", install], 77, "must be root"),
        (alone, 69, "systemd does not run this machine"),
        (foreign, 69, "/usr/local/bin/agentd is there and not ours"),
        ([install, "--wheels", "/etc"], 69, "holds no evergauge-*.whl"),
        ([install, "--start"], 64, "does not know --start"),
        ([install, "--reader-group", "no\nGroup"], 64, "takes a name of small letters"),
        ([install, "--remove", "--no-resctrl"], 64, "--no-resctrl goes with an installation"),
    ):
        ended = service.run(*words, check=False)
        assert (code, True) == (ended.returncode, sentence in ended.stderr), ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    assert main == service.show("MainPID")


def test_without_a_network_the_way_without_one_is_named(service: Machine) -> None:
    """The sentence has the option, and nothing is left of the try."""
    before = service.files()
    ended = service.run("env", "PIP_RETRIES=0", "/checkout/scripts/install", check=False)
    assert ended.returncode == 69, ended.stderr
    assert "scripts/install --make-wheels DIR where there is one" in ended.stderr.splitlines()[-1]
    assert "--wheels DIR here" in ended.stderr.splitlines()[-1]
    assert {path for path in service.files() ^ before if not path.startswith("/var/lib/evergauge/")} == set()
    service.wait_whole()


def test_removal_leaves_settings_and_data_and_with_purge_nothing(service: Machine) -> None:
    """--remove: no process, no file but theirs; --purge: the disk is as it was before. Both can be said twice."""
    service.wait_rows()
    remove = ("/checkout/scripts/install", "--remove")
    for _ in range(2):
        service.run(*remove)
        assert service.processes() == {}
        left = service.files() - service.fresh
        assert {path for path in left if not path.startswith(("/etc/evergauge", "/var/lib/evergauge"))} == set()
        assert CONFIG in left
        assert any(path.endswith(".parquet") for path in left)
        assert service.run("systemctl", "cat", UNIT, check=False).returncode != 0
    for _ in range(2):
        service.run(*remove, "--purge")
        assert service.files() == service.fresh
    assert service.run("ls", "/run/evergauge", check=False).returncode != 0
