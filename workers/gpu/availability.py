"""Whether this host has GPUs that can be measured: known from files, without asking any driver."""

import os
from collections.abc import Mapping

from msgspec import Struct

from workers.gpu.file_sign import DRM, NO_GPU, NVIDIA, smi_path

LIBRARY = "libnvidia-ml.so.1"
NVIDIA_CONTROL = "/dev/nvidiactl"


class GpuSigns(Struct, frozen=True):
    """What was found. `drm_drivers` are the names of the kernel drivers of render nodes."""

    has_nvidia_driver: bool = False
    has_nvidia_library: bool = False
    has_smi: bool = False
    drm_drivers: tuple[str, ...] = ()

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets of GPUs that can be asked, each by a collector of its own."""
        has_nvidia = self.has_nvidia_driver or self.has_nvidia_library
        return ((NVIDIA,) if has_nvidia else ()) + ((DRM,) if self.drm_drivers else ())


def gpu_signs(environment: Mapping[str, str], root: str = "/") -> GpuSigns:
    """Look at `root`. A container may have the library without /proc/driver, in a folder that only LD_LIBRARY_PATH names."""
    folders = [folder for folder in environment.get("LD_LIBRARY_PATH", "").split(":") if folder]
    driver = ("proc/driver/nvidia/version", "dev/nvidiactl", "dev/dxg")
    return GpuSigns(
        has_nvidia_driver=any(os.path.exists(os.path.join(root, path)) for path in driver),
        has_nvidia_library=any(os.path.exists(os.path.join(folder, LIBRARY)) for folder in folders),
        has_smi=smi_path(environment) is not None,
        drm_drivers=_drm_drivers(os.path.join(root, "sys/class/drm")),
    )


def _drm_drivers(folder: str) -> tuple[str, ...]:
    try:
        nodes = [name for name in os.listdir(folder) if name.startswith("renderD")]
    except OSError:
        return ()
    found = set()
    for node in nodes:
        try:
            found.add(os.path.basename(os.readlink(os.path.join(folder, node, "device/driver"))))
        except OSError:
            continue
    return tuple(sorted(found - NO_GPU))
