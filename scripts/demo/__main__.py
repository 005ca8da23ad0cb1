"""A hub and five nodes on this machine, with changing loads, one noisy neighbour among them.

    scripts/run --demo [--for SECONDS] [--nodes N]

As root each node has namespaces of its own for processes and host name, a part of the cgroup tree, and an emulated resctrl;
else the nodes share what this user sees. All that is started and made ends with the program.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from demo.plan import NODES, DemoNode

BIN = Path(sys.executable).parent
START_SECONDS = 60.0
HUB_PORT, JOIN_PORT, PAGE_PORT, NODE_PORT = 9465, 9466, 9467, 9470
_V2_PLACES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


class DemoError(Exception):
    """A sentence for the person who started it."""


class Demo:
    """All that was started, in the order in which it was."""

    def __init__(self, folder: Path, nodes: tuple[DemoNode, ...]) -> None:
        self.folder = folder
        self.nodes = nodes
        self.is_root = os.geteuid() == 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self.trees: list[Path] = []
        self.pages: dict[str, int] = {}

    def start_hub(self) -> str:
        """Start the hub; where its page is."""
        data, join, page = (free_port(port) for port in (HUB_PORT, JOIN_PORT, PAGE_PORT))
        flags = {
            "--hub-listen": f"tcp://127.0.0.1:{data}", "--hub-join-port": str(join), "--hub-port": str(page),
            "--hub-name": "demo", "--host-name": "demo-hub", "--gateway-address": "", "--sampler-process-enabled": "false",
        }  # fmt: skip
        self._agent("hub", flags, prefix=())
        self._wait("hub")
        return f"http://127.0.0.1:{page}/"

    def start_node(self, node: DemoNode, number: int) -> None:
        """Join a node, start it, and give it its loads."""
        invitation = self.ctl("hub", "hub", "invite").stdout.strip()
        self.ctl(node.host, "join", invitation, "--host", node.host)
        page = self.pages[node.host] = free_port(NODE_PORT + number)
        flags = {"--host-name": node.host, "--gateway-port": str(page)}
        prefix: tuple[str, ...] = ()
        before = ""
        if self.is_root:
            prefix = ("unshare", "--fork", "--pid", "--mount-proc", "--uts", "--kill-child")
            if (tree := self._tree(node.host)) is not None:
                flags["--kernel-cgroup-root"] = str(tree)
            if Path("/dev/fuse").exists():
                mount = self.folder / node.host / "resctrl"
                mount.mkdir(parents=True)
                flags["--resctrl-mount"] = str(mount)
                before = f"{BIN}/agentctl emulate-resctrl --mount {mount} >/dev/null 2>&1 & "
        self._agent(node.host, flags, prefix=prefix, before=before)

    def give_loads(self, node: DemoNode) -> None:
        """Its workloads."""
        self._wait(node.host)
        program = str(Path(__file__).with_name("load.py"))
        for load in node.loads:
            words = [
                sys.executable,
                program,
                str(load.share),
                str(load.wave_seconds),
                str(load.mib),
                "noisy" if load.noisy else "calm",
            ]
            self.ctl(node.host, "run", load.name, "--without-limits", "--", *words)

    def ctl(self, host: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """One command of agentctl for an agent of the demonstration. *Raises:* DemoError with its sentence."""
        state, runtime = self._folders(host)
        command = [str(BIN / "agentctl"), "--state-dir", str(state), "--runtime-dir", str(runtime), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if done.returncode:
            raise DemoError(f"{host}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def check(self) -> None:
        """*Raises:* DemoError where one of the agents has ended."""
        for process in self.processes:
            if process.poll() is not None:
                raise DemoError(f"an agent of the demonstration ended with {process.returncode}; see {self.folder}/*/log")

    def end(self) -> None:
        """End everything, the newest first."""
        for process in reversed(self.processes):
            # Its whole group: unshare passes no signal on.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for tree in self.trees:
            end_tree(tree)
        for mount in self.folder.glob("*/resctrl"):
            subprocess.run(["umount", "-l", str(mount)], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _agent(self, host: str, flags: dict[str, str], *, prefix: tuple[str, ...], before: str = "") -> None:
        state, runtime = self._folders(host)
        state.parent.mkdir(parents=True, exist_ok=True)
        folders = {"--state-dir": str(state), "--runtime-dir": str(runtime)}
        words = [f"{BIN}/agentd", *(word for flag, value in (folders | flags).items() for word in (flag, value))]
        command = [*prefix, *(["sh", "-c", f'{before}exec "$@"', "sh", *words] if before else words)]
        with (self.folder / host / "log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            )

    def _folders(self, host: str) -> tuple[Path, Path]:
        return self.folder / host / "s", self.folder / host / "r"

    def _wait(self, host: str) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            self.check()
            try:
                self.ctl(host, "ready")
            except (DemoError, subprocess.TimeoutExpired) as failure:
                if time.monotonic() > end:
                    raise DemoError(f"{host} is not ready after {START_SECONDS:g} s: {failure}") from failure
                time.sleep(0.2)
            else:
                return

    def _tree(self, host: str) -> Path | None:
        """A part of the cgroup tree of its own. *Absent:* None where there is no v2 hierarchy that can be written to."""
        for root in _V2_PLACES:
            if (root / "cgroup.controllers").exists():
                tree = root / f"evergauge-demo-{os.getpid()}-{host}"
                with suppress(OSError):
                    tree.mkdir()
                    self.trees.append(tree)
                    return tree
        return None


def end_tree(tree: Path) -> None:
    """Kill everybody in it, and remove it."""
    with suppress(OSError):
        (tree / "cgroup.kill").write_text("1")
    for _ in range(100):
        folders = sorted((path for path in tree.rglob("*") if path.is_dir()), reverse=True)
        for folder in (*folders, tree):
            with suppress(OSError):
                folder.rmdir()
        if not tree.exists():
            return
        time.sleep(0.05)


def free_port(wanted: int) -> int:
    """This port of loopback, or another one where it is taken."""
    for port in (wanted, 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as server:
            return int(server.getsockname()[1])
    raise DemoError("no port of loopback is free")


def main() -> int:
    """Run it until Ctrl-C, or as long as `--for` says."""
    parser = argparse.ArgumentParser(prog="scripts/run --demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--for", dest="seconds", type=float, default=float("inf"), help="end after so many seconds")
    parser.add_argument("--nodes", type=int, default=len(NODES), choices=range(1, len(NODES) + 1), help="how many of them")
    options = parser.parse_args()
    demo = Demo(Path(tempfile.mkdtemp(prefix="eg-demo-", dir="/tmp")), NODES[: options.nodes])

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    code = 0
    try:
        say("a hub and its nodes start; all of it ends with Ctrl-C")
        page = demo.start_hub()
        for number, node in enumerate(demo.nodes):
            demo.start_node(node, number)
        for node in demo.nodes:
            demo.give_loads(node)
        say(f"the fleet     {page}")
        for host, port in demo.pages.items():
            say(f"{host:<13} http://127.0.0.1:{port}/")
        say(f"by hand       {BIN}/agentctl --runtime-dir {demo.folder}/hub/r fleet nodes")
        if not demo.is_root:
            say("not root: nodes share what this user sees, and there is no emulated resctrl")
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            demo.check()
            time.sleep(min(1.0, max(0.0, end - time.monotonic())))
    except KeyboardInterrupt:
        pass
    except DemoError as failure:
        print(f"scripts/run --demo: {failure}", file=sys.stderr)
        code = 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        say("ending")
        demo.end()
    return code


def say(text: str) -> None:
    """A line for the person."""
    print(f"demo: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
