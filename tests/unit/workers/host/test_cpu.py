"""`/proc/stat`, `/proc/loadavg` and the CPU files of root cgroups, of several kernels."""

from pathlib import Path

import pytest

from agent.model.errors import KernelFormatError
from agent.model.timebase import MS
from workers.host.cpu import CPU_MODES, parse_cpu_stat, parse_cpuacct_usage, parse_loadavg, parse_stat

FIXTURES = Path(__file__).parents[3] / "fixtures" / "host"


def test_cpu_time_is_told_by_mode() -> None:
    """Of all CPUs together, in nanoseconds, with the CPUs counted."""
    values = parse_stat((FIXTURES / "linux-3.10" / "stat").read_bytes(), 100)
    assert (values["cpu_user_ns"], values["cpu_iowait_ns"], values["cpu_guest_ns"]) == (84282747 * 10 * MS, 1563290 * 10 * MS, 0)
    assert (values["cores"], values["interrupts"], values["context_switches"]) == (2, 4391735822, 8912633044)
    assert (values["processes_started"], values["running"], values["blocked"]) == (18445621, 2, 0)


def test_a_clock_tick_is_what_the_host_says() -> None:
    """A kernel with 1,000 a second counts milliseconds."""
    assert parse_stat(b"cpu 5\n", 1000) == {"cpu_user_ns": 5 * MS}


def test_the_last_kernel_and_a_container_have_the_same_fields() -> None:
    """LXCFS shows the CPUs of the container, in the kernel's form."""
    for name in ("linux-6.18", "lxcfs"):
        values = parse_stat((FIXTURES / name / "stat").read_bytes(), 100)
        assert {f"cpu_{mode}_ns" for mode in CPU_MODES} <= values.keys()
        assert values["cores"] == 2


def test_a_number_that_is_none_is_not_known() -> None:
    """The line is there, its value is not."""
    assert parse_stat(b"cpu 1 x 99999999999999999999\nctxt y\n", 100) == {
        "cpu_user_ns": 10 * MS, "cpu_nice_ns": None, "cpu_system_ns": None, "context_switches": None,
    }  # fmt: skip


@pytest.mark.parametrize("text", [b"", b"\n\n", b"garbage"])
def test_a_file_without_any_known_line_is_refused(text: bytes) -> None:
    """It is not that file."""
    with pytest.raises(KernelFormatError):
        parse_stat(text, 100)


def test_load_and_threads() -> None:
    """Three averages and how many threads there are."""
    assert parse_loadavg(b"0.09 1.33 12.26 1/97 28807\n") == {"load_1": 0.09, "load_5": 1.33, "load_15": 12.26, "threads": 97}
    assert parse_loadavg(b"0.09 1.33 12.26 1 28807\n")["threads"] is None


@pytest.mark.parametrize("text", [b"", b"1 2 3", b"a b c 1/2 3", b"nan 1 1 1/2 3", b"inf 1 1 1/2 3", b"-1 1 1 1/2 3"])
def test_a_load_that_is_none_is_refused(text: bytes) -> None:
    """Python would read `nan` and `inf` as numbers."""
    with pytest.raises(KernelFormatError):
        parse_loadavg(text)


def test_the_cpu_time_of_a_cgroup_of_either_version() -> None:
    """In nanoseconds."""
    assert parse_cpuacct_usage(b"5600000001\n") == {"cpu_ns": 5600000001}
    assert parse_cpu_stat(b"usage_usec 17\nuser_usec 10\nsystem_usec 7\n") == {"cpu_ns": 17_000}


def test_a_cgroup_file_without_cpu_time_is_refused() -> None:
    """Empty, of another form, or out of range."""
    for text in (b"", b"x", b"99999999999999999999999"):
        with pytest.raises(KernelFormatError):
            parse_cpuacct_usage(text)
    for text in (b"", b"nr_periods 0\n", b"usage_usec x\n", b"usage_usec 9223372036854775807\n"):
        with pytest.raises(KernelFormatError):
            parse_cpu_stat(text)
