"""Reads the file of a joined hub, which has this node's secret key. Touches the file system."""

from agent.config import Config
from agent.fleet.joined import FILE_BYTES_MAX, JoinedHub, check_endpoint, parse_joined_hub
from agent.model.errors import FormatError, StorageError
from agent.model.foreign import readable
from agent.model.timebase import MINUTE, S
from agent.setting import Duration, Text
from agent.sink_section import KEY_FILE
from agent.store.state_file import read_state_file

ENDPOINT = Text("endpoint", "", "the hub's endpoint for data, tcp://HOST:9465; empty: as the key file says")
KEY_PATH = Text(KEY_FILE, "", "file that `agentctl join` wrote, with the keys; empty: hubs/NAME.json of the state folder")

INVITATION_FILE = Text(
    "invitation_file", "", "file with the line of `agentctl hub invite`: the node joins by itself where it has no keys; empty: none"
)
ANSWER_TIMEOUT = Duration("answer_timeout", 10 * S, 1 * S, 10 * MINUTE, "how long to wait until the hub has stored a delivery")


def read_hub(config: Config, name: str) -> JoinedHub:
    """The hub that is a sink of this name. *Raises:* FormatError, StorageError."""
    section = config.sinks[name]
    return read_hub_file(section[KEY_PATH.key], section.get(ENDPOINT.key, ""))


def read_hub_file(path: str, endpoint: str = "") -> JoinedHub:
    """The hub of a file; `endpoint` where the settings name another than the file. *Raises:* FormatError, StorageError."""
    remedy = "join the hub: `agentctl join INVITATION`"
    try:
        data = read_state_file(path, FILE_BYTES_MAX)
    except OSError as cause:
        raise StorageError(readable(path), f"it cannot be read ({cause.strerror})", remedy) from cause
    if data is None:
        raise StorageError(readable(path), "it is not there", remedy)
    joined = parse_joined_hub(data, path)
    if endpoint:
        try:
            joined.endpoint = check_endpoint(endpoint)
        except ValueError as cause:
            raise FormatError(ENDPOINT.key, str(cause), "see docs/fleet.md") from cause
    return joined
