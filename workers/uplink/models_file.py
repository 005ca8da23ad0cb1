"""What each unit serves, kept beyond the process: rows of models are stored once a day, and the spool holds some minutes.

It is a cache: where it is lost, models are known again with their next row. Touches the file system.
"""

import os
from collections.abc import Mapping

import msgspec

from agent.fleet.joined import FOLDER
from agent.store.state_file import create_unfinished, read_state_file, write_at
from workers.uplink.live_builder import ModelFact

NAME = "models"
BYTES_MAX = 8 << 20
_DECODER = msgspec.json.Decoder(dict[str, ModelFact])


class ModelsFile:
    """*Raises:* OSError from `write` alone."""

    def __init__(self, state_dir: str) -> None:
        self._folder = os.path.join(state_dir, FOLDER)
        self._path = os.path.join(self._folder, NAME)

    def read(self) -> Mapping[str, ModelFact]:
        """What was written last; nothing where that cannot be read."""
        try:
            data = read_state_file(self._path, BYTES_MAX)
            return {} if data is None else _DECODER.decode(data)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def write(self, models: Mapping[str, ModelFact]) -> None:
        """Replace it. Not forced to the disk: the next start of the agent learns all of it from the sampler."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        unfinished = f"{self._path}.new"
        descriptor = create_unfinished(unfinished)
        try:
            write_at(descriptor, msgspec.json.encode(models), 0)
        finally:
            os.close(descriptor)
        os.rename(unfinished, self._path)
