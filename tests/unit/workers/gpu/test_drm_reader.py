"""amdgpu, kfd and fdinfo over a tree of plain files, with contents as the kernel's documents show them."""

import os
from pathlib import Path
from typing import Any

import pytest

from workers.gpu.drm_reader import PIDS_PER_ANSWER, DrmReader
from workers.gpu.proc_view import ProcView

PCI = "0000:03:00.0"
VALUES = {
    "gpu_busy_percent": "60\n",
    "mem_busy_percent": "12\n",
    "mem_info_vram_total": "17163091968\n",
    "mem_info_vram_used": "1048576\n",
    "pp_dpm_sclk": "0: 500Mhz\n1: 2100Mhz *\n",
    "pp_dpm_mclk": "0: 96Mhz *\n1: 1000Mhz\n",
    "product_name": "Instinct of a test\n",
    "ras/umc_err_count": "ue: 0\nce: 2\n",
    "hwmon/hwmon4/power1_average": "150000000\n",
    "hwmon/hwmon4/power1_cap": "300000000\n",
    "hwmon/hwmon4/temp1_input": "52000\n",
}


class Host:
    """A host with a card and processes, as files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.card = self.make_card(PCI, "amdgpu", 128)
        for name, text in VALUES.items():
            self.put(self.card / name, text)
        self.reader = DrmReader(str(root), ProcView(str(root / "proc"), sees_host=True))

    def make_card(self, pci: str, driver: str, minor: int) -> Path:
        """A card with a render node."""
        card = self.root / "sys/devices" / pci
        card.mkdir(parents=True)
        self.link(card / "driver", f"../drivers/{driver}")
        node = self.root / f"sys/class/drm/renderD{minor}"
        node.mkdir(parents=True)
        self.link(node / "device", str(card))
        return card

    def put(self, path: Path, text: str) -> None:
        """A file, with its folders."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def link(self, path: Path, target: str) -> None:
        """A link, with its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def process(self, pid: int, **fdinfo: str) -> None:
        """A process with render nodes open; `fdinfo` is by n3 and so on."""
        folder = self.root / "proc" / str(pid)
        self.put(folder / "stat", f"{pid} (train) S " + " ".join(["0"] * 18) + " 99 0\n")
        self.put(folder / "comm", "train\n")
        self.put(folder / "cgroup", "0::/system.slice/train.service\n")
        (folder / "fd").mkdir()
        for name, text in fdinfo.items():
            self.link(folder / "fd" / name[1:], "/dev/dri/renderD128")
            self.put(folder / "fdinfo" / name[1:], text)

    def compute(self, pid: int, held: int) -> None:
        """A process of kfd on the card."""
        base = self.root / "sys/class/kfd/kfd"
        self.put(base / "topology/nodes/0/gpu_id", "0\n")
        self.put(base / "topology/nodes/1/gpu_id", "41073\n")
        self.put(base / "topology/nodes/1/properties", "simd_count 432\ndrm_render_minor 128\n")
        self.put(base / f"proc/{pid}/vram_41073", f"{held}\n")

    def read(self) -> dict[str, Any]:
        """The only device of an answer, with the processes that it names."""
        answer = self.reader.read()
        (device,) = answer["devices"]
        return {**device, "known": answer["processes"]}


def client(number: int, gfx_ns: int, vram: str = "512 KiB") -> str:
    """A descriptor of amdgpu."""
    head = f"drm-driver:\tamdgpu\ndrm-client-id:\t{number}\ndrm-pdev:\t{PCI}\n"
    return f"{head}drm-resident-vram:\t{vram}\ndrm-engine-gfx:\t{gfx_ns} ns\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """One with an idle card."""
    return Host(tmp_path)


def test_a_card_has_what_sysfs_says(host: Host) -> None:
    """Microwatts, thousandths of a degree, percent; what the driver does not have is absent."""
    found = host.read()
    assert found["identity"] == {"device": PCI, "index": 0, "name": "Instinct of a test", "pci": PCI}
    assert found["values"] == {
        "busy_time": pytest.approx(0.6),
        "memory_busy_time": pytest.approx(0.12),
        "memory_total_bytes": 17163091968,
        "memory_used_bytes": 1048576,
        "clock_graphics_hz": 2_100_000_000,
        "clock_memory_hz": 96_000_000,
        "power_milliwatts": pytest.approx(150_000),
        "power_limit_milliwatts": pytest.approx(300_000),
        "temperature_celsius": pytest.approx(52),
        "ecc_corrected": 2,
        "ecc_uncorrected": 0,
    }
    assert found["absent"] == {"memory_reserved_bytes": "unsupported", "throttle_reasons": "unsupported"}


def test_a_card_that_has_little_says_what_it_lacks(host: Host) -> None:
    """An integrated one, or one that sleeps."""
    for name in ("gpu_busy_percent", "hwmon/hwmon4/power1_average", "ras/umc_err_count"):
        (host.card / name).unlink()
    host.put(host.card / "mem_info_vram_used", "")
    found = host.read()
    wanted = {"busy_time": "unsupported", "power_milliwatts": "unsupported", "ecc_corrected": "unsupported"}
    assert found["absent"].items() >= {**wanted, "memory_used_bytes": "unavailable"}.items()


def test_processes_are_found_by_their_descriptors(host: Host) -> None:
    """Their memory at once, their time from the second look on."""
    host.process(70, n3=client(1, 10**15))
    first = host.read()
    assert (first["processes"], first["samples_absent"]) == ([(70, 512 << 10)], "first_tick")
    assert first["known"]["70"] == {"pid": 70, "comm": "train", "cgroup": "0::/system.slice/train.service\n"}
    second = host.read()
    assert (second["samples"], second["samples_absent"]) == ([], "")
    # More than any time that can have passed: all of it.
    host.put(host.root / "proc/70/fdinfo/3", client(1, 2 * 10**15))
    ((pid, percent, _moment),) = host.read()["samples"]
    assert (pid, percent) == (70, 100)


def test_compute_has_memory_and_no_time(host: Host) -> None:
    """fdinfo does not have it; where both do, the maximum counts."""
    host.process(70, n3=client(1, 5))
    host.compute(70, 4096 << 10)
    host.compute(71, 8192)
    found = host.read()
    assert sorted(found["processes"]) == [(70, 4096 << 10), (71, 8192)]
    assert found["samples_absent"] == "unsupported"
    assert found["known"]["71"]["absent"] == "no_permission"


def test_other_drivers_have_a_row_too_and_display_chips_none(tmp_path: Path) -> None:
    """Only what fdinfo says is known of them."""
    host = Host(tmp_path)
    host.make_card("0000:00:02.0", "i915", 129)
    host.make_card("0000:00:05.0", "ast", 130)
    found = host.reader.read()["devices"]
    assert [(each["identity"]["device"], each["identity"]["name"]) for each in found] == [
        (PCI, "Instinct of a test"),
        ("0000:00:02.0", "i915"),
    ]
    assert found[1]["absent"]["busy_time"] == "unsupported"


def test_all_processes_are_looked_through_in_turn(host: Host) -> None:
    """A part at each answer; those that hold a device, each time."""
    for pid in range(1000, 1000 + 2 * PIDS_PER_ANSWER):
        os.makedirs(host.root / "proc" / str(pid) / "fd")
    host.process(5000, n3=client(1, 5))
    counts = [len(host.read()["processes"]) for _ in range(6)]
    assert counts == [0, 0, 1, 1, 1, 1]


def test_a_process_that_may_not_be_looked_at_is_left_out(host: Host) -> None:
    """Its descriptors are another user's."""
    (host.root / "proc" / "80").mkdir(parents=True)
    assert host.read()["processes"] == []
