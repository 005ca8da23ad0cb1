"""Which GPUs this agent can measure, and what is missing for others. PURE."""

from collections.abc import Iterable

from agent.doctor.facts import GpuFacts
from agent.doctor.finding import Finding, Usability

GPU = "gpu"
_INSTALL = "pip install 'evergauge[gpu]' into the agent's environment, and restart it"


def judge_gpu(gpu: GpuFacts | None) -> Iterable[Finding]:
    """One finding; none where nobody looked. It says what is there, not whether its driver answers: that says condition `gpu_…`."""
    if gpu is None:
        return
    if gpu.enabled == "false":
        yield Finding(GPU, Usability.UNUSED, "switched off by sampler.gpu.enabled")
    elif gpu.nvidia:
        yield _nvidia(gpu)
    elif gpu.drm_drivers:
        yield Finding(GPU, Usability.USABLE, f"{_drm(gpu)} through sysfs, kfd and fdinfo")
    else:
        yield Finding(GPU, Usability.UNUSED, "no driver of a GPU is loaded on this host, or none is visible here")


def _nvidia(gpu: GpuFacts) -> Finding:
    beside = f"; {_drm(gpu)} through sysfs, kfd and fdinfo" if gpu.drm_drivers else ""
    if not gpu.may_use_nvidia:
        remedy = (
            "let the agent's user read and write /dev/nvidiactl and /dev/nvidia*; in its systemd unit DeviceAllow=char-nvidia* rw"
        )
        return Finding(GPU, Usability.MISSING, f"this user may not use the NVIDIA driver{beside}", remedy)
    if gpu.has_binding:
        return Finding(GPU, Usability.USABLE, f"NVIDIA through nvidia-ml-py{beside}")
    if gpu.has_smi:
        detail = f"NVIDIA through nvidia-smi, every 10 s and without shares of processes: nvidia-ml-py is not installed{beside}"
        return Finding(GPU, Usability.LIMITED, detail, _INSTALL)
    return Finding(
        GPU, Usability.MISSING, f"NVIDIA's driver is there, and Python package nvidia-ml-py is not installed{beside}", _INSTALL
    )


def _drm(gpu: GpuFacts) -> str:
    return ", ".join(gpu.drm_drivers)
