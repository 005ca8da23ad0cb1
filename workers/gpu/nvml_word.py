"""NVML's numbers in words: return codes as reasons, bits of held-back clocks as names. PURE, and light: the collector imports it.

*Source:* NVIDIA, "NVML API Reference", nvmlReturn_t and nvmlClocksEventReasons.
"""

NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, DRIVER_NOT_LOADED, TIMEOUT = 3, 4, 6, 9, 10
LIBRARY_NOT_FOUND, FUNCTION_NOT_FOUND, GPU_IS_LOST, RESET_REQUIRED, VERSION_MISMATCH = 12, 13, 15, 16, 18
NOT_READY, GPU_NOT_FOUND = 27, 28
# After these nothing can be asked of the device.
LOST = frozenset({GPU_IS_LOST, RESET_REQUIRED})

# The words are those of `agent.model.absence`, which the collector is too small to import.
_REASONS = {
    NOT_SUPPORTED: "unsupported",
    NO_PERMISSION: "no_permission",
    FUNCTION_NOT_FOUND: "not_in_driver",
    25: "not_in_driver",
    GPU_IS_LOST: "device_lost",
    RESET_REQUIRED: "device_lost",
}

_HELD_BACK = (
    (0x1, "idle"),
    (0x2, "application_clocks"),
    (0x4, "software_power_cap"),
    (0x8, "hardware_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "software_thermal"),
    (0x40, "hardware_thermal"),
    (0x80, "power_brake"),
    (0x100, "display_clocks"),
    (0x200, "board_limit"),
    (0x400, "reliability"),
)


def reason_of(code: int) -> str:
    """Why a call gave no value; any other code is the driver's own failure."""
    return _REASONS.get(code, "error")


def held_back_words(bits: int) -> str:
    """Why clocks are held back, joined by commas; empty: they are not. A bit that is not known yet is kept as `bit_N`."""
    words = [word for bit, word in _HELD_BACK if bits & bit]
    known = sum(bit for bit, _ in _HELD_BACK)
    words += [f"bit_{number}" for number in range(64) if bits & ~known & (1 << number)]
    return ",".join(words)
