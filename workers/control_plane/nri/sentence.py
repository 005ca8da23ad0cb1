"""Sentences about the connection to a container runtime: what is wrong and what to do. PURE."""

from errno import EACCES, EAGAIN, ECONNREFUSED, ENOENT, ENOTDIR, ENOTSOCK, EPERM, EPROTOTYPE

from agent.model.foreign import readable
from agent.model.timebase import S
from workers.control_plane.nri.stage import Stage

_TEXT_CHARACTERS_MAX = 200
CONTAINERD_REMEDY = (
    'set `disable = false` under [plugins."io.containerd.nri.v1.nri"] in its config.toml and restart it (containerd 1.7 has it off)'
)
CRIO_REMEDY = "set `enable_nri = true` under [crio.nri] in its configuration and restart it"


def absent_sentence(path: str, runtime: str, before: str = "") -> str:
    """There is no NRI socket. `runtime` is the container runtime that was found without one, empty: none was; `before` is the
    one that was connected earlier."""
    where = readable(path)
    if before and not runtime:
        return f"{where}: {readable(before)} has gone with its NRI socket; start it, and it is connected to again"
    if not runtime:
        return f"{where}: there is no NRI socket; on a host with containers switch NRI on, or set nri.socket_path"
    remedy = CRIO_REMEDY if runtime == "CRI-O" else CONTAINERD_REMEDY
    return f"{where}: {runtime} is there and NRI is switched off; {remedy}, or set nri.socket_path"


def connect_sentence(path: str, problem: OSError) -> str:
    """The socket is there and does not let this process in."""
    where, code = readable(path), problem.errno
    if code in (EACCES, EPERM):
        return f"{where}: this user may not connect ({problem.strerror}); run the agent as root, or let it into the socket's folder"
    if code == ECONNREFUSED:
        return f"{where}: nobody listens at this socket; start the container runtime"
    if code in (ENOTSOCK, EPROTOTYPE):
        return f"{where}: this is no stream socket; set nri.socket_path to the container runtime's NRI socket"
    if code == EAGAIN:
        return f"{where}: the container runtime accepts no more connections; see its log"
    if code in (ENOENT, ENOTDIR):
        return absent_sentence(path, "")
    return f"{where}: cannot be connected to: {problem.strerror or readable(str(problem))}; see the container runtime's log"


def path_sentence(path: str) -> str:
    """The path cannot be the address of a socket."""
    return f"{readable(path) or 'nri.socket_path'}: this is no path of a socket; set nri.socket_path"


def refused_sentence(path: str, code: int, message: str) -> str:
    """The runtime does not take the registration."""
    text = readable(message[:_TEXT_CHARACTERS_MAX]) or "no reason given"
    return f"{readable(path)}: the container runtime refuses this plugin: {text} (code {code}); see its log"


def protocol_sentence(path: str, problem: str) -> str:
    """What came is no NRI, or of a form that is not known."""
    text = readable(problem[:_TEXT_CHARACTERS_MAX])
    return f"{readable(path)}: not understood: {text}; is this the NRI socket of containerd or CRI-O (nri.socket_path)?"


def silent_sentence(path: str, stage: Stage, limit_ns: int) -> str:
    """The runtime does not go on."""
    what = {
        Stage.REGISTERING: "took no registration",
        Stage.CONFIGURING: "took the registration and did not configure the plugin",
        Stage.SYNCHRONIZING: "did not report its pods",
        Stage.CONNECTED: "was silent",
        Stage.LEAVING: "announced its end and did not end",
    }[stage]
    remedy = "it hangs or waits for another plugin: see its log"
    return f"{readable(path)}: the container runtime {what} within {limit_ns // S} s; {remedy}"


def unfinished_sentence(path: str, limit_ns: int) -> str:
    """The runtime stopped in the middle of a message."""
    return f"{readable(path)}: the container runtime stopped in the middle of a message for {limit_ns // S} s; it is tried again"


def unread_sentence(path: str) -> str:
    """The runtime does not read what is sent."""
    return f"{readable(path)}: the container runtime does not read the plugin's answers; see its log"


def ended_sentence(path: str, stage: Stage) -> str:
    """The runtime has closed the connection."""
    if stage is Stage.LEAVING:
        return f"{readable(path)}: the container runtime has shut down; its pods are read again when it is back"
    if stage is Stage.CONNECTED:
        return f"{readable(path)}: the container runtime has closed the connection; it is tried again"
    return f"{readable(path)}: the container runtime closed the connection while {stage.value}; see its log"
