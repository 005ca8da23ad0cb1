"""What a collector says, decoded strictly."""

import json
from typing import Any

import pytest

from agent.model.errors import FormatError
from workers.gpu.limit import DEVICES_MAX
from workers.gpu.reading import decode_answer

DEVICE: dict[str, Any] = {
    "identity": {"device": "GPU-1", "index": 0, "name": "H", "pci": "0:1"},
    "values": {"busy_time": 0.5, "memory_total_bytes": 8, "throttle_reasons": ""},
    "absent": {"xid": "unsupported"},
    "processes": [[7, 4], [8, None]],
    "samples": [[7, 50, 123]],
}
LINE = json.dumps({"source": "nvml", "devices": [DEVICE], "processes": {"7": {"pid": 7, "comm": "c", "cgroup": "0::/"}}}).encode()


def test_a_whole_answer_is_read() -> None:
    """Values of each kind, lists, processes."""
    answer = decode_answer(LINE)
    (device,) = answer.devices
    assert (device.identity.device, device.values["busy_time"], device.processes) == ("GPU-1", 0.5, [(7, 4), (8, None)])
    assert answer.processes["7"].comm == "c"


@pytest.mark.parametrize("length", range(len(LINE)))
def test_every_beginning_of_it_is_refused(length: int) -> None:
    """A library that writes into the collector's memory may cut it anywhere."""
    with pytest.raises(FormatError):
        decode_answer(LINE[:length])


@pytest.mark.parametrize("line", [b"\xff", b"[]", b"{}", b'{"source":1}', b'{"source":"nvml","devices":[{"identity":{}}]}'])
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    """With a sentence."""
    with pytest.raises(FormatError, match="cannot be read"):
        decode_answer(line)


def test_every_byte_may_be_another_one() -> None:
    """It is read or refused, and raises nothing else."""
    for place in range(len(LINE)):
        for byte in (0, 0x22, 0x7D, 0xFF):
            try:
                decode_answer(LINE[:place] + bytes([byte]) + LINE[place + 1 :])
            except FormatError:
                continue


def test_more_devices_than_there_can_be_are_refused() -> None:
    """A row each would fill the store."""
    line = json.dumps({"source": "nvml", "devices": [{"identity": {"device": "x"}}] * (DEVICES_MAX + 1)}).encode()
    with pytest.raises(FormatError, match="more devices"):
        decode_answer(line)
