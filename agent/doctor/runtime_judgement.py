"""What a container runtime reports about this host's pods, and how it can report more. PURE."""

from agent.doctor.facts import Facts, SocketFacts, WireFacts
from agent.doctor.finding import Finding, Usability
from agent.model.foreign import readable
from workers.control_plane.nri.sentence import CONTAINERD_REMEDY, CRIO_REMEDY

RUNTIME, NRI = "container runtime", "NRI"
# The names of the wires in the control plane's statistics.
_NRI_WIRE, _CRI_WIRE = "nri", "cri"
_WITHOUT_NRI = "pods are found by scanning the cgroup tree, some seconds after their start"
_DOCKER = "docker"
_WAIT = "wait; if it lasts for a minute, condition `nri` in `agentctl status` says why"
# A pod sees no socket that it does not mount, and is itself proof of a runtime.
_FROM_A_POD = (
    "switch NRI on in the node's runtime, and mount the folder of its socket here (chart: nri.socketPath); docs/kubernetes.md"
)


def judge_runtime(facts: Facts) -> list[Finding]:
    """Where names of pods come from, and whether pods are known as they start.

    *Shape:* the topics `container runtime` and `NRI`. What a running agent says counts more than the sockets that are found.
    """
    return [_names(facts), _nri(facts)]


def _wire(facts: Facts, name: str) -> WireFacts | None:
    return None if facts.wires is None else facts.wires.get(name)


# ---- names ----------------------------------------------------------------------------------------


def _names(facts: Facts) -> Finding:
    for wire, way in ((_NRI_WIRE, "over NRI"), (_CRI_WIRE, "over its CRI socket")):
        told = _wire(facts, wire)
        if told is not None and told.is_connected:
            runtime = readable(told.runtime) or "the container runtime"
            return _usable_names(f"{runtime} reports names and labels of pods {way}", f"with names from {runtime} ({wire.upper()})")
    problem = _problem_of(facts, _CRI_WIRE) or _problem_of(facts, _NRI_WIRE)
    if problem and _was_connected(facts):
        return Finding(RUNTIME, Usability.LIMITED, f"known pods keep their names, new ones have uids: {problem}")
    if problem:
        return Finding(RUNTIME, Usability.LIMITED, f"pods have uids, no names: {problem}")
    return _names_by_sockets(facts)


def _was_connected(facts: Facts) -> bool:
    return facts.wires is not None and any(told.runtime for told in facts.wires.values())


def _is_connecting(facts: Facts) -> bool:
    """Whether an agent runs that may use the NRI socket and has not got through yet: the socket alone proves nothing then."""
    told = _wire(facts, _NRI_WIRE)
    return facts.wires is not None and _is_nri_usable(facts) and not (told is not None and told.is_connected)


def _problem_of(facts: Facts, wire: str) -> str:
    told = _wire(facts, wire)
    # Where there is no socket nothing is wrong, unless a runtime was connected there.
    return readable(told.problem) if told is not None and (told.is_there or told.runtime) else ""


def _names_by_sockets(facts: Facts) -> Finding:
    if _is_connecting(facts):
        whose = "known pods keep their names, new ones" if _was_connected(facts) else "pods"
        return Finding(
            RUNTIME, Usability.LIMITED, f"{whose} have uids: the agent is not connected to the container runtime yet", _WAIT
        )
    listed = ", ".join(f"{runtime.name} on {runtime.path}" for runtime in facts.runtimes)
    speaking = [runtime for runtime in facts.runtimes if runtime.name != _DOCKER]
    first = next((runtime for runtime in speaking if runtime.is_usable), None)
    if _is_nri_usable(facts):
        name = speaking[0].name if speaking else "the container runtime"
        return _usable_names(f"{name} reports names and labels of pods over NRI", f"with names from {name} (NRI)")
    if first is not None and facts.cri_enabled != "false":
        detail = f"{first.name} on {first.path} reports names and labels of pods over CRI"
        return _usable_names(detail, f"with names from {first.name} (CRI)")
    if first is not None:
        remedy = 'set cri.enabled = "auto", or use NRI'
        return Finding(RUNTIME, Usability.LIMITED, f"found {listed}; pods have uids, no names: cri.enabled is false", remedy)
    if speaking:
        detail = f"this user may not use {speaking[0].path} ({speaking[0].name}): pods have uids, no names"
        return Finding(RUNTIME, Usability.LIMITED, detail, _entry_remedy(facts, speaking[0].path))
    if facts.is_in_pod:
        return Finding(
            RUNTIME, Usability.LIMITED, "no socket of the node's runtime is in this pod: pods have uids, no names", _FROM_A_POD
        )
    found = f"found {listed}, which speaks no CRI" if listed else "none found"
    return Finding(RUNTIME, Usability.UNUSED, f"{found}; containers have ids, no names")


def _usable_names(detail: str, remark: str) -> Finding:
    return Finding(RUNTIME, Usability.USABLE, detail, remark=remark)


def _entry_remedy(facts: Facts, path: str) -> str:
    # Root is refused only by what a container or a security module took away.
    if facts.is_root:
        return f"a security module or a read-only mount forbids it: let the agent connect to {path}"
    return "run the agent as root, or let its user into the socket's folder"


# ---- NRI ------------------------------------------------------------------------------------------


def _is_nri_usable(facts: Facts) -> bool:
    return facts.nri is not None and facts.nri.is_usable and facts.nri_enabled != "false"


def _nri(facts: Facts) -> Finding:
    path = readable(facts.nri_path)
    told = _wire(facts, _NRI_WIRE)
    if facts.nri_enabled == "false":
        return Finding(NRI, Usability.UNUSED, f"nri.enabled is false: {_WITHOUT_NRI}")
    if told is not None and told.is_connected:
        runtime = readable(told.runtime) or "the container runtime"
        return Finding(NRI, Usability.USABLE, f"connected to {runtime} on {path}: each pod is known as it starts")
    if problem := _problem_of(facts, _NRI_WIRE):
        return Finding(NRI, Usability.LIMITED, f"{problem}; until then {_WITHOUT_NRI}")
    if facts.nri is None:
        return _nri_absent(facts, path)
    if not facts.nri.is_usable:
        return Finding(
            NRI, Usability.LIMITED, f"this user may not use {path}: {_WITHOUT_NRI}", _entry_remedy(facts, facts.nri_path)
        )
    if _is_connecting(facts):
        return Finding(NRI, Usability.LIMITED, f"found on {path}, not connected yet; until then {_WITHOUT_NRI}", _WAIT)
    return Finding(NRI, Usability.USABLE, f"found on {path}: each pod is known as it starts")


def _nri_absent(facts: Facts, path: str) -> Finding:
    speaking = [runtime for runtime in facts.runtimes if runtime.name != _DOCKER]
    if not speaking and facts.is_in_pod:
        return Finding(NRI, Usability.MISSING, f"not found on {path}: {_WITHOUT_NRI}", _FROM_A_POD)
    if not speaking:
        return Finding(NRI, Usability.UNUSED, f"not found on {path}: there is no container runtime that has it")
    return Finding(NRI, Usability.MISSING, f"not found on {path}: {_WITHOUT_NRI}", _enabling(speaking[0]))


def _enabling(runtime: SocketFacts) -> str:
    if runtime.name == "cri-dockerd":
        return "Docker has no NRI; use containerd or CRI-O with Kubernetes"
    remedy = CRIO_REMEDY if runtime.name == "CRI-O" else CONTAINERD_REMEDY
    return f"{runtime.name}: {remedy}; docs/nri.md has each runtime"
