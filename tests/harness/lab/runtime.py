"""A real containerd of a test's own, with the pods that a test makes in it. `scripts/lab/containerd` is started and ended."""

import errno
import json
import os
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, cast

from harness.lab.cri import ContainerSpec, CriClient, ListedContainer, PodSpec
from harness.lab.grpc import CallFailed
from harness.lab.place import Place
from harness.waiting import SLOWNESS, wait_until

LAB = Path(__file__).parents[3] / "scripts" / "lab" / "containerd"
END_SECONDS = 120.0 * SLOWNESS
# Of a cgroup's file whose directory has gone since it was opened.
_GONE = (errno.ENOENT, errno.ENODEV)


@dataclass
class LabPod:
    """A pod that runs, with the ids of its containers by their names."""

    spec: PodSpec
    sandbox_id: str
    containers: dict[str, str] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """Its uid."""
        return self.spec.uid

    def add(self, cri: CriClient, container: ContainerSpec) -> str:
        """A further container is made and started."""
        made = cri.create_container(self.sandbox_id, container, self.spec)
        self.containers[container.name] = made
        cri.start_container(made)
        return made


def uid_of_number(number: int) -> str:
    """A uid as Kubernetes makes them, different for each number."""
    return f"{number:08x}-1f2e-4d3c-8b5a-697887960a5b"


