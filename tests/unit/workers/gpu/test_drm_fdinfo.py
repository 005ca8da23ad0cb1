"""What DRM drivers say of a descriptor, in the forms of linux/Documentation/gpu/drm-usage-stats.rst."""

import pytest

from workers.gpu.drm_fdinfo import parse_fdinfo

# The form of amdgpu since Linux 6.12: drivers/gpu/drm/amd/amdgpu/amdgpu_fdinfo.c.
AMDGPU = """pos:\t0
flags:\t02100002
mnt_id:\t26
ino:\t1076
drm-driver:\tamdgpu
drm-client-id:\t41
drm-pdev:\t0000:03:00.0
pasid:\t32771
drm-total-vram:\t620 KiB
drm-resident-vram:\t512 KiB
drm-memory-vram:\t500 KiB
drm-total-gtt:\t32 KiB
drm-resident-gtt:\t32 KiB
drm-engine-gfx:\t1837000 ns
drm-engine-compute:\t0 ns
"""
# The form of i915 with several equal engines: Documentation/gpu/drm-usage-stats.rst, drm-engine-capacity.
I915 = """drm-driver: i915
drm-pdev: 0000:00:02.0
drm-client-id: 7
drm-engine-render: 9288864723 ns
drm-engine-video: 200 ns
drm-engine-capacity-video: 2
drm-total-local0: 4096
drm-resident-local0: 2048
drm-resident-system0: 1 MiB
"""


def test_amdgpu_has_engines_and_memory_of_the_device() -> None:
    """System memory (gtt) is not on it; the older name of the same region is not added."""
    client = parse_fdinfo(AMDGPU)
    assert client is not None
    assert (client.pdev, client.client, client.driver) == ("0000:03:00.0", 41, "amdgpu")
    assert client.busy_ns == {"gfx": 1_837_000, "compute": 0}
    assert client.memory_bytes == 512 << 10


def test_equal_engines_are_one_and_a_size_without_unit_is_bytes() -> None:
    """Two video engines that ran for 200 ns together were busy for 100."""
    client = parse_fdinfo(I915)
    assert client is not None
    assert client.busy_ns == {"render": 9_288_864_723, "video": 100}
    assert client.memory_bytes == 2048


@pytest.mark.parametrize("text", ["", "pos:\t0\n", "drm-pdev: 0\n", "drm-client-id: 7\n", "drm-client-id: x\ndrm-pdev: 0\n"])
def test_what_is_no_client_is_none(text: str) -> None:
    """Other descriptors, and those without what they are known by."""
    assert parse_fdinfo(text) is None


def test_memory_that_is_not_said_is_absent() -> None:
    """And garbage is no number."""
    client = parse_fdinfo("drm-client-id: 7\ndrm-pdev: p\ndrm-resident-vram: 5 parsecs\ndrm-engine-gfx: many ns\n")
    assert client is not None
    assert (client.memory_bytes, client.busy_ns) == (None, {})


@pytest.mark.parametrize("length", range(len(AMDGPU)))
def test_every_beginning_is_read(length: int) -> None:
    """Without an exception."""
    parse_fdinfo(AMDGPU[:length])
