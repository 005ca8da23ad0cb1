"""What a failed connection to the CRI socket means for its operator, in one sentence. PURE."""

from errno import EACCES, EAGAIN, ECONNREFUSED, ENOENT, ENOTDIR, ENOTSOCK, EPERM, EPROTOTYPE

from agent.model.errors import EvergaugeError
from agent.model.foreign import readable

_BY_ERRNO = {
    ENOENT: "there is no such socket; start the container runtime, or correct cri.socket_path",
    ENOTDIR: "there is no such socket; start the container runtime, or correct cri.socket_path",
    ENOTSOCK: "it is no socket; correct cri.socket_path",
    EPROTOTYPE: "it is a socket of another kind; correct cri.socket_path",
    ECONNREFUSED: "no program listens there; start the container runtime",
    EACCES: "the agent may not open it; run the agent as root, or set cri.enabled to false",
    EPERM: "the agent may not open it; run the agent as root, or set cri.enabled to false",
    EAGAIN: "the container runtime takes no further connection; look at its log",
}


def problem_sentence(path: str, problem: OSError | EvergaugeError) -> str:
    """One line that names the socket, what is wrong with it and what to do."""
    if isinstance(problem, EvergaugeError):
        return problem.sentence
    # Python itself refuses a path that does not fit into an address, without a code.
    known = _BY_ERRNO.get(problem.errno) if problem.errno else "the path is too long for a socket; shorten cri.socket_path"
    return f"{readable(path)}: {known or problem.strerror or readable(str(problem))}"


def alpha_sentence(path: str, runtime: str) -> str:
    """The runtime speaks only the version of CRI before v1."""
    who = readable(runtime, 100) or "the container runtime"
    return f"{readable(path)}: {who} offers CRI v1alpha2 only; containerd 1.6, CRI-O 1.20 and newer ones offer v1"


def without_cri_sentence(path: str) -> str:
    """The socket is containerd's, and its CRI plugin is switched off, as on hosts that run only Docker."""
    return f"{readable(path)}: the runtime offers no CRI; where Kubernetes uses it, take cri out of containerd's disabled_plugins"


def without_package_sentence() -> str:
    """The library for HTTP/2 cannot be loaded."""
    return "the Python package h2 cannot be imported, so the CRI socket is not read; install the agent again"
