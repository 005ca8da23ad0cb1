"""What a worker process is told when it starts, by the supervisor's launcher. Plain data."""

import msgspec
from msgspec import Struct

from agent.config import Config
from agent.model.message import Ending, Identity


class Launch(Struct, frozen=True):
    """One generation of one worker: who it is, where its sockets are, its settings, how the generations before it ended."""

    identity: Identity
    kind: str
    bus_path: str
    data_path: str
    state_dir: str
    host: str
    agent_version: str
    config: Config
    endings: tuple[Ending, ...] = ()


# Made with the module, once for all workers that are forked: it takes longer than the decoding, and touches much memory.
_DECODER = msgspec.msgpack.Decoder(Launch)


def encode_launch(launch: Launch) -> bytes:
    """The bytes handed to the new process."""
    return msgspec.msgpack.encode(launch)


def decode_launch(data: bytes) -> Launch:
    """The launch order in the new process."""
    return _DECODER.decode(data)
