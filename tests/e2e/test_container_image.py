"""The image without an engine: the Containerfile's own steps in a Debian, and an agent in it as the manifest starts one.

What an engine adds is not tried: pulling the base image, layers, its seccomp and AppArmor profiles.
"""

import http.client
import json
import os
import shlex
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.nri_node import Where, real_node
from fakes.nri_runtime import NriRuntime
from fakes.pod import node
from fakes.resctrl_mount import EmulatedResctrl
from harness.waiting import wait_until

CHECKOUT = Path(__file__).parents[2]
KUBERNETES = CHECKOUT / "scripts" / "kubernetes"
LAB = CHECKOUT / "scripts" / "lab"
# As the runtimes start every container that says `drop: [ALL]`.
NO_CAPABILITIES = "-all"

# The first test waits for the Debian too, which is made once on a machine.
pytestmark = [pytest.mark.timeout(500), pytest.mark.skipif(os.geteuid() != 0, reason="a root file system of its own needs root")]


def _said(*words: str, **options: Any) -> str:
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False, **options)
    assert ended.returncode == 0, f"{words}:\n{ended.stdout}{ended.stderr}"
    said: str = ended.stdout.strip()
    return said


def _stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage of the Containerfile: the word, and the rest of its line."""
    stages: list[list[tuple[str, str]]] = []
    for line in (KUBERNETES / "Containerfile").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        if word and not word.startswith("#"):
            stages[-1].append((word, rest))
    return stages


def _copy(root: Path, rest: str) -> None:
    """COPY of the checkout: folders' contents, or files into a folder."""
    *sources, target = rest.split()
    there = root / target.strip("/")
    for source in sources:
        if (CHECKOUT / source).is_dir():
            shutil.copytree(CHECKOUT / source, there, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            there.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / source, there)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root file system after all steps; those of apt are done already, for the Debian of the tests has the same packages."""
    root = tmp_path_factory.mktemp("image")
    with tarfile.open(Path(_said(str(LAB / "systemd"), "image")) / "root.tar") as archive:
        archive.extractall(root, filter="fully_trusted")
    shutil.copytree(_said(str(LAB / "systemd"), "wheels"), root / "wheels")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    build, _final = _stages()
    for word, rest in build:
        if word == "COPY":
            _copy(root, rest)
        elif word == "RUN" and not rest.startswith("apt-get"):
            _said("chroot", str(root), "sh", "-c", rest, env=environment)
    shutil.rmtree(root / "source")
    shutil.rmtree(root / "wheels")
    yield root
    shutil.rmtree(root)


def _final(word: str) -> str:
    (rest,) = (rest for each, rest in _stages()[-1] if each == word)
    return rest


def _variables() -> dict[str, str]:
    """ENV of the image."""
    return dict(word.split("=", 1) for word in shlex.split(_final("ENV")))


def _free_port() -> int:
    """A port that nobody has, and that the kernel gives to nobody who asks for any."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    # Where to look first differs, should this test run twice on one machine.
    for step in range(1000):
        port = first - 1 - (os.getpid() + step) % 5000
        with suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port
    raise AssertionError(f"no port below {first} is free")


def _manifest(*sets: str) -> dict[str, Any]:
    words = [str(LAB / "helm"), "template", "evergauge", str(KUBERNETES / "chart")]
    text = _said(*words, *(word for each in sets for word in ("--set", each)))
    ended = subprocess.run(
        [str(LAB / "kubernetes-schemas"), "json"], input=text, capture_output=True, text=True, timeout=300, check=True
    )
    pod: dict[str, Any] = json.loads(ended.stdout)[0]["spec"]["template"]["spec"]
    return pod


