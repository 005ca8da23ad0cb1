"""What nvidia-smi prints: numbers, its words for none, and no table at all."""

import pytest

from workers.gpu.smi_table import NoTableError, parse_devices, parse_processes

LINE = "GPU-1, 0, NVIDIA H100, 00000000:01:00.0, 37, 12, 81559, 1024, 550, 120.5, 700.00, 41, 1980, 2619, 0, 0"


def test_numbers_are_in_our_units() -> None:
    """Percent, MiB, watts, MHz."""
    (device,) = parse_devices(f"{LINE}\n")
    assert device["identity"] == {"device": "GPU-1", "index": 0, "name": "NVIDIA H100", "pci": "00000000:01:00.0"}
    values = device["values"]
    assert (values["busy_time"], values["memory_total_bytes"], values["power_milliwatts"]) == (
        pytest.approx(0.37),
        81559 << 20,
        120_500,
    )
    assert (values["clock_graphics_hz"], values["temperature_celsius"]) == (1_980_000_000, 41)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("[N/A]", "unsupported"),
        ("[Not Supported]", "unsupported"),
        ("[Unknown Error]", "error"),
        ("ERR!", "error"),
        ("nan", "error"),
    ],
)
def test_words_for_none_are_reasons(word: str, reason: str) -> None:
    """Never a zero."""
    (device,) = parse_devices(LINE.replace(" 37,", f" {word},"))
    assert "busy_time" not in device["values"]
    assert device["absent"]["busy_time"] == reason


def test_processes_by_device() -> None:
    """Memory may be unknown."""
    assert parse_processes("GPU-1, 7, 512\nGPU-1, 8, [N/A]\nGPU-2, 9, 0\n") == {
        "GPU-1": [(7, 512 << 20), (8, None)],
        "GPU-2": [(9, 0)],
    }
    assert parse_processes("") == {}


@pytest.mark.parametrize("text", ["garbage", "a, b, c, d", LINE.replace(", 0, NV", ", x, NV"), LINE + ", 1"])
def test_no_table_is_said_to_be_none(text: str) -> None:
    """A usage text, another version's columns."""
    with pytest.raises(NoTableError):
        parse_devices(text)


@pytest.mark.parametrize("text", ["a, b", "GPU-1, x, 5", "GPU-1, \u0661, 5"])
def test_no_processes_are_said_to_be_none(text: str) -> None:
    """The number of a process is one of ASCII digits."""
    with pytest.raises(NoTableError):
        parse_processes(text)


@pytest.mark.parametrize("length", range(len(LINE)))
def test_every_beginning_of_a_line_is_read_or_refused(length: int) -> None:
    """It raises nothing else."""
    try:
        assert len(parse_devices(LINE[:length])) <= 1
    except NoTableError:
        return
