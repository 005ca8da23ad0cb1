"""Figures of the host, and what follows from them, are absent where they are not known."""

import pytest

from agent.cli.host_sample import DiskSample, HostSample, NetworkSample, disk_of, host_of, network_of


def test_a_row_of_each_table_becomes_its_struct() -> None:
    """By column name; other columns are left."""
    assert HostSample(elapsed_ns=10, load_1=0.5) == host_of({"elapsed_ns": 10, "load_1": 0.5, "absent": "first_tick"})
    assert DiskSample("sda", write_bytes=7, queue=2.0) == disk_of({"device": "sda", "write_bytes": 7, "queue": 2})
    assert NetworkSample("eth0", sent_bytes=7, is_up=True) == network_of({"interface": "eth0", "sent_bytes": 7, "is_up": True})


def test_rates_and_shares_are_of_the_time_since_the_last_tick() -> None:
    """A tick of two seconds halves them; a share ends at 1."""
    host = HostSample(elapsed_ns=2_000_000_000)
    assert host.per_second(10) == 5.0
    assert host.share_of_time(500_000_000) == 0.25
    assert host.share_of_time(9_000_000_000) == 1.0
    assert (host.per_second(None), host.share_of_time(None)) == (None, None)
    assert (HostSample().per_second(1), HostSample(elapsed_ns=0).share_of_time(1)) == (None, None)


def test_a_mode_has_its_share_of_the_time_of_all_cores() -> None:
    """Several modes have theirs together."""
    host = HostSample(cpu_user_ns=1, cpu_system_ns=2, cpu_idle_ns=4, cpu_steal_ns=1)
    assert host.share_of_cpu(host.cpu_user_ns) == pytest.approx(1 / 8)
    assert host.share_of_cpu(host.cpu_user_ns, host.cpu_system_ns, None) == pytest.approx(3 / 8)
    assert host.share_of_cpu(None) is None
    assert HostSample().share_of_cpu(0) is None


def test_busy_cores_are_those_of_the_root_group_else_of_the_modes() -> None:
    """The exact figure first; unknown where neither is known."""
    modes = HostSample(cores=4, cpu_user_ns=1, cpu_idle_ns=1)
    assert HostSample(cpu_ns=3, elapsed_ns=2, cores=4, cpu_user_ns=1).busy_cores == 1.5
    assert modes.busy_cores == 2.0
    assert (HostSample(cores=4).busy_cores, HostSample(cpu_user_ns=1).busy_cores) == (None, None)