def _mounts(pod: dict[str, Any], root: Path, folders: dict[str, Path]) -> list[str]:
    """The commands that mount what the manifest says; `folders` stand for those of the node."""
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    # A runtime makes the points of its mounts in the image before that is read-only.
    commands = [f"mount --rbind {root} {root}", f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
    # Only the kernel makes folders in the real one.
    commands += [f"mount -t tmpfs tmpfs {root}/sys"]
    for mount in container["volumeMounts"]:
        point = f"{root}{mount['mountPath']}"
        commands.append(f"mkdir -p {point}")
        if "hostPath" in volumes[mount["name"]]:
            commands.append(f"mount --rbind {shlex.quote(str(folders[mount['name']]))} {point}")
        else:
            commands.append(f"mount -t tmpfs tmpfs {point}")
        if mount.get("readOnly"):
            commands.append(f"mount -o remount,bind,ro {point}")
    return [*commands, f"mount -o remount,bind,ro {root}/sys", f"mount -o remount,bind,ro {root}"]


@contextmanager
def _agent(image: Path, pod: dict[str, Any], folders: dict[str, Path]) -> Iterator[subprocess.Popen[bytes]]:
    """An agent with the manifest's folders, variables, user and capabilities; its end is the end of everything."""
    (container,) = pod["containers"]
    capabilities = container["securityContext"]["capabilities"]
    assert (capabilities["drop"], container["securityContext"]["allowPrivilegeEscalation"]) == (["ALL"], False)
    kept = ",".join([NO_CAPABILITIES, *(f"+{name.lower()}" for name in capabilities["add"])])
    environment = _variables()
    filled = {"spec.nodeName": "node-7"}
    for each in container["env"]:
        environment[each["name"]] = each.get("value") or filled[each["valueFrom"]["fieldRef"]["fieldPath"]]
    start = [
        "chroot",
        str(image),
        "setpriv",
        f"--bounding-set={kept}",
        "--inh-caps=-all",
        "--no-new-privs",
        *json.loads(_final("ENTRYPOINT")),
    ]
    script = "set -e\n" + "\n".join([*_mounts(pod, image, folders), f"exec {shlex.join(start)}"])
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    path = {"PATH": f"{environment['PATH']}:/usr/sbin:/usr/bin"}
    with subprocess.Popen(command, env=environment | path, stdin=subprocess.DEVNULL) as agent:
        try:
            yield agent
        finally:
            agent.terminate()
            assert agent.wait(60) == 0


def _exec(agent: subprocess.Popen[bytes], *words: str) -> str:
    """What a command prints that is started as `kubectl exec` does it: beside the agent, with its variables and kubelet's."""
    variables = Path(f"/proc/{agent.pid}/environ").read_text().rstrip("\0").split("\0")
    enter = ["nsenter", f"--target={agent.pid}", "--mount", f"--root=/proc/{agent.pid}/root", "--wd=/"]
    command = [*enter, "env", "-i", *variables, "KUBERNETES_SERVICE_HOST=192.0.2.1", *words]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout, ended.stderr
    return ended.stdout


def _answer(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def _probe(port: int, pod: dict[str, Any], name: str) -> int:
    """What kubelet is answered, or 0."""
    (container,) = pod["containers"]
    with suppress(OSError):
        return _answer(port, container[name]["httpGet"]["path"])[0]
    return 0


def _folders(tmp_path: Path, **more: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("state", "nri")}
    for folder in made.values():
        folder.mkdir()
    return made | {"cgroup": Path("/sys/fs/cgroup")} | more


def test_the_containerfile_copies_what_an_installation_is_made_of() -> None:
    """The same sources as scripts/install takes, each of them there; the entry is a program of the package."""
    build, final = _stages()
    sources = {source for word, rest in build if word == "COPY" for source in rest.split()[:-1]}
    (line,) = (line for line in (CHECKOUT / "scripts" / "install").read_text().splitlines() if line.strip().startswith("cp -R"))
    assert sources == set(line.partition("{")[2].partition("}")[0].split(","))
    assert all((CHECKOUT / source).exists() for source in sources)
    assert json.loads(_final("ENTRYPOINT")) == ["agentd"]
    assert {word for stage in (build, final) for word, _rest in stage} <= {
        "FROM", "RUN", "COPY", "ENV", "USER", "STOPSIGNAL", "ENTRYPOINT",
    }  # fmt: skip


def test_the_image_has_the_programs_and_nothing_that_installs_more(image: Path) -> None:
    """agentd and agentctl start; pip is gone; nsenter is there for the container that mounts resctrl."""
    path = _variables()["PATH"]
    for program in ("agentd", "agentctl"):
        assert _said("chroot", str(image), "env", f"PATH={path}", program, "--version").startswith(program)
    assert not list((image / "opt" / "evergauge").rglob("site-packages/pip"))
    _said("chroot", str(image), "env", f"PATH={path}", "nsenter", "--version")


def test_an_agent_is_ready_with_what_the_manifest_gives(image: Path, tmp_path: Path) -> None:
    """Read-only root, two capabilities, no NRI socket: both probes are answered, every worker is up, the node's folder has data."""
    port = _free_port()
    pod = _manifest(f"gateway.port={port}")
    folders = _folders(tmp_path)
    with _agent(image, pod, folders) as agent:
        wait_until(lambda: _probe(port, pod, "readinessProbe") == 200, "kubelet finds it ready", seconds=60)
        assert _probe(port, pod, "livenessProbe") == 200
        line = 'evergauge_worker_up{worker="sampler/process"} 1'
        wait_until(lambda: line in _answer(port, "/metrics")[1], "the sampler is shown to be up")
        held = Path(f"/proc/{agent.pid}/status").read_text()
        assert "CapBnd:\t0000000000081000" in held
        wait_until(lambda: list((folders["state"] / "spool").glob("*.spool")), "it stores")
        told = _exec(agent, "agentctl", "doctor", "--json")
        (found,) = (each for each in json.loads(told)["findings"] if each["topic"] == "NRI")
        assert (found["state"], "mount the folder of its socket here" in found["remedy"]) == ("missing", True), found


def test_groups_are_made_with_what_the_manifest_gives(image: Path, tmp_path: Path) -> None:
    """resctrl.enabled: a pod of the node gets its group and all its threads in it, without a further capability."""
    port = _free_port()
    pod = _manifest(f"gateway.port={port}", "resctrl.enabled=true")
    with node("image") as host, EmulatedResctrl(tmp_path / "emulated") as emulator:
        running = host.run(1, 3)
        folders = _folders(tmp_path, cgroup=host.root, resctrl=emulator.mount)
        with _agent(image, pod, folders):
            group = emulator.mount / "mon_groups" / f"pod_{running.uid}"
            wait_until(lambda: group.is_dir(), "the pod has a group", seconds=60)
            tasks = group / "tasks"
            wait_until(lambda: {int(line) for line in tasks.read_text().split()} == running.threads(), "all threads are in it")
            wait_until(lambda: _probe(port, pod, "readinessProbe") == 200, "kubelet finds it ready")


def test_a_container_starts_inside_its_group_with_what_the_manifest_gives(image: Path, tmp_path: Path) -> None:
    """Over a socket in a folder that is read-only for the agent, with nri.failIfUnavailable; the runtime answered on time."""
    port = _free_port()
    # Where other tests take the processors, a start may take longer than the usual limit; the limit is not what is tested here.
    slow = ("extraEnv[0].name=EVERGAUGE_NRI_START_DEADLINE", "extraEnv[0].value=1s")
    pod = _manifest(f"gateway.port={port}", "resctrl.enabled=true", "nri.failIfUnavailable=true", *slow)
    with EmulatedResctrl(tmp_path / "emulated") as emulator:
        folders = _folders(tmp_path, resctrl=emulator.mount)
        with (
            NriRuntime(folders["nri"] / "nri.sock") as runtime,
            real_node("image", runtime, emulator.mount) as host,
            _agent(image, pod, folders | {"cgroup": host.root}),
        ):
            runtime.wait_plugin(60)
            wait_until(lambda: _probe(port, pod, "readinessProbe") == 200, "kubelet finds it ready", seconds=60)
            running = host.run_pod(1)
            assert host.start(running, children=2).where is Where.INSIDE
            assert runtime.failed_operations == []
