"""One stored batch as a reader of the spool gets it. PURE."""

from msgspec import Struct

from agent.store.place import Place
from agent.store.record import BatchIdentity, Entry, TableForm


class StoredBatch(Struct, frozen=True):
    """The rows of one table that one worker sent at one moment, still encoded, and where they stand in the spool.

    `place` is before it, `behind` is before what follows. `entry` says who sent it, when, and how many rows it has. `form` has its
    columns, by which `agent.store.row_decoder` decodes `rows`. `host` is the name of the host at that time, `install` its
    installation. `spool_host` is the host in whose spool it stands, whose name its sealed file has; empty: the same.
    """

    place: Place
    behind: Place
    entry: Entry
    form: TableForm
    host: str
    install: str
    rows: bytes
    spool_host: str = ""

    @property
    def table(self) -> str:
        """The name of the table."""
        return self.entry.table

    @property
    def identity(self) -> BatchIdentity:
        """Unique over all hosts and all times."""
        entry = self.entry
        return BatchIdentity(self.install, entry.run, entry.worker, entry.epoch, entry.seq)
