"""What it costs to decode NRI's messages: the agent's own decoder beside the official protobuf runtime.

Both give the same values, with the same bounds. Each measurement is a process of its own that first imports what the control
plane has anyway; times are CPU time. The call is the StartContainer that containerd 2.1.9 sent (`tests/fixtures/nri`). The
synchronization has 1,000 pods and 3,000 containers as that containerd describes them, in parts of at most 4 MiB. The rival is in a
folder of its own.
"""

import argparse
import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from machine import circumstances

import workers.control_plane.container_runtime.event as event_module

RIVAL_PACKAGES = ("protobuf", "grpcio-tools")
FIXTURE = "containerd-2.1.9"
PODS, CONTAINERS_OF_A_POD = 1000, 3
PART_BYTES_MAX = 4 << 20
# How much of the socket is read at once.
READ_BYTES = 64 << 10
CALLS = 3000
DECODERS = ("own", "official")
Decode = tuple[Callable[[bytes], object], Callable[[list[bytes]], object]]


# ---- what is decoded -----------------------------------------------------------------------------


def payloads() -> Iterator[tuple[str, bytes]]:
    """Method and payload of each call that the recorded runtime made."""
    from fakes.nri_exchange import sent_by_runtime

    from workers.control_plane.nri.mux import FrameReader
    from workers.control_plane.nri.ttrpc import REQUEST, MessageReader, parse_request

    messages = MessageReader()
    for _, piece in FrameReader((1,)).read(sent_by_runtime(FIXTURE)):
        for message in messages.read(piece):
            if message.kind == REQUEST:
                request = parse_request(message.data)
                yield request.method, request.payload


def start_payload() -> bytes:
    """The recorded StartContainer, a StateChange of event 6."""
    return next(payload for method, payload in payloads() if method == "StateChange" and payload.startswith(b"\x08\x06"))


def synchronization() -> list[bytes]:
    """The recorded pod and container, many times and with other ids, in parts."""
    from workers.control_plane.nri.protobuf import fields, pack_bytes, pack_number

    recorded = next(payload for method, payload in payloads() if method == "Synchronize")
    pod, container = (recorded[begin:end] for _, _, begin, end in fields(recorded))
    records = []
    for number in range(PODS):
        # The last of a field counts, so ids and uid are simply said again.
        sandbox_id = f"{number:064x}".encode()
        records.append(pack_bytes(1, pod + pack_bytes(1, sandbox_id) + pack_bytes(3, f"uid-{number}".encode())))
        for place in range(CONTAINERS_OF_A_POD):
            own_id = f"{number * CONTAINERS_OF_A_POD + place:064x}".encode()
            records.append(pack_bytes(2, container + pack_bytes(1, own_id) + pack_bytes(2, sandbox_id)))
    parts = [b""]
    for record in records:
        if len(parts[-1]) + len(record) > PART_BYTES_MAX - 100:
            parts.append(b"")
        parts[-1] += record
    return [part + pack_number(3, 1) for part in parts[:-1]] + parts[-1:]


# ---- the decoders --------------------------------------------------------------------------------


def own() -> Decode:
    """The agent's."""
    from workers.control_plane.nri.message import SessionCounters, parse_container, parse_pod, parse_subject
    from workers.control_plane.nri.synchronization import Synchronization

    counters = SessionCounters()

    def start(payload: bytes) -> object:
        subject = parse_subject(payload, is_state_change=True)
        return parse_pod(subject.pod, counters), parse_container(subject.container)

    def synchronize(parts: list[bytes]) -> object:
        found = Synchronization(counters)
        for part in parts:
            for at in range(0, len(part), READ_BYTES):
                found.add_piece(part[at : at + READ_BYTES])
            found.end_part()
        return found.take()

    return start, synchronize


