"""What the doctor says of GPUs: what is there, what is missing, and the remedy in one line."""

import pytest

from agent.doctor.facts import GpuFacts
from agent.doctor.finding import Finding, Usability
from agent.doctor.gpu_judgement import judge_gpu


def of(gpu: GpuFacts) -> Finding:
    """The only finding."""
    (found,) = judge_gpu(gpu)
    return found


@pytest.mark.parametrize(
    ("gpu", "state", "detail", "remedy"),
    [
        (GpuFacts(), Usability.UNUSED, "no driver of a GPU", ""),
        (GpuFacts(nvidia=True, has_binding=True), Usability.USABLE, "through nvidia-ml-py", ""),
        (GpuFacts(nvidia=True, has_smi=True), Usability.LIMITED, "through nvidia-smi", "evergauge[gpu]"),
        (GpuFacts(nvidia=True), Usability.MISSING, "not installed", "evergauge[gpu]"),
        (GpuFacts(nvidia=True, has_binding=True, may_use_nvidia=False), Usability.MISSING, "may not use", "DeviceAllow"),
        (GpuFacts(drm_drivers=("amdgpu", "i915")), Usability.USABLE, "amdgpu, i915 through sysfs", ""),
        (GpuFacts(nvidia=True, has_binding=True, drm_drivers=("i915",)), Usability.USABLE, "nvidia-ml-py; i915", ""),
        (GpuFacts(nvidia=True, enabled="false"), Usability.UNUSED, "switched off", ""),
    ],
)
def test_each_kind_of_host_has_its_word(gpu: GpuFacts, state: Usability, detail: str, remedy: str) -> None:
    """A remedy where something is missing, none where there is nothing to do."""
    found = of(gpu)
    assert (found.topic, found.state) == ("gpu", state)
    assert detail in found.detail
    assert remedy in found.remedy
    assert bool(found.remedy) == (state in (Usability.LIMITED, Usability.MISSING))


def test_where_nobody_looked_nothing_is_said() -> None:
    """As of packages."""
    assert list(judge_gpu(None)) == []
