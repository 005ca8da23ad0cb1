"""What pods and containers are called, as an agent or its tables say. PURE."""

from collections.abc import Mapping

from msgspec import Struct


class KnownNames(Struct, frozen=True):
    """Names of pods (`namespace/name`) and their labels by uid, names of containers by id. *Absent:* what nobody reported.

    `containers_of` has the ids of a pod's containers by its uid.
    """

    pods: Mapping[str, str] = {}
    containers: Mapping[str, str] = {}
    labels: Mapping[str, Mapping[str, str]] = {}
    containers_of: Mapping[str, frozenset[str]] = {}

    def over(self, others: "KnownNames") -> "KnownNames":
        """These names, and others where these have none."""
        return KnownNames(
            {**others.pods, **self.pods},
            {**others.containers, **self.containers},
            {**others.labels, **self.labels},
            {**others.containers_of, **self.containers_of},
        )

    def containers_in(self, uid: str) -> list[str]:
        """The names of a pod's containers, in the order of their letters."""
        return sorted({self.containers[id_] for id_ in self.containers_of.get(uid, ()) if id_ in self.containers})
