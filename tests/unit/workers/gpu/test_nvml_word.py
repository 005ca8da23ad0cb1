"""NVML's numbers in words; the words are those of the agent."""

import pynvml
import pytest

from agent.model.absence import Absence
from workers.gpu import nvml_word
from workers.gpu.nvml_word import held_back_words, reason_of


@pytest.mark.parametrize("code", [*range(1, 31), 999])
def test_every_return_code_has_a_reason_of_the_closed_list(code: int) -> None:
    """Also one that nobody knows yet."""
    assert Absence(reason_of(code))


def test_codes_are_those_of_the_binding() -> None:
    """The collector compares numbers, so that it needs no class of an exception."""
    names = {"NOT_SUPPORTED", "NO_PERMISSION", "NOT_FOUND", "DRIVER_NOT_LOADED", "LIBRARY_NOT_FOUND", "FUNCTION_NOT_FOUND"}
    names |= {"GPU_IS_LOST", "RESET_REQUIRED", "TIMEOUT"}
    assert {name: getattr(nvml_word, name) for name in names} == {name: getattr(pynvml, f"NVML_ERROR_{name}") for name in names}
    assert pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH == nvml_word.VERSION_MISMATCH


def test_held_back_clocks_are_words() -> None:
    """None at all is an empty text, and a bit of a later driver keeps its number."""
    assert held_back_words(0) == ""
    bits = pynvml.nvmlClocksEventReasonGpuIdle | pynvml.nvmlClocksEventReasonSwPowerCap | 1 << 40
    assert held_back_words(bits) == "idle,software_power_cap,bit_40"
    assert held_back_words(pynvml.nvmlClocksEventReasonHwThermalSlowdown) == "hardware_thermal"
