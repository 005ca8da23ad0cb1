"""The part of the benchmark that touches the machine: sets up, makes the namespaces, and cleans up whatever happens."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from supervisors import options, toolchain

# linux/prctl.h
PR_SET_PDEATHSIG = 1
# sysexits.h
UNAVAILABLE = 69
CGROUP_SECONDS = 10.0


def main() -> int:
    """Set up, measure, draw. Gives the exit code."""
    wanted = options.parse(sys.argv[1:])
    if os.geteuid() != 0:
        return _give_up("must be root: the supervisors run in a pid namespace, a mount namespace and cgroups of their own")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        tools = toolchain.set_up(_say)
    except toolchain.SetUpError as failure:
        return _give_up(str(failure))
    with _folder() as folder, _cgroups() as cgroups:
        order = {"toolchain": tools.to_json(), "options": wanted.to_json(), "cgroups": cgroups}
        (folder / "order.json").write_text(json.dumps(order))
        code = _measure(folder)
        results = folder / "results.json"
        if results.exists():
            _keep(results, wanted, tools)
    return code


def _measure(folder: Path) -> int:
    """Run the rest in namespaces; when this process dies, however it dies, the kernel ends all that is in them."""
    command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    libc = ctypes.CDLL(None)
    namespace = subprocess.Popen(
        [*command, sys.executable, "-m", "supervisors.inside", str(folder)],
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    try:
        # Ctrl-C reaches the process that measures, too: it ends what it has started, and says what it has measured so far.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return namespace.wait()
    finally:
        namespace.kill()
        namespace.wait()


def _keep(results: Path, wanted: options.Options, tools: toolchain.Toolchain) -> None:
    if wanted.json_path:
        shutil.copyfile(results, wanted.json_path)
    if not wanted.png_path:
        return
    if "matplotlib" in tools.missing:
        _say(f"no picture: {tools.missing['matplotlib']}")
        return
    picture = str(Path(__file__).with_name("render.py"))
    subprocess.run([tools.python, picture, str(results), wanted.png_path], check=True)


@contextmanager
def _folder() -> Iterator[Path]:
    # Short: the paths of sockets below it are limited.
    base = Path("/tmp")
    for left in _left_behind(base, "eg-bench-"):
        shutil.rmtree(left)
    folder = base / f"eg-bench-{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _cgroups() -> Iterator[list[str]]:
    """A group of our own in each hierarchy that systemd keeps its units in; none where they cannot be made."""
    groups = []
    try:
        for parent in _hierarchies():
            for left in _left_behind(parent, "evergauge-bench-"):
                _remove_group(left)
            with suppress(OSError):
                group = parent / f"evergauge-bench-{os.getpid()}"
                group.mkdir()
                groups.append(str(group))
        yield groups
    finally:
        for made in groups:
            _remove_group(Path(made))


def _left_behind(parent: Path, prefix: str) -> list[Path]:
    """What an earlier run has left that was killed outright; the kernel had ended its processes then."""
    return [path for path in parent.glob(f"{prefix}*") if not Path(f"/proc/{path.name.removeprefix(prefix)}").exists()]


def _hierarchies() -> Iterator[Path]:
    """Where this process is in the hierarchy of systemd's own and in that of cgroup v2."""
    unified = Path("/sys/fs/cgroup/unified")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            yield Path("/sys/fs/cgroup/systemd") / path.lstrip("/")
        elif not controllers:
            yield (unified if unified.is_dir() else Path("/sys/fs/cgroup")) / path.lstrip("/")


def _remove_group(group: Path) -> None:
    """All processes in it are dead already: their namespace has ended. The kernel may need a moment to know."""
    end_at = time.monotonic() + CGROUP_SECONDS
    folders = sorted((path for path in [group, *group.rglob("*")] if path.is_dir()), key=lambda path: -len(path.parts))
    for folder in folders:
        while True:
            try:
                folder.rmdir()
                break
            except OSError:
                if time.monotonic() > end_at:
                    raise
                time.sleep(0.02)


def _say(text: str) -> None:
    print(f"supervision: {text}", file=sys.stderr, flush=True)


def _give_up(text: str) -> int:
    print(f"scripts/bench/supervision: {text}", file=sys.stderr)
    return UNAVAILABLE


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
