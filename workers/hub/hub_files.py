"""The hub's own files in `<state>/hub`: its key pair, and its members. Touches the file system.

key           {"v": 1, "public_key": "...", "secret_key": "..."}    made at the first start, mode 0600
members.json  who may report, and the digests of open invitations
"""

import json
import os
from collections.abc import Callable

from agent.fleet.invitation import KEY_BYTES, from_text, to_text
from agent.model.errors import FormatError, StorageError
from agent.model.foreign import readable
from agent.store.state_file import read_state_file, replace_state_file
from workers.hub.endpoint import HubKeys
from workers.hub.membership import EMPTY, MembershipDocument, decode_membership, encode_membership

FOLDER = "hub"
KEY_NAME, MEMBERS_NAME = "key", "members.json"
KEY_FILE_BYTES_MAX = 4096
MEMBERS_BYTES_MAX = 64 << 20


class HubFiles:
    """*Raises:* StorageError where the disk refuses, FormatError for content that is not what it should be."""

    def __init__(self, state_dir: str) -> None:
        self._folder = os.path.join(state_dir, FOLDER)

    def keys(self, make: Callable[[], tuple[bytes, bytes]]) -> HubKeys:
        """The hub's keys; `make` gives a new public and secret key, each 32 bytes, where there are none."""
        path = os.path.join(self._folder, KEY_NAME)
        data = self._read(path, KEY_FILE_BYTES_MAX)
        if data is not None:
            return _parse_keys(data, path)
        public, secret = make()
        document = {"v": 1, "public_key": to_text(public), "secret_key": to_text(secret)}
        self._write(path, json.dumps(document).encode() + b"\n")
        return HubKeys(public, secret)

    def members(self) -> MembershipDocument:
        """Who may report; nobody where nothing was written yet."""
        path = os.path.join(self._folder, MEMBERS_NAME)
        data = self._read(path, MEMBERS_BYTES_MAX)
        return EMPTY if data is None else decode_membership(data, readable(path))

    def write_members(self, document: MembershipDocument) -> None:
        """Replace it; afterwards it is on the disk."""
        self._write(os.path.join(self._folder, MEMBERS_NAME), encode_membership(document))

    def _read(self, path: str, bytes_max: int) -> bytes | None:
        try:
            return read_state_file(path, bytes_max)
        except OSError as cause:
            raise StorageError(readable(path), f"it cannot be read ({cause.strerror})", "mend its owner and mode") from cause

    def _write(self, path: str, data: bytes) -> None:
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            replace_state_file(path, data)
        except OSError as cause:
            raise StorageError(readable(path), f"it cannot be written ({cause.strerror})", "make room on the disk") from cause


def _parse_keys(data: bytes, path: str) -> HubKeys:
    try:
        document = json.loads(data)
        if document["v"] != 1:
            raise ValueError("another version")
        return HubKeys(*(from_text(document[name], KEY_BYTES) for name in ("public_key", "secret_key")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        remedy = "restore it from a copy; without it every node has to join again: then remove it and restart the hub"
        raise FormatError(readable(path), "this is no key of a hub", remedy) from None
