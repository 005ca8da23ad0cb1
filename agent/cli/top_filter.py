"""Which processes the filter of `agentctl top` keeps. PURE."""

from collections.abc import Callable

from msgspec.structs import replace

from agent.cli.known_names import KnownNames
from agent.cli.name_filter import FilterTarget, NameFilter
from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail


class ProcessFilter:
    """Words that must all be in a process: in its command, user, pod or container, in letters of either case, or as its pid.

    What several processes are summed up in belongs to no container: they may be of several.
    """

    def __init__(self, text: str, names: KnownNames, user_name: Callable[[int], str]) -> None:
        self._filter = NameFilter(text)
        self._names = names
        self._user_name = user_name

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self._filter)

    def keeps(self, part: NamedProcess | Tail | Ended) -> bool:
        """Whether a process, or a group of them, is what is looked for."""
        return not self._filter or self._filter.keeps(self._target(part))

    def _target(self, part: NamedProcess | Tail | Ended) -> FilterTarget:
        words = [part.command or ""]
        containers: list[str] = []
        if isinstance(part, NamedProcess):
            words += [part.name, part.cgroup or "", "" if part.uid is None else self._user_name(part.uid)]
            containers = [name for name in (self._names.containers.get(part.container or ""),) if name is not None]
        pid = "" if isinstance(part, Tail) or part.pid is None else str(part.pid)
        if part.pod_uid is None:
            return FilterTarget(words, pid, containers=containers)
        pod = self._names.pods.get(part.pod_uid, part.pod_uid)
        return FilterTarget([*words, part.pod_uid], pid, pod, containers, self._names.labels.get(part.pod_uid, {}))


def kept_of(sample: Sample, kept: ProcessFilter) -> Sample:
    """The sample with what a filter keeps alone; what is about the host is whole."""
    if not kept:
        return sample
    return replace(
        sample,
        processes=tuple(filter(kept.keeps, sample.processes)),
        tail=tuple(filter(kept.keeps, sample.tail)),
        ended=tuple(filter(kept.keeps, sample.ended)),
    )
