"""What a unit is called on the page. PURE."""

from agent.model.cgroup_path import name_of, unit_of
from workers.export.assigned_names import AssignedNames


def unit_name(names: AssignedNames, uid: str, cgroup: str) -> str:
    """`namespace/name` of a pod whose name is known, else the name of its cgroup, else what identifies it."""
    found = names.pod(uid)
    if found is not None and found.name:
        return f"{found.namespace}/{found.name}" if found.namespace else found.name
    identity = unit_of(cgroup)
    return (identity and name_of(identity)) or uid.rstrip("/").rpartition("/")[2] or uid
