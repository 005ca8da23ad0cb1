"""How much memory a query may take, by the machine it stands on."""

import resource
from collections.abc import Callable

import pytest

from agent.cli.memory_limit import default_bytes, held_to, limit_bytes, memory_bytes, shown
from agent.model.errors import MisuseError
from agent.setting import MIB

GIB = 1024 * MIB


def machine(total_mib: int, files: dict[str, str] | None = None) -> Callable[[str], str]:
    """A machine with this much memory and these files."""
    known = {"/proc/meminfo": f"MemTotal:       {total_mib << 10} kB\nMemFree: 1 kB\n", **(files or {})}
    return lambda path: known.get(path, "")


@pytest.mark.parametrize(("total_mib", "limit_mib"), [(65536, 1024), (4096, 1024), (2048, 512), (100, 128)])
def test_the_default_is_a_quarter_and_at_most_one_gib(total_mib: int, limit_mib: int) -> None:
    """Large machines have work to do, on small ones a query has its share, and less than a start needs is of no use."""
    assert default_bytes(machine(total_mib)) == limit_mib * MIB


def test_an_unknown_machine_has_the_default() -> None:
    """Where nothing can be read."""
    assert default_bytes(lambda _: "") == GIB


def test_the_smallest_control_group_around_counts() -> None:
    """Of both versions, the group itself and all above it; `max` and what is no number are no limit."""
    unified = {
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/memory.max": f"{GIB}\n",
        "/sys/fs/cgroup/a/b/memory.max": "max\n",
    }
    assert memory_bytes(machine(8192, unified)) == GIB
    former = {
        "/proc/self/cgroup": "5:cpu,memory:/x\n1:name=systemd:/y\nodd\n",
        "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": str(512 * MIB),
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    }
    assert memory_bytes(machine(8192, former)) == 512 * MIB


def test_what_is_given_wins() -> None:
    """The option before the variable before the default."""
    assert limit_bytes("2GiB", "512MiB") == 2 * GIB
    assert limit_bytes(None, "512MiB") == 512 * MIB
    assert limit_bytes(None, "", machine(65536)) == GIB
    assert shown(2 * GIB) == "2GiB"
    with pytest.raises(MisuseError, match="AGENTCTL_MEMORY_LIMIT: '1B' is not accepted; write a size from 128MiB"):
        limit_bytes(None, "1B")


def test_the_bound_ends_with_the_block() -> None:
    """Within it an allocation beyond the limit fails, behind it none does; a bound that was there before stays."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with held_to(128 * MIB), pytest.raises(MemoryError):
        bytearray(GIB)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert len(bytearray(256 * MIB)) == 256 * MIB
