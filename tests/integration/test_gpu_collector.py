"""A real collector process, with the real nvidia-ml-py over a stand-in for the driver's library, or for nvidia-smi."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from fakes.nvml import NvmlStub, write_program
from harness.waiting import wait_until

from workers.gpu.collector_process import Collector, Debris, start_collector
from workers.gpu.reading import DeviceReading, GpuAnswer, decode_answer

SMI_DEVICE = "GPU-1, 0, NVIDIA H100, 00000000:01:00.0, 37, 12, 81559, 1024, 550, 120.5, 700.00, 41, 1980, 2619, [N/A], ERR!"


def has_ended(pid: int) -> bool:
    """Whether a child of ours is gone."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


class Conversation:
    """A collector, asked and waited for."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector

    def ask(self) -> GpuAnswer:
        """Its answer."""
        self.collector.ask()
        return self.hear()

    def hear(self) -> GpuAnswer:
        """The answer that comes."""
        return decode_answer(wait_until(self.collector.take, "an answer"))

    def device(self) -> DeviceReading:
        """The only device of an answer."""
        (found,) = self.ask().devices
        return found

    def end(self) -> str:
        """How it ends when nobody asks any more."""
        return wait_until(self.collector.ended, "it ends")


Start = Callable[[dict[str, str]], Conversation]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where locks are."""
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts collectors in an environment; afterwards they are left alone and end."""
    made: list[Collector] = []

    def one(environment: dict[str, str]) -> Conversation:
        started = start_collector("nvidia", folder=str(folder), proc_root="/proc", environment=os.environ | environment)
        assert not isinstance(started, Debris)
        made.append(started)
        return Conversation(started)

    yield one
    for each in made:
        each.close()
        wait_until(partial(has_ended, each.pid), "it ends by itself")


def test_a_device_is_told_with_all_that_the_library_gives(tmp_path: Path, start: Start) -> None:
    """Values, words for held-back clocks, errors."""
    stub = NvmlStub(tmp_path)
    stub.say("gpu 0 busy 75", "gpu 0 memory_busy 20", "gpu 0 used 1000", "gpu 0 reserved 24", "gpu 0 power 250000")
    stub.say("gpu 0 temperature 66", "gpu 0 held_back 36", "gpu 0 corrected 3", "gpu 0 uncorrected 1")
    device = start(stub.environment).device()
    assert (device.identity.device, device.identity.index, device.identity.pci) == ("GPU-00000000", 0, "00000000:01:00.0")
    assert device.values == {
        "busy_time": 0.75,
        "memory_busy_time": 0.2,
        "memory_total_bytes": 80 << 30,
        "memory_used_bytes": 1000,
        "memory_reserved_bytes": 24,
        "power_milliwatts": 250_000,
        "power_limit_milliwatts": 700_000,
        "temperature_celsius": 66,
        "clock_graphics_hz": 1_980_000_000,
        "clock_memory_hz": 2_619_000_000,
        "throttle_reasons": "software_power_cap,software_thermal",
        "ecc_corrected": 3,
        "ecc_uncorrected": 1,
    }
    assert device.absent == {}


def test_an_old_library_lacks_calls_and_older_ones_take_their_place(tmp_path: Path, start: Start) -> None:
    """Memory by the first version, processes by the second, clocks by the earlier name."""
    missing = ("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetComputeRunningProcesses_v3")
    stub = NvmlStub(tmp_path, *(f"-DWITHOUT_{name}" for name in missing), "-DWITH_v2")
    stub.say("gpu 0 used 1000", "gpu 0 held_back 8", f"process 0 Compute {os.getpid()} 500")
    device = start(stub.environment).device()
    assert (device.values["memory_used_bytes"], device.values["throttle_reasons"]) == (1000, "hardware_slowdown")
    assert device.absent == {"memory_reserved_bytes": "unavailable"}
    assert device.processes == [(os.getpid(), 500)]


def test_without_any_version_of_a_list_processes_are_not_known(tmp_path: Path, start: Start) -> None:
    """Which is not the same as none."""
    stub = NvmlStub(tmp_path, "-DWITHOUT_nvmlDeviceGetComputeRunningProcesses_v3")
    device = start(stub.environment).device()
    assert (device.processes, device.processes_absent) == (None, "not_in_driver")


def test_a_call_that_this_device_does_not_support_is_absent_alone(tmp_path: Path, start: Start) -> None:
    """Its reason is the driver's."""
    stub = NvmlStub(tmp_path)
    stub.say("error nvmlDeviceGetPowerUsage 0 3", "error nvmlDeviceGetTemperature 0 999", "error nvmlDeviceGetTotalEccErrors 0 4")
    assert start(stub.environment).device().absent == {
        "power_milliwatts": "unsupported",
        "temperature_celsius": "error",
        "ecc_corrected": "no_permission",
        "ecc_uncorrected": "no_permission",
    }