class LabRuntime:
    """Use it as a context: leaving it ends every process, mount and cgroup of the lab and asserts that none is left."""

    def __init__(self, folder: Path, version: str = "1.7", *, has_nri: bool = True, systemd: bool = False) -> None:
        self.place = Place(folder)
        self.version = version
        self._has_systemd = systemd
        self._words = [str(LAB), "start", str(folder), "--version", version, *([] if has_nri else ["--no-nri"])]
        self._words += ["--systemd-cgroups"] if systemd else []
        self._process: subprocess.Popen[str] | None = None
        self._numbers = iter(range(1, 1_000_000))
        self._lock = threading.Lock()
        self.pid = 0
        self.cgroup_root = Path()
        self._cgroup_folders: list[Path] = []
        self._cri: CriClient | None = None

    def __enter__(self) -> Self:
        self.place.folder.mkdir(parents=True, exist_ok=True)
        with (self.place.folder / "lab.output").open("wb") as output:
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True, start_new_session=True
            )
        try:
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        code = self._end()
        if kind is None:
            assert code == 0, f"the lab ended with {code}:\n{self.output}"
            assert [folder for folder in self._cgroup_folders if folder.exists()] == []
            assert str(self.place.folder) not in Path("/proc/mounts").read_text()

    def _end(self) -> int:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._close_client()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            return self._process.wait(END_SECONDS)
        finally:
            self._process.stdout.close()

    @property
    def output(self) -> str:
        """What the lab has said."""
        return (self.place.folder / "lab.output").read_text(errors="replace")

    def _order(self, word: str) -> dict[str, object]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the lab has ended:\n{self.output}"
        return cast(dict[str, object], json.loads(answer))

    def start(self) -> None:
        """Start containerd, also once more after `kill` or `stop`, and wait until it answers."""
        answer = self._order("start")
        self.pid = cast(int, answer["pid"])
        self.cgroup_root = Path(str(answer["cgroup_root"]))
        self._cgroup_folders = [Path(each) for each in cast(list[str], answer["cgroup_folders"])]
        wait_until(self._answers, "the runtime answers over CRI")

    def _answers(self) -> bool:
        try:
            return {"localhost/pause:1", "localhost/load:1"} <= self.cri.images()
        except (OSError, CallFailed):
            self._close_client()
            return False

    def kill(self) -> None:
        """End containerd as a crash would; pods live on."""
        self._close_client()
        self._order("kill")

    def stop(self) -> None:
        """End containerd as a service manager would; pods live on."""
        self._close_client()
        self._order("stop")

    @property
    def cri(self) -> CriClient:
        """The connection to it."""
        with self._lock:
            if self._cri is None:
                self._cri = CriClient(self.place.socket)
            return self._cri

    def _close_client(self) -> None:
        with self._lock:
            if self._cri is not None:
                self._cri.close()
                self._cri = None

    def spec(self, name: str = "", *, labels: dict[str, str] | None = None, host_pids: bool = False, uid: str = "") -> PodSpec:
        """A pod of the best-effort class, as a kubelet would ask for it."""
        with self._lock:
            number = next(self._numbers)
        uid = uid or uid_of_number(os.getpid() << 12 & 0xFFFFF000 | number)
        return PodSpec(
            name=name or f"pod-{number}",
            uid=uid,
            namespace="lab",
            labels=labels or {"app": name or f"pod-{number}"},
            cgroup_parent=self._cgroup_parent(uid),
            host_pids=host_pids,
        )

    def _cgroup_parent(self, uid: str) -> str:
        if self._has_systemd:
            # A dash stands for a level of slices.
            return f"kubepods-besteffort-pod{uid.replace('-', '_')}.slice"
        return f"/kubepods/besteffort/pod{uid}"

    def run(self, spec: PodSpec, *containers: ContainerSpec, cri: CriClient | None = None) -> LabPod:
        """A pod with its containers, each started in turn."""
        cri = cri or self.cri
        pod = LabPod(spec, cri.run_pod(spec))
        for container in containers:
            pod.add(cri, container)
        return pod

    def run_idle(self, name: str = "", threads: int = 1, *, labels: dict[str, str] | None = None, uid: str = "") -> LabPod:
        """A pod whose one container has so many threads that wait."""
        return self.run(self.spec(name, labels=labels, uid=uid), ContainerSpec("main", ("/bin/load", "threads", str(threads))))

    def run_many(self, count: int, make: Callable[[int, CriClient], LabPod], *, at_once: int = 4) -> list[LabPod]:
        """Pods made over several connections side by side."""
        clients = [CriClient(self.place.socket) for _ in range(at_once)]
        try:
            with ThreadPoolExecutor(at_once) as pool:
                jobs = [
                    pool.submit(lambda first, client: [make(n, client) for n in range(first, count, at_once)], first, client)
                    for first, client in enumerate(clients)
                ]
                return [pod for job in jobs for pod in job.result()]
        finally:
            for client in clients:
                client.close()

    def remove(self, pod: LabPod) -> None:
        """The pod ends and is forgotten."""
        self._remove(pod.sandbox_id, pod.uid)

    def remove_all(self) -> None:
        """No pod is left."""
        for sandbox_id, uid in self.cri.pods().items():
            self._remove(sandbox_id, uid)

    def _remove(self, sandbox_id: str, uid: str) -> None:
        self.cri.stop_pod(sandbox_id)
        self.cri.remove_pod(sandbox_id)
        # The runtime makes the pod's cgroup, but its removal is the kubelet's.
        tops = [folder / self._cgroup_parent(uid).strip("/") for folder in self._cgroup_folders]
        wait_until(lambda: not any(_is_left(top) for top in tops), f"the cgroups of pod {uid} are empty and gone")

    def container(self, pod: LabPod, name: str) -> ListedContainer:
        """How the runtime lists a container of a pod."""
        return self.cri.containers()[pod.containers[name]]

    def cgroup(self, pod: LabPod) -> Path:
        """The pod's folder in the hierarchy that an agent looks at."""
        if self._has_systemd:
            return self.cgroup_root / "kubepods.slice" / "kubepods-besteffort.slice" / pod.spec.cgroup_parent
        return self.cgroup_root / pod.spec.cgroup_parent.strip("/")

    def threads(self, pod: LabPod) -> set[int]:
        """All threads of the pod's cgroup and of those below it, the sandbox's own included, as the kernel lists them."""
        found: set[int] = set()
        for folder in _tree(self.cgroup(pod)):
            found |= _threads_of(folder)
        return found


def _tree(top: Path) -> list[Path]:
    """The folder and all below it, outermost first. What goes meanwhile, as with a container that ends, is left out."""
    return [Path(path) for path, _folders, _files in os.walk(top)]


def _threads_of(folder: Path) -> set[int]:
    name = "cgroup.threads" if (folder / "cgroup.threads").exists() else "tasks"
    try:
        return set(map(int, (folder / name).read_text().split()))
    except OSError as problem:
        if problem.errno in _GONE:
            return set()
        raise


def _is_left(top: Path) -> bool:
    """Remove a tree of cgroups; whether some is left. A process that was just killed is in its cgroup for a moment yet."""
    for path in reversed(_tree(top)):
        with suppress(OSError):
            path.rmdir()
    return top.exists()
