"""Brings the sealed files of each segment to a bucket or a folder, under names that follow from the segment alone.

So a file that is sent again meets itself and is passed. What is under its name with another content stays, and counts as refused.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.failpoint import failpoint
from agent.model.tables import GAP
from agent.model.timebase import civil_date
from agent.store.batch import StoredBatch
from agent.store.layout import date_folder, host_in_names
from workers.export.object.sealed_file import SealedFiles
from workers.export.object.store import Store, StoreFailure
from workers.export.sink import Delivered, Parcel, Verdict

EXISTS = "exists_with_other_content"


class SegmentParcel:
    """The files of one segment: rows by table and date, and which are there already."""

    def __init__(self, segment: str, host: str, rows: dict[tuple[str, str], int]) -> None:
        self.segment = segment
        self.host = host
        self.rows = rows
        self.settled: set[tuple[str, str]] = set()
        # Names that are taken, with the rows of the file that has none there.
        self.refused: dict[str, int] = {}
        self.size_bytes = 0

    @property
    def points(self) -> int:
        """Its rows."""
        return sum(self.rows.values())


class ObjectLayout(Struct, frozen=True):
    """How files are named: below `prefix`, which may be empty."""

    prefix: str

    def name_of(self, table: str, date: str, host: str, file: str) -> str:
        """`<prefix>/<table>/date=YYYY-MM-DD/host=<host>/<file>`."""
        return "/".join(filter(None, (self.prefix, table, date_folder(date), f"host={host_in_names(host)}", file)))


class ObjectSink:
    """See `workers.export.sink.Sink`."""

    def __init__(self, store: Store, files: SealedFiles, layout: ObjectLayout, tables: Sequence[str]) -> None:
        self._store = store
        self._files = files
        self._layout = layout
        self._wants_gap = GAP.name in tables

    def take(self, batches: Sequence[StoredBatch]) -> Parcel | None:
        """One part for each table and date of one segment."""
        assert len({batch.place.segment for batch in batches}) == 1
        rows: dict[tuple[str, str], int] = {}
        for batch in batches:
            key = batch.table, civil_date(batch.entry.stamp_wall_ns)
            rows[key] = rows.get(key, 0) + batch.entry.rows
        return SegmentParcel(batches[0].place.segment, batches[0].spool_host or batches[0].host, rows)

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """Each segment stands for itself."""

    def snapshot(self) -> bytes:
        """Nothing."""
        return b""

    def restore(self, snapshot: bytes) -> None:
        """Nothing."""

    def left_out(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def deliver(self, parcel: Parcel) -> Verdict:
        """File by file; what is there already is not sent again."""
        assert isinstance(parcel, SegmentParcel)
        parcel.size_bytes = 0
        try:
            for table, date in self._wanted(parcel):
                self._send(parcel, table, date)
        except StoreFailure as failure:
            return failure.verdict
        self._files.forget()
        if not parcel.refused:
            return Delivered()
        first = next(iter(parcel.refused))
        more = f" (and {len(parcel.refused) - 1} more)" if len(parcel.refused) > 1 else ""
        return Delivered(
            sum(parcel.refused.values()), EXISTS, f"{first}{more} is there with another content, which was left as it is"
        )

    def _wanted(self, parcel: SegmentParcel) -> list[tuple[str, str]]:
        """*Raises:* StoreFailure."""
        wanted = set(parcel.rows)
        if self._wants_gap:
            # Rows that did not fit their table have made one of `gap`, which no batch has brought.
            for date in {date for _, date in wanted}:
                if self._files.has(parcel.segment, GAP.name, date) or self._files.is_compacted(GAP.name, date):
                    wanted.add((GAP.name, date))
        return sorted(wanted - parcel.settled)

    def _send(self, parcel: SegmentParcel, table: str, date: str) -> None:
        """*Raises:* StoreFailure."""
        file = self._files.read(parcel.segment, table, date)
        if file is not None:
            name = self._layout.name_of(table, date, parcel.host, file.name)
            failpoint("object.before_put")
            parcel.size_bytes += len(file.content)
            if not self._store.put(name, file.content):
                parcel.refused[name] = parcel.rows.get((table, date), 0)
            failpoint("object.put")
        parcel.settled.add((table, date))

    def probe(self) -> Verdict:
        """Whether the place can be reached."""
        try:
            return Delivered(sentence=self._store.probe())
        except StoreFailure as failure:
            return failure.verdict

    def close(self) -> None:
        """What was made again goes."""
        self._files.forget()
