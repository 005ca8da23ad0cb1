"""Names of the sets of GPUs, and where nvidia-smi is. Light: collectors import it."""

import os
from collections.abc import Mapping

NVIDIA, DRM = "nvidia", "drm"
# The word of an answer that came from nvidia-smi.
SMI_SOURCE = "nvidia-smi"
# Drivers of displays and of servers' own management chips have no processes on a GPU; NVIDIA's own is asked by NVML.
NO_GPU = frozenset({"ast", "mgag200", "simpledrm", "bochs-drm", "cirrus", "hibmc-drm", "virtio-pci", "nvidia"})


def smi_path(environment: Mapping[str, str]) -> str | None:
    """Where nvidia-smi is. *Absent:* nowhere on the search path."""
    for folder in environment.get("PATH", "").split(":"):
        path = os.path.join(folder, "nvidia-smi")
        if folder and os.access(path, os.X_OK):
            return path
    return None
