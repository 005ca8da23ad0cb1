"""Memory of the control plane with many pods, and that of the example plugin, which keeps nothing."""

from fakes.nri_agent import is_true
from fakes.nri_dialect import container_of, pod_of
from fakes.nri_runtime import NriRuntime
from harness.proc import memory
from harness.waiting import wait_until
from resctrl_bench.figures import Figure, Section

from nri_bench.bench import Bench, control_plane_pid
from nri_bench.rival import rival

MUST_MB = 30.0
MB = 1_000_000
SETTLE_SECONDS = 120.0
PADDING_BYTES = 1_200


def measure(bench: Bench) -> Section:
    """Both get the same synchronisation, in parts where it is long, and are looked at when they are idle."""
    options = bench.options
    with bench.world("m", ids=options.memory_pods) as world:
        _fill(bench, world.runtime)
        with world.agent() as agent:
            wait_until(
                lambda: is_true(agent, world.runtime) and len(world.emulator.groups()) == options.memory_pods,
                "all pods are known and grouped",
                seconds=SETTLE_SECONDS,
                pause_seconds=0.2,
            )
            pid = control_plane_pid(agent)
            settled = memory(pid)
            chunks = len(world.runtime.chunks)
            world.runtime.drop()
            wait_until(lambda: world.runtime.synchronisations == 2, "it is synchronised again")
            wait_until(lambda: is_true(agent, world.runtime), "all pods are known again")
            again = memory(pid)
        empty_mb, full_mb, remark = _rival(bench)
    return Section(
        "memory",
        f"{options.memory_pods:,} pods with {options.memory_pods * options.memory_containers:,} containers, in {chunks} messages",
        [
            Figure("control plane, proportional memory", settled.pss_bytes / MB, "MB", MUST_MB),
            Figure("control plane, its own memory alone", settled.private_bytes / MB, "MB"),
            Figure("control plane after a second synchronisation, proportional memory", again.pss_bytes / MB, "MB", MUST_MB),
            Figure("example plugin without pods, proportional memory", empty_mb, "MB"),
            Figure("example plugin, proportional memory", full_mb, "MB"),
        ],
        {},
        [remark] if remark else [],
    )


def _fill(bench: Bench, runtime: NriRuntime) -> None:
    for number in range(bench.options.memory_pods):
        pod = pod_of(number)
        containers = [container_of(pod, index, padding=PADDING_BYTES) for index in range(bench.options.memory_containers)]
        runtime.start_pod(pod, *containers)


def _rival(bench: Bench) -> tuple[float | None, float | None, str]:
    folder = bench.new_folder("v")
    with NriRuntime(folder / "nri.sock") as runtime:
        with rival(bench, runtime.path) as empty:
            if isinstance(empty, str):
                return None, None, empty
            runtime.wait_plugin()
            empty_mb = memory(empty).pss_bytes / MB
        runtime.drop()
        _fill(bench, runtime)
        before = runtime.synchronisations
        with rival(bench, runtime.path) as full:
            assert isinstance(full, int)
            wait_until(lambda: runtime.synchronisations > before, "the example plugin is synchronised")
            return empty_mb, memory(full).pss_bytes / MB, ""
