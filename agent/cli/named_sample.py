"""Samples of `agentctl top` with the names of pods and containers. PURE."""

from typing import TypeVar

from msgspec.structs import replace

from agent.cli.known_names import KnownNames
from agent.cli.top_sample import Ended, NamedProcess, Sample, Tail

PartT = TypeVar("PartT", Tail, Ended)


def named_sample(sample: Sample, names: KnownNames) -> Sample:
    """The sample in which everything has the names that are known; what is about the host is the same."""
    if not names.pods and not names.containers:
        return sample
    return replace(
        sample,
        processes=tuple(_named_process(process, names) for process in sample.processes),
        tail=tuple(_named(tail, names) for tail in sample.tail),
        ended=tuple(_named(ended, names) for ended in sample.ended),
    )


def _named_process(process: NamedProcess, names: KnownNames) -> NamedProcess:
    pod, container = names.pods.get(process.pod_uid or ""), names.containers.get(process.container or "")
    return process if pod is None and container is None else replace(process, pod_name=pod, container_name=container)


def _named(part: PartT, names: KnownNames) -> PartT:
    pod = names.pods.get(part.pod_uid or "")
    return part if pod is None else replace(part, pod_name=pod)
