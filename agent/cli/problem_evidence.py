"""What the rules of `agentctl top` look at: one sample, the figures of its host, and the samples of the minute before. PURE."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from agent.cli.host_sample import DiskSample, HostSample, NetworkSample, disk_of, host_of, network_of
from agent.cli.problem import HostProblem
from agent.cli.top_sample import Ended, Sample
from agent.model.timebase import S

# An event of this time ago still explains what a newcomer looks at now.
RECENT_NS = 60 * S


class Evidence(Struct, frozen=True):
    """A sample with its host's figures (all of them absent where no row of the host is near).

    `before` are the samples of the last minute, the oldest first; `now_wall_ns` None: a moment of the past, of any age.
    """

    sample: Sample
    host: HostSample
    disks: tuple[DiskSample, ...]
    networks: tuple[NetworkSample, ...]
    before: tuple[Sample, ...] = ()
    now_wall_ns: int | None = None
    pod_names: Mapping[str, str] = {}

    @property
    def recent(self) -> tuple[Sample, ...]:
        """The samples of the last minute, the sample itself as the last."""
        return (*self.before, self.sample)

    def ended(self) -> Iterator[tuple[int, Ended]]:
        """Everything that ended in the last minute, with the time of its tick."""
        for sample in self.recent:
            for ended in sample.ended:
                yield sample.at_wall_ns, ended


Rule = Callable[[Evidence], Iterator[HostProblem]]


def evidence_of(
    sample: Sample, before: Sequence[Sample] = (), now_wall_ns: int | None = None, pod_names: Mapping[str, str] | None = None
) -> Evidence:
    """The evidence of a sample. *Range:* of the samples before only those of the last minute count."""
    machine = sample.machine
    # A row without a name sums up devices that have none of their own: none of them is to blame alone.
    disks = tuple(disk for disk in map(disk_of, machine.disks) if disk.device)
    networks = tuple(network for network in map(network_of, machine.networks) if network.interface)
    since_ns = sample.at_wall_ns - RECENT_NS
    return Evidence(
        sample,
        host_of(machine.host or {}),
        disks,
        networks,
        tuple(earlier for earlier in before if since_ns <= earlier.at_wall_ns < sample.at_wall_ns),
        now_wall_ns,
        pod_names or {},
    )
