"""What every benchmark says of the machine that it ran on."""

import os
import platform
import time
from typing import Any


def circumstances() -> dict[str, Any]:
    """What the machine is like before anything is measured."""
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "began_at": time.time(),
        "load_before": os.getloadavg()[0],
        "machine": {
            "cpus": os.cpu_count(),
            "cpu": models[0] if models else platform.machine(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
    }
