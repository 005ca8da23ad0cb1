"""The CPUs of this host behind the caches of a profile."""

from workers.resctrl.emulator.profile import Profile

_ONLINE = "/sys/devices/system/cpu/online"


def with_host_cpus(profile: Profile, cpus: tuple[int, ...] | None = None) -> Profile:
    """The same machine with the online CPUs of this host, distributed to its caches in turn. A cache without a CPU is offline."""
    if cpus is None:
        cpus = tuple(sorted(_online()))
    ids = [cache.id for cache in profile.caches]
    return profile.with_cpus({number: cpus[place :: len(ids)] for place, number in enumerate(ids)})


def _online() -> set[int]:
    """The CPUs that are online. *Raises:* OSError. *Source:* sysfs-devices-system-cpu."""
    with open(_ONLINE, encoding="ascii") as file:
        ranges = [part.partition("-") for part in file.read().strip().split(",")]
    return {cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)}
