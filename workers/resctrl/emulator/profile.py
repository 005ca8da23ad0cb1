"""What the emulated hardware and kernel offer. PURE plain data; `PROFILES` has the built-in machines.

A variant is `msgspec.structs.replace(PROFILES["tiny"], debug=True)`.
"""

from collections.abc import Mapping

import msgspec

KIB = 1 << 10
MIB = 1 << 20

OCCUPANCY = "llc_occupancy"
TOTAL = "mbm_total_bytes"
LOCAL = "mbm_local_bytes"
ALL_EVENTS = (OCCUPANCY, TOTAL, LOCAL)


class Cache(msgspec.Struct, frozen=True):
    """One L3 cache. `nodes` are the monitoring domains that share it with sub-NUMA clustering, none without."""

    id: int
    size_bytes: int
    cpus: tuple[int, ...]
    nodes: tuple[int, ...] = ()


class CacheControl(msgspec.Struct, frozen=True):
    """How L3 can be allocated: one bit per slice."""

    bits: int
    min_bits: int = 1
    shareable: int = 0
    sparse: bool = False

    @property
    def full_mask(self) -> int:
        """The mask with every bit of the cache."""
        return (1 << self.bits) - 1


class BandwidthControl(msgspec.Struct, frozen=True):
    """How memory bandwidth can be allocated: `MB` in percent (Intel) or steps (AMD), `SMBA` the same for slow memory."""

    name: str
    minimum: int
    maximum: int
    step: int
    linear: bool
    throttle: str | None = None


