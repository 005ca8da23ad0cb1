"""Why nothing is known of a set of GPUs, in one sentence with its remedy. PURE."""

from typing import NamedTuple

# Words of a collector.
NO_BINDING, NO_LIBRARY, NO_DRIVER, MISMATCH, NOT_ALLOWED = "no_binding", "no_library", "no_driver", "mismatch", "not_allowed"
NO_DEVICE, FAILED, SMI_FAILED, SMI_GARBAGE = "no_device", "failed", "smi_failed", "smi_garbage"
TOO_OLD = "too_old"


class Sentence(NamedTuple):
    """What is wrong and what to do."""

    problem: str
    remedy: str


_SENTENCES = {
    NO_BINDING: Sentence(
        "Python package nvidia-ml-py is not installed", "pip install 'evergauge[gpu]' into the agent's environment, and restart it"
    ),
    NO_LIBRARY: Sentence(
        "libnvidia-ml.so.1 is not found, and nvidia-smi neither",
        "install the driver's libraries; in a container run it with the NVIDIA runtime and NVIDIA_DRIVER_CAPABILITIES=utility",
    ),
    NO_DRIVER: Sentence("the NVIDIA kernel driver is not loaded", "modprobe nvidia, or install the driver for this kernel"),
    MISMATCH: Sentence(
        "the driver's library and its kernel module are of different versions", "reload the module, or boot: an update replaced one"
    ),
    NOT_ALLOWED: Sentence("the driver refuses this user", "let the agent's user read and write /dev/nvidiactl and /dev/nvidia*"),
    NO_DEVICE: Sentence("the driver knows no GPU", "look for it with lspci and in the kernel log"),
    TOO_OLD: Sentence("the driver is too old: its library lacks what is needed first", "install driver 450 or later"),
    FAILED: Sentence("the driver's library fails", "look at the kernel log for NVRM or amdgpu"),
    SMI_FAILED: Sentence("nvidia-smi fails, and there is no libnvidia-ml.so.1", "run nvidia-smi by hand, and follow what it says"),
    SMI_GARBAGE: Sentence("what nvidia-smi prints is no table", "pip install 'evergauge[gpu]', which does not need nvidia-smi"),
}


def sentence_of(word: str, detail: str) -> Sentence:
    """Of a word that a collector said; an unknown one is the library's failure."""
    found = _SENTENCES.get(word, _SENTENCES[FAILED])
    return Sentence(f"{found.problem} ({detail})" if detail else found.problem, found.remedy)


def stuck_sentence(pid: int, state: str) -> Sentence:
    """Of a collector that does not come back; `state` is the kernel's letter, empty for one of an earlier worker."""
    who = f"process {pid}" if state else f"process {pid} of an earlier worker"
    where = " inside the kernel" if state == "D" else ""
    return Sentence(
        f"the driver does not answer; {who} waits for it{where} and is left alone",
        f"look at the kernel log for Xid, NVRM or amdgpu; the driver is asked again when it answers or process {pid} is gone, "
        "and killing that process can freeze the GPU until a reset",
    )
