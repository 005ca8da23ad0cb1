"""Joins a hub: the one conversation at its endpoint for joining, and the file that comes of it. It imports zmq, and that late."""

import os
import sys
from contextlib import suppress

from agent.cli.call import Call
from agent.cli.render import text_of
from agent.fleet.invitation import Invitation, Joined, bracketed, decode_joined, encode_join, parse_invitation
from agent.fleet.joined import FOLDER, SUFFIX, JoinedHub, encode_joined_hub
from agent.model.errors import BusyError, MisuseError, PermissionRefused, StorageError, UnavailableError
from agent.model.foreign import readable
from agent.store.install import keep_install, read_install
from workers.fleet.joining_keys import Keys, forget_joining_keys, joining_keys, pending_path

NAME = "hub"
_LINE_BYTES_MAX = 4096
_HANDSHAKE_MS = 5_000


def join_hub(call: Call, text: str) -> int:
    """*Raises:* FormatError, MisuseError, StorageError, UnavailableError, PermissionRefused, BusyError."""
    from agent.sink_section import is_sink_name

    invitation = parse_invitation(sys.stdin.readline(_LINE_BYTES_MAX) if text == "-" else text)
    name = call.text("--name") or NAME
    if not is_sink_name(name):
        raise MisuseError("--name", "a hub cannot be called so here", "lower case letters, digits, - and _, at most 32")
    state_dir = call.state_dir()
    install = _install(state_dir)
    host = readable(call.text("--host") or _own_host(call), 255)
    path = os.path.join(state_dir, FOLDER, name + SUFFIX)
    keys = _keys(path, invitation)
    joined = _ask(call, invitation, keys, encode_join(invitation.token, install, host))
    if not joined.hub:
        forget_joining_keys(path)
        raise PermissionRefused("the hub refuses", joined.sentence)
    endpoint = f"tcp://{bracketed(invitation.host)}:{joined.port}"
    _write(path, encode_joined_hub(JoinedHub(joined.hub, endpoint, invitation.key, *keys)))
    forget_joining_keys(path)
    if call.wants_json:
        call.show_json({"hub": joined.hub, "endpoint": endpoint, "name": name, "node": install, "host": host, "file": path})
        return 0
    call.show([f"joined {text_of(joined.hub)} as {text_of(host)} ({install}); the keys are in {text_of(path)}"])
    if call.hello():
        call.show(["restart the agent, and it reports there: systemctl restart evergauge, or end it and start it again"])
    return 0


def _own_host(call: Call) -> str:
    said = call.hello().get("host")
    return said if isinstance(said, str) and said else os.uname().nodename


def _install(state_dir: str) -> str:
    found = read_install(state_dir)
    if found is not None:
        return found
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        owner = os.stat(state_dir)
        return keep_install(state_dir, share=lambda descriptor: _give(descriptor, owner))
    except OSError as cause:
        raise StorageError(readable(state_dir), f"it cannot be written ({cause.strerror})", "run it as the agent's user") from cause


def _ask(call: Call, invitation: Invitation, keys: Keys, request: bytes) -> Joined:
    """What the hub says. *Raises:* BusyError where it says nothing in time, UnavailableError where there is no way to it."""
    import zmq

    endpoint = f"tcp://{bracketed(invitation.host)}:{invitation.port}"
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, 4096)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.setsockopt(zmq.CURVE_SERVERKEY, invitation.key)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys[0])
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys[1])
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as cause:
            remedy = "look at the host in the invitation"
            raise UnavailableError(endpoint, f"there is no way to it: {cause.strerror}", remedy) from cause
        socket.send(request)
        if not socket.poll(int(call.seconds_left() * 1000)):
            remedy = "is the hub running, is its port open, is the invitation of this hub? give a longer --timeout"
            raise BusyError(endpoint, "the hub does not answer", remedy)
        return decode_joined(socket.recv())
    finally:
        socket.close()
        context.term()


def _keys(path: str, invitation: Invitation) -> Keys:
    try:
        found = joining_keys(path, invitation)
        _give_path(pending_path(path))
    except OSError as cause:
        raise _no_write(path, cause) from cause
    return found


def _write(path: str, data: bytes) -> None:
    """Put the file in place for the owner of the state folder, who is the agent's user."""
    from agent.store.state_file import replace_state_file

    try:
        replace_state_file(path, data)
        _give_path(path)
    except OSError as cause:
        raise _no_write(path, cause) from cause


def _no_write(path: str, cause: OSError) -> StorageError:
    return StorageError(readable(path), f"it cannot be written ({cause.strerror})", "run it as the agent's user")


def _give_path(path: str) -> None:
    if os.geteuid() == 0:
        folder = os.path.dirname(path)
        owner = os.stat(os.path.dirname(folder))
        for each in (folder, path):
            os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _give(descriptor: int, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        with suppress(OSError):
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