def official() -> Decode:
    """The official runtime's classes, and the conversion into the agent's values, made readable as those are."""
    from agent.model.foreign import readable

    nri_pb2: Any = importlib.import_module("nri_pb2")
    event = event_module
    states = list(event.ContainerState)

    def pod_of(pod: Any) -> event_module.RuntimePod:
        labels = {readable(key, 317): readable(value, 1024) for key, value in pod.labels.items()}
        uid, namespace, name = readable(pod.uid, 128), readable(pod.namespace, 253), readable(pod.name, 253)
        return event.RuntimePod(readable(pod.id, 128), uid, namespace, name, labels, readable(pod.linux.cgroup_parent))

    def container_of(container: Any) -> event_module.RuntimeContainer:
        own_id, sandbox_id, name = (
            readable(container.id, 128),
            readable(container.pod_sandbox_id, 128),
            readable(container.name, 253),
        )
        path = readable(container.linux.cgroups_path)
        return event.RuntimeContainer(own_id, sandbox_id, name, states[container.state], path, container.pid)

    def start(payload: bytes) -> object:
        change = nri_pb2.StateChange.FromString(payload)
        return pod_of(change.pod), container_of(change.container)

    def synchronize(parts: list[bytes]) -> object:
        pods: dict[str, event_module.RuntimePod] = {}
        containers: dict[str, event_module.RuntimeContainer] = {}
        for part in parts:
            message = nri_pb2.Synchronize.FromString(part)
            pods.update((pod.sandbox_id, pod) for pod in map(pod_of, message.pods))
            containers.update((container.id, container) for container in map(container_of, message.containers))
        return event.Synchronized(tuple(pods.values()), tuple(containers.values()))

    return start, synchronize


# ---- one measurement, in a process of its own ----------------------------------------------------


def memory_kib(key: str) -> int:
    """`Pss` or `Rss` of this process, or its peak `VmHWM`."""
    path = "/proc/self/status" if key == "VmHWM" else "/proc/self/smaps_rollup"
    with open(path) as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{key}:"))


def measure(name: str, start_file: str, parts_file: str) -> dict[str, float]:
    """Import, memory, and times of one decoder. Memory is what was added to it."""
    gc.collect()
    pss, rss = memory_kib("Pss"), memory_kib("Rss")
    begun = time.process_time_ns()
    start, synchronize = {"own": own, "official": official}[name]()
    result: dict[str, float] = {"import_ms": (time.process_time_ns() - begun) / 1e6}
    gc.collect()
    result |= {"import_pss_kib": memory_kib("Pss") - pss, "import_rss_kib": memory_kib("Rss") - rss}
    payload = Path(start_file).read_bytes()
    times = []
    for _ in range(CALLS):
        begun = time.process_time_ns()
        start(payload)
        times.append(time.process_time_ns() - begun)
    result["start_first_us"], result["start_us"] = times[0] / 1e3, statistics.median(times) / 1e3
    result["start_p99_us"] = statistics.quantiles(times, n=100)[98] / 1e3
    data = Path(parts_file).read_bytes()
    sizes = json.loads(Path(f"{parts_file}.sizes").read_text())
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    parts = [data[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    del data
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_kib("Rss")
    begun = time.process_time_ns()
    whole = synchronize(parts)
    result["synchronize_ms"] = (time.process_time_ns() - begun) / 1e6
    result["synchronize_peak_kib"] = memory_kib("VmHWM") - before
    result["synchronize_kept_kib"] = memory_kib("Rss") - before
    assert len(getattr(whole, "containers")) == PODS * CONTAINERS_OF_A_POD  # noqa: B009 - either decoder's
    return result


# ---- the whole -----------------------------------------------------------------------------------


def rival_folder() -> Path:
    """Where the official runtime and the classes that protoc makes are; made at the first run."""
    from supervisors.toolchain import FOLDER

    folder = FOLDER / "nri_decoder"
    if not (folder / "nri_pb2.py").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
        subprocess.run([*pip, *RIVAL_PACKAGES], check=True)
        here = Path(__file__).parent
        words = [sys.executable, "-m", "grpc_tools.protoc", f"-I{here}", f"--python_out={folder}", "nri.proto"]
        subprocess.run(words, check=True, env=os.environ | {"PYTHONPATH": str(folder)})
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=False)
    return folder


def main() -> None:
    """Measure each decoder in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--measure", nargs=3, metavar=("DECODER", "START", "PARTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    document: dict[str, Any] = circumstances()
    folder = rival_folder()
    start_file, parts_file = folder / "start", folder / "parts"
    parts = synchronization()
    start_file.write_bytes(start_payload())
    parts_file.write_bytes(b"".join(parts))
    Path(f"{parts_file}.sizes").write_text(json.dumps([len(part) for part in parts]))
    document["start_bytes"] = start_file.stat().st_size
    document["synchronize_bytes"] = [len(part) for part in parts]
    environment = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{folder}"}
    results: dict[str, list[dict[str, float]]] = {name: [] for name in DECODERS}
    for _ in range(options.repeats):
        for name in DECODERS:
            words = [sys.executable, __file__, "--measure", name, str(start_file), str(parts_file)]
            output = subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout
            results[name].append(json.loads(output))
    for name, runs in results.items():
        document[name] = {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
