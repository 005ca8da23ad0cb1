"""What pods and containers are called, as an agent or its tables say. PURE."""

from collections.abc import Mapping

from msgspec import Struct


class KnownNames(Struct, frozen=True):
    """Names of pods (`namespace/name`) and their labels by uid, names of containers by id. *Absent:* what nobody reported."""

    pods: Mapping[str, str] = {}
    containers: Mapping[str, str] = {}
    labels: Mapping[str, Mapping[str, str]] = {}

    def over(self, others: "KnownNames") -> "KnownNames":
        """These names, and others where these have none."""
        return KnownNames({**others.pods, **self.pods}, {**others.containers, **self.containers}, {**others.labels, **self.labels})
