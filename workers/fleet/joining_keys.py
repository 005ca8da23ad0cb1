"""The key pair of a request to join a hub, kept until the hub has answered.

A hub that has taken a node has used the invitation up; where its answer was lost, it takes the same keys once more, and no others.
"""

import os
from contextlib import suppress

from agent.fleet.invitation import Invitation, bracketed
from agent.fleet.joined import FILE_BYTES_MAX, JoinedHub, encode_joined_hub, parse_joined_hub
from agent.model.errors import FormatError
from agent.store.state_file import read_state_file, replace_state_file

Keys = tuple[bytes, bytes]


def pending_path(key_file: str) -> str:
    """The file of the keys beside the one that is to come."""
    return f"{key_file}.joining"


def new_keys() -> Keys:
    """A public and a secret key of CURVE, 32 bytes each. It imports zmq, and that late: commands start without it."""
    import zmq
    from zmq.utils import z85

    public, secret = zmq.curve_keypair()
    return z85.decode(public), z85.decode(secret)


def joining_keys(key_file: str, invitation: Invitation) -> Keys:
    """Public and secret key to join with: those of a request to the same hub that was not answered, else new ones, which are
    kept. `key_file` is the file that is to come. *Raises:* OSError."""
    path = pending_path(key_file)
    data = read_state_file(path, FILE_BYTES_MAX)
    with suppress(FormatError):
        held = None if data is None else parse_joined_hub(data, path)
        if held is not None and held.hub_key == invitation.key:
            return held.public_key, held.secret_key
    keys = new_keys()
    os.makedirs(os.path.dirname(key_file), mode=0o700, exist_ok=True)
    endpoint = f"tcp://{bracketed(invitation.host)}:{invitation.port}"
    replace_state_file(path, encode_joined_hub(JoinedHub("", endpoint, invitation.key, *keys)))
    return keys


def forget_joining_keys(key_file: str) -> None:
    """The hub has answered."""
    with suppress(OSError):
        os.unlink(pending_path(key_file))
