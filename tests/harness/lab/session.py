"""A containerd for a person: `python -m harness.lab.session LAB VERSION PODS`; without pods a shell, with pods until Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.lab.runtime import LabRuntime


def main() -> None:
    """Start it, show where it is, wait for the person, end it."""
    program, version, count = sys.argv[1:]
    # However a person ends it, the folder goes too.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    try:
        with LabRuntime(folder, version) as runtime:
            for number in range(int(count)):
                runtime.run_idle(f"pod-{number + 1}")
            print(f"{runtime.cri.version()}; CRI {runtime.place.socket}; NRI {runtime.place.nri}")
            sockets = f"--nri-socket-path {runtime.place.nri} --cri-socket-path {runtime.place.socket}"
            print(f"scripts/run --kernel-cgroup-root {runtime.cgroup_root} {sockets}", flush=True)
            _wait(int(count), program, version, runtime)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(count: int, program: str, version: str, runtime: LabRuntime) -> None:
    if count:
        print("Ctrl-C ends it", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()
        return
    package = subprocess.run([program, "package", version], capture_output=True, text=True, check=True).stdout.strip()
    address = {"CONTAINERD_ADDRESS": str(runtime.place.socket), "CONTAINERD_NAMESPACE": "k8s.io"}
    path = f"{package}/usr/bin:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"
    subprocess.run(["bash"], env=os.environ | address | {"PATH": path}, check=False)


if __name__ == "__main__":
    main()