class Profile(msgspec.Struct, frozen=True):
    """A machine with its kernel and mount options.

    *Range:* `closids` 0 is monitor-only hardware; `counters` 0 has no counter assignment. With `rmid_depends_on_closid`
    `rmids` is the number for each CLOSID.
    """

    name: str
    caches: tuple[Cache, ...]
    rmids: int
    closids: int
    events: tuple[str, ...] = ALL_EVENTS
    occupancy_unit_bytes: int = 64 * KIB
    cache_control: CacheControl | None = None
    bandwidth_controls: tuple[BandwidthControl, ...] = ()
    configurable_events: bool = False
    counters: int = 0
    rmid_depends_on_closid: bool = False
    first_read_unavailable: bool = False
    # Kernels before 6.7 take one id per write.
    task_lists: bool = True
    debug: bool = False
    cdp: bool = False
    mba_mbps: bool = False
    # Traffic that belongs to no group (devices, firmware): without it the lines of an idle group would stay in the cache for ever.
    ambient_bytes_per_second: int = 64 * MIB
    # Skylake's erratum: each reading is too high by up to this, so that the sum of all groups can exceed the cache.
    over_report_percent: int = 0

    @property
    def allocates(self) -> bool:
        """Whether the machine has any control of cache or bandwidth, and so control groups."""
        return self.closids > 0

    @property
    def domains(self) -> tuple[int, ...]:
        """The monitoring domains: the caches, or their nodes with sub-NUMA clustering."""
        return tuple(node for cache in self.caches for node in (cache.nodes or (cache.id,)))

    @property
    def l3_bytes(self) -> int:
        """The size of one L3 cache; all caches of a profile have one size, as the kernel assumes, too."""
        return self.caches[0].size_bytes

    @property
    def cpus(self) -> frozenset[int]:
        """All CPUs of the machine."""
        return frozenset(cpu for cache in self.caches for cpu in cache.cpus)

    def domain_of_cpu(self, cpu: int) -> int:
        """The monitoring domain in which a CPU of this host counts. CPUs that the profile does not have are distributed in turn, so
        that a small host can play a large machine."""
        for cache in self.caches:
            if cpu in cache.cpus:
                if not cache.nodes:
                    return cache.id
                return cache.nodes[cache.cpus.index(cpu) * len(cache.nodes) // len(cache.cpus)]
        return self.domains[cpu % len(self.domains)]

    def with_cpus(self, cpus_by_cache: Mapping[int, tuple[int, ...]]) -> "Profile":
        """The same machine with other CPUs behind its caches, such as those of this host for tools that compare with sysfs."""
        caches = tuple(msgspec.structs.replace(cache, cpus=tuple(cpus_by_cache.get(cache.id, ()))) for cache in self.caches)
        return msgspec.structs.replace(self, caches=caches)


def _caches(ids: tuple[int, ...], size_bytes: int, cpus_each: int, nodes_each: int = 0) -> tuple[Cache, ...]:
    return tuple(
        Cache(
            id=cache_id,
            size_bytes=size_bytes,
            cpus=tuple(range(place * cpus_each, (place + 1) * cpus_each)),
            nodes=tuple(range(place * nodes_each, (place + 1) * nodes_each)),
        )
        for place, cache_id in enumerate(ids)
    )


_INTEL_MB = BandwidthControl(name="MB", minimum=10, maximum=100, step=10, linear=True, throttle="max")
_AMD_MB = BandwidthControl(name="MB", minimum=0, maximum=2048, step=1, linear=False)
_AMD_SMBA = BandwidthControl(name="SMBA", minimum=0, maximum=2048, step=1, linear=False)
_ARM_MB = BandwidthControl(name="MB", minimum=1, maximum=100, step=1, linear=True)
_AMD_L3 = CacheControl(bits=16, min_bits=0, sparse=True)

_SHIPPED = (
    Profile(
        name="intel-2socket",
        caches=_caches((0, 1), 105 * MIB, 28),
        rmids=448,
        closids=15,
        occupancy_unit_bytes=240 * KIB,
        cache_control=CacheControl(bits=15, shareable=0x6000),
        bandwidth_controls=(_INTEL_MB,),
    ),
    Profile(
        name="amd-ccd",
        # The second socket's numbers do not follow the first's: ids may have gaps.
        caches=_caches((*range(8), *range(16, 24)), 32 * MIB, 8),
        rmids=256,
        closids=16,
        occupancy_unit_bytes=64,
        cache_control=_AMD_L3,
        bandwidth_controls=(_AMD_MB,),
        configurable_events=True,
        first_read_unavailable=True,
    ),
    Profile(
        name="amd-abmc",
        caches=_caches((0, 1), 32 * MIB, 8),
        rmids=256,
        closids=16,
        occupancy_unit_bytes=64,
        cache_control=_AMD_L3,
        bandwidth_controls=(_AMD_MB, _AMD_SMBA),
        configurable_events=True,
        counters=32,
        first_read_unavailable=True,
    ),
    Profile(
        name="snc2",
        caches=_caches((0, 1), 60 * MIB, 24, nodes_each=2),
        rmids=224,
        closids=15,
        occupancy_unit_bytes=120 * KIB,
        cache_control=CacheControl(bits=12, shareable=0xC00),
        bandwidth_controls=(_INTEL_MB,),
    ),
    Profile(name="monitor-only", caches=_caches((0, 1), 30 * MIB, 8), rmids=144, closids=0),
    Profile(
        name="occupancy-only",
        caches=_caches((0, 1), 30 * MIB, 12),
        rmids=56,
        closids=4,
        events=(OCCUPANCY,),
        cache_control=CacheControl(bits=20, min_bits=2, shareable=0xC0000),
    ),
    Profile(
        name="mbm-only",
        caches=_caches((0, 1), 30 * MIB, 12),
        rmids=56,
        closids=8,
        events=(TOTAL, LOCAL),
        bandwidth_controls=(_INTEL_MB,),
    ),
    Profile(
        name="tiny",
        caches=_caches((0, 1), 8 * MIB, 2),
        rmids=8,
        closids=4,
        cache_control=CacheControl(bits=8),
        bandwidth_controls=(_INTEL_MB,),
    ),
    Profile(
        name="arm-mpam",
        caches=_caches((0,), 64 * MIB, 32),
        rmids=16,
        closids=32,
        events=(OCCUPANCY, TOTAL),
        cache_control=CacheControl(bits=16, sparse=True),
        bandwidth_controls=(_ARM_MB,),
        rmid_depends_on_closid=True,
    ),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in _SHIPPED}