def test_a_list_whose_record_changed_is_refused_and_an_older_version_believed(tmp_path: Path, start: Start) -> None:
    """With R535 numbers of processes and bytes are exchanged."""
    stub = NvmlStub(tmp_path, "-DWITH_v2")
    stub.say("swapped 1", f"process 0 Compute {os.getpid()} 8589934592")
    answer = start(stub.environment).ask()
    assert (answer.devices[0].processes, answer.refused) == ([(os.getpid(), 8 << 30)], 1)


def test_a_list_that_no_version_tells_right_is_refused_with_a_reason(tmp_path: Path, start: Start) -> None:
    """No row of a process that is none."""
    stub = NvmlStub(tmp_path)
    stub.say("swapped 1", f"process 0 Compute {os.getpid()} 8589934592")
    device = start(stub.environment).device()
    assert (device.processes, device.processes_absent, device.samples_absent) == (None, "contradicted", "contradicted")


def test_a_process_in_three_lists_is_one(tmp_path: Path, start: Start) -> None:
    """With the most that any of them says."""
    stub = NvmlStub(tmp_path)
    for kind, held in (("Compute", 500), ("Graphics", 700), ("MPSCompute", 600)):
        stub.say(f"process 0 {kind} {os.getpid()} {held}")
    answer = start(stub.environment).ask()
    assert answer.devices[0].processes == [(os.getpid(), 700)]
    assert answer.processes[str(os.getpid())].pid == os.getpid()


def test_samples_begin_with_the_second_answer_and_end_with_the_activity(tmp_path: Path, start: Start) -> None:
    """The first reaches back over the driver's whole buffer; none found means that nobody was active."""
    stub = NvmlStub(tmp_path)
    pid = os.getpid()
    stub.say(f"process 0 Compute {pid} 500", f"sample 0 {pid} 40")
    talk = start(stub.environment)
    first, second = talk.device(), talk.device()
    assert (first.samples, first.samples_absent) == (None, "first_tick")
    assert second.samples is not None
    assert [(found, percent) for found, percent, _ in second.samples] == [(pid, 40)]
    stub.unsay("sample")
    assert talk.device().samples == []


def test_slices_have_memory_and_processes_and_no_busy_time(tmp_path: Path, start: Start) -> None:
    """A device that is cut says nothing of processes itself; under MIG no share is known."""
    stub = NvmlStub(tmp_path)
    stub.say("gpu 0 cut 1", "slice 0 0 1000 10", "slice 0 2 2000 20", f"process 100 Compute {os.getpid()} 9")
    whole, first, second = start(stub.environment).ask().devices
    assert (whole.processes, whole.absent["busy_time"]) == (None, "unsupported")
    assert [each.identity.parent for each in (first, second)] == ["GPU-00000000"] * 2
    assert (first.values["memory_total_bytes"], second.values["memory_used_bytes"]) == (1000, 20)
    assert (first.processes, second.processes, first.samples_absent) == ([(os.getpid(), 9)], [], "unsupported")
    assert first.absent["busy_time"] == "unsupported"


def test_a_lost_device_is_lost_alone_and_comes_back(tmp_path: Path, start: Start) -> None:
    """It keeps its name; the other one has its values."""
    stub = NvmlStub(tmp_path)
    stub.say("count 2")
    talk = start(stub.environment)
    talk.ask()
    stub.say("gpu 0 lost 1")
    lost, other = talk.ask().devices
    assert (lost.is_lost, lost.identity.device, lost.absent, lost.values) == (True, "GPU-00000000", {"": "device_lost"}, {})
    assert not other.is_lost
    stub.unsay("gpu 0 lost")
    assert not talk.ask().devices[0].is_lost


def test_the_last_xid_of_a_device_is_told(tmp_path: Path, start: Start) -> None:
    """None before the first."""
    stub = NvmlStub(tmp_path)
    stub.say("count 2")
    talk = start(stub.environment)
    assert ["xid" in each.values for each in talk.ask().devices] == [False, False]
    stub.say("xid 1 79 1")
    assert [each.values.get("xid") for each in talk.ask().devices] == [None, 79]
    assert [each.values.get("xid") for each in talk.ask().devices] == [None, 79]


@pytest.mark.parametrize(
    ("code", "word"), [(9, "no_driver"), (18, "mismatch"), (4, "not_allowed"), (13, "too_old"), (999, "failed")]
)
def test_a_library_that_cannot_begin_says_why_and_its_collector_ends(tmp_path: Path, start: Start, code: int, word: str) -> None:
    """With the driver's own code."""
    stub = NvmlStub(tmp_path)
    stub.say(f"init {code}")
    talk = start(stub.environment)
    answer = talk.ask()
    assert (answer.problem, answer.devices) == (word, [])
    assert f"NVML code {code}" in answer.detail
    assert talk.end() == "ended with code 0"


def test_a_library_without_a_device_says_so(tmp_path: Path, start: Start) -> None:
    """The driver is loaded, and knows none."""
    stub = NvmlStub(tmp_path)
    stub.say("count 0")
    assert start(stub.environment).ask().problem == "no_device"


