"""Which processes the filter of `agentctl top` keeps. PURE."""

from collections.abc import Callable

from msgspec.structs import replace

from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail


class ProcessFilter:
    """Words that must all be in a process: in its command, user or pod, in letters of either case, or as its pid."""

    def __init__(self, text: str, pod_name: Callable[[str], str], user_name: Callable[[int], str]) -> None:
        self._words = text.casefold().split()
        self._pod_name = pod_name
        self._user_name = user_name

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self._words)

    def keeps(self, part: NamedProcess | Tail | Ended) -> bool:
        """Whether a process, or a group of them, is what is looked for."""
        if not self._words:
            return True
        pid = "" if isinstance(part, Tail) or part.pid is None else str(part.pid)
        told = self._told(part)
        return all(word == pid or word in told for word in self._words)

    def _told(self, part: NamedProcess | Tail | Ended) -> str:
        words = [part.command or ""]
        if isinstance(part, NamedProcess):
            words += [part.name, part.cgroup or "", "" if part.uid is None else self._user_name(part.uid)]
        if part.pod_uid is not None:
            words += [part.pod_uid, self._pod_name(part.pod_uid)]
        return "\n".join(words).casefold()


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
