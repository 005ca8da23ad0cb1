"""The heads of new segments: what this writer is, which installation it belongs to, and the columns of its tables."""

from collections.abc import Callable, Mapping

from agent.model.message import Identity
from agent.model.table import Table
from agent.ports import Clock
from agent.store import install
from agent.store.record import FORMAT_VERSION, Mark, SegmentHead, form_of
from agent.store.segment import segment_id
from workers.writer.folder import storage_error
from workers.writer.readers import ReaderGroup


class SegmentHeads:
    """Makes heads. `install` is the id of the installation; empty until `keep_install` has found or made it. `forms` has the
    columns of each table."""

    def __init__(
        self, clock: Clock, identity: Identity, tables: Mapping[str, Table], host: str, agent_version: str,
        segment_ids: Callable[[], str],
    ) -> None:  # fmt: skip
        self._clock = clock
        self._identity = identity
        self.forms = {name: form_of(table) for name, table in tables.items()}
        self._host = host
        self._agent_version = agent_version
        self._segment_ids = segment_ids
        self.install = ""

    def keep_install(self, state_dir: str, known: str | None, readers: ReaderGroup) -> None:
        """Find the id of the installation, or make it; `known` is what the spool tells. *Raises:* StorageError."""
        path = f"{state_dir}/{install.NAME}"
        try:
            self.install = install.keep_install(state_dir, known, lambda descriptor: readers.share_file(descriptor, path))
        except OSError as cause:
            raise storage_error(path, cause) from cause

    def make(
        self, generation: int, durable: int, superseded: tuple[str, ...], marks: tuple[Mark, ...], foreign: bytes
    ) -> SegmentHead:
        """The head of a segment that is opened now."""
        assert self.install, "no segment is opened before the installation is known"
        return SegmentHead(
            format=FORMAT_VERSION,
            segment=segment_id(generation, self._segment_ids()),
            host=self._host,
            run=self._identity.run,
            agent_version=self._agent_version,
            created_wall_ns=self._clock.wall_ns(),
            tables=self.forms,
            marks=marks,
            durable=durable,
            superseded=superseded,
            install=self.install,
            foreign=foreign,
        )