def test_signals_do_not_end_a_collector_but_the_end_of_questions_does(tmp_path: Path, start: Start) -> None:
    """It may be inside a driver."""
    talk = start(NvmlStub(tmp_path).environment)
    talk.ask()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(talk.collector.pid, number)
    assert len(talk.ask().devices) == 1
    assert psutil.Process(talk.collector.pid).name() == "eg~gpu-nvidia"


def test_there_is_one_at_a_time_and_its_file_says_which(tmp_path: Path, folder: Path, start: Start) -> None:
    """Also for another process; with its end the next one can begin."""
    stub = NvmlStub(tmp_path)
    talk = start(stub.environment)
    talk.ask()
    assert start_collector("nvidia", folder=str(folder), proc_root="/proc") == Debris(talk.collector.pid)
    left = Debris(talk.collector.pid, 123, [talk.device().identity])
    talk.collector.record(left)
    code = (
        f"from workers.gpu import collector_process as c; print(c.start_collector('nvidia', folder={str(folder)!r}, proc_root='/'))"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert asked.stdout.strip() == str(left)
    os.kill(talk.collector.pid, signal.SIGKILL)
    assert talk.end() == "was killed by signal 9"
    talk.collector.close()
    assert len(start(stub.environment).ask().devices) == 1


def test_a_library_that_crashes_takes_only_its_collector_along(tmp_path: Path, start: Start) -> None:
    """As it would any process that loads it."""
    stub = NvmlStub(tmp_path, "-DnvmlDeviceGetCount_v2=nvml_count_of_the_stub")
    source = tmp_path / "crash.c"
    source.write_text("int nvmlInitWithFlags(unsigned flags) { return *(volatile int *)0 + flags; }\n")
    library = stub.folder / "libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True, timeout=60)
    talk = start(stub.environment)
    talk.collector.ask()
    assert "was killed by signal 11" in talk.end()


def smi(tmp_path: Path, *lines: str) -> dict[str, str]:
    """An environment with this nvidia-smi and no library."""
    write_program(tmp_path / "bin/nvidia-smi", lines)
    (tmp_path / "empty").mkdir()
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "LD_LIBRARY_PATH": str(tmp_path / "empty")}


ANSWERS = ("case $1 in", f"*query-gpu*) echo '{SMI_DEVICE}';;", "*) echo \"GPU-1, $PPID, 512\"; echo 'GPU-1, 1, [N/A]';;", "esac")


def test_collect_queries_nvidia_smi(tmp_path: Path, start: Start) -> None:
    """Where the library is not there; its words for none are reasons."""
    talk = start(smi(tmp_path, *ANSWERS))
    answer = talk.ask()
    (device,) = answer.devices
    assert (answer.source, device.identity.device) == ("nvidia-smi", "GPU-1")
    assert device.values["busy_time"] == pytest.approx(0.37)
    assert (device.absent["ecc_corrected"], device.absent["ecc_uncorrected"]) == ("unsupported", "error")
    assert device.processes == [(talk.collector.pid, 512 << 20), (1, None)]
    assert device.samples_absent == "unsupported"


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["echo 'usage: nvidia-smi [OPTION]'"], "smi_garbage"),
        (["echo broken >&2", "exit 9"], "smi_failed"),
        (["exit 0"], "no_device"),
    ],
)
def test_an_nvidia_smi_that_gives_no_table_says_why(tmp_path: Path, start: Start, lines: list[str], word: str) -> None:
    """Garbage, a failure with its words, nothing at all."""
    answer = start(smi(tmp_path, *lines)).ask()
    assert (answer.problem, answer.devices) == (word, [])
    assert word != "smi_failed" or answer.detail == "code 9: broken"


def test_nvidia_smi_timeout(tmp_path: Path, folder: Path, start: Start) -> None:
    """One that hangs is waited for by the collector alone, and keeps any other from being started, also if that is killed."""
    hang = tmp_path / "hang"
    os.mkfifo(hang)
    talk = start(smi(tmp_path, f"read line < {hang}", *ANSWERS))
    talk.collector.ask()
    (hanging,) = wait_until(lambda: psutil.Process(talk.collector.pid).children(), "it is run")
    assert talk.collector.take() is None
    os.kill(talk.collector.pid, signal.SIGKILL)
    talk.end()
    talk.collector.close()
    assert isinstance(start_collector("nvidia", folder=str(folder), proc_root="/proc"), Debris)
    with hang.open("w") as released:
        released.write("go\n")
    wait_until(lambda: not hanging.is_running(), "it ends")


@pytest.mark.runbook("GPUs")
def test_without_library_and_program_both_are_named(tmp_path: Path, start: Start) -> None:
    """With what to install."""
    (tmp_path / "empty").mkdir()
    answer = start({"PATH": str(tmp_path / "empty"), "LD_LIBRARY_PATH": str(tmp_path / "empty")}).ask()
    assert answer.problem == "no_library"
