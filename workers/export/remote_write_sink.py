"""The sink of Prometheus remote write: rows become series, series become requests, and a receiver says what it took.

One thread calls `take`, another one `deliver`; they share the version of the protocol that was found, which is one number.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from cramjam import snappy
from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.foreign import readable
from agent.store.batch import StoredBatch
from workers.export.http_client import HttpClient
from workers.export.http_verdict import plain_text
from workers.export.names import Names
from workers.export.pace import CHUNK_MOST_BYTES
from workers.export.remote_write import version_1, version_2
from workers.export.remote_write.answer import is_retried, outcome_of
from workers.export.remote_write.sample import WrittenSeries, divided_at, series_of
from workers.export.series.catalogue import NAME_TABLES
from workers.export.series.table import SeriesTable
from workers.export.series.tracked import SeriesPoint
from workers.export.sink import Delivered, Later, Parcel, Paused, Refused, TooLarge, Verdict

# Receivers limit the size of a request; Prometheus itself sends 2,000 samples at a time. Some 1 MB before compression.
SAMPLES_MAX = 10_000
# Of a parcel in which some samples are too old: some hundred requests find them one by one.
DIVISIONS_MAX = 256
# A receiver says these of a sample that it has already too, unless it is the newest of its series.
_OF_TIME = ("too_old", "duplicate")
# A series without samples costs a receiver nothing, and says whether it takes our requests.
_NOTHING: tuple[WrittenSeries, ...] = ()

Pairs = tuple[tuple[str, str], ...]


class RemoteWriteOptions(Struct, frozen=True):
    """`common`: labels of every series. `version`: 1 or 2 where the protocol is set, None where it is found out.
    `repeated_bytes_max`: as many stored bytes as one delivery holds at most, which the process before may have sent already."""

    target: str
    common: Pairs
    interval_ns: int
    series_max: int
    has_pids: bool
    version: int | None = None
    samples_max: int = SAMPLES_MAX
    repeated_bytes_max: int = CHUNK_MOST_BYTES


class _Request:
    """Some series that travel together, encoded once for each version."""

    def __init__(self, series: Sequence[WrittenSeries]) -> None:
        self.series = series
        self.samples = sum(len(each.samples) for each in series)
        self._bodies: dict[int, bytes] = {}

    def body(self, version: int) -> bytes:
        """The bytes of the request: the same each time."""
        if version not in self._bodies:
            encode = version_2.encoded_2 if version == 2 else version_1.encoded_1
            self._bodies = {version: bytes(snappy.compress_raw(encode(self.series)))}
        return self._bodies[version]

    def halves(self) -> "list[_Request]":
        """The same in two requests, the earlier samples first; of one time the series divided; none where it is one sample."""
        times = sorted({sample.at_ms for each in self.series for sample in each.samples})
        if len(times) > 1:
            return [_Request(part) for part in divided_at(self.series, times[len(times) // 2])]
        middle = len(self.series) // 2
        return [_Request(self.series[:middle]), _Request(self.series[middle:])] if middle else []


class WriteParcel:
    """The requests of some batches. What was acknowledged is no longer in `requests`, and counted in `refused`."""

    def __init__(self, requests: list[_Request], rows: int, unreadable_rows: int, size_bytes: int) -> None:
        self.requests = requests
        self.points = sum(request.samples for request in requests)
        self.size_bytes = size_bytes
        self.rows = rows
        self.unreadable_rows = unreadable_rows
        self.refused = 0
        self.reason = ""
        self.sentence = ""
        # One of the first after a start: the process before may have sent it too, divided in another way.
        self.is_perhaps_repeated = False
        self.divisions = 0

    def verdict(self) -> Delivered:
        """All of it was answered."""
        if self.refused:
            rows = min(self.rows, max(1, round(self.rows * self.refused / max(1, self.points))))
            return Delivered(min(self.rows, rows + self.unreadable_rows), self.reason, self.sentence)
        if self.unreadable_rows:
            return Delivered(self.unreadable_rows, "unreadable", "rows in the spool cannot be read")
        return Delivered(sentence=self.sentence)

    def divide(self) -> bool:
        """Make two requests of the first; False: it cannot be divided, or was divided often enough."""
        halves = self.requests[0].halves() if self.divisions < DIVISIONS_MAX else []
        self.divisions += bool(halves)
        self.requests[:1] = halves or self.requests[:1]
        return bool(halves)

    def settle(self, outcome: "_Counted") -> None:
        """The first request was answered for good."""
        refused, sentence = outcome.refused, outcome.sentence
        if refused and self.is_perhaps_repeated and outcome.reason in _OF_TIME:
            refused, sentence = 0, f"{refused} samples were there already, or are too old ({sentence})"
        if refused:
            self.refused += refused
            self.reason = outcome.reason
        self.sentence = sentence or self.sentence
        del self.requests[0]


class _Held(Struct, frozen=True, array_like=True):
    """What is kept of a sink: names, and the series."""

    names: bytes
    series: bytes


_DECODER = msgspec.msgpack.Decoder(_Held)


class RemoteWriteSink:
    """See `workers.export.sink.Sink`."""

    def __init__(self, options: RemoteWriteOptions, client: HttpClient, note: Callable[[str, str, str], None]) -> None:
        self._options = options
        self._client = client
        self._note = note
        self._version = options.version or 2
        self._names = Names()
        self._table = self._new_table()
        # Stored bytes of rows that were taken since the start.
        self._taken_bytes = 0

    def take(self, batches: Sequence[StoredBatch]) -> Parcel | None:
        """See Sink. Rows that cannot be read are told with the verdict, so that the others are not lost for them."""
        points, rows, unreadable_rows = self._learn(batches)
        series = series_of(points, self._options.common)
        if not series and not unreadable_rows:
            return None
        requests = [_Request(part) for part in _parts(series, self._options.samples_max)]
        size_bytes = sum(len(request.body(self._version)) for request in requests)
        parcel = WriteParcel(requests, rows, unreadable_rows, size_bytes)
        parcel.is_perhaps_repeated = self._taken_bytes < self._options.repeated_bytes_max
        self._taken_bytes += sum(len(batch.rows) for batch in batches)
        return parcel

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """See Sink."""
        self._learn(batches)

    def left_out(self) -> Mapping[str, int]:
        """Series beyond the budget."""
        return {"series": sum(self._table.budget.left_out_total.values())}

    def snapshot(self) -> bytes:
        """See Sink."""
        return msgspec.msgpack.encode(_Held(self._names.snapshot(), self._table.snapshot()))

    def restore(self, snapshot: bytes) -> None:
        """See Sink."""
        self._names = Names()
        self._table = self._new_table()
        if not snapshot:
            return
        try:
            found = _DECODER.decode(snapshot)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise FormatError("totals of a sink", f"they cannot be read: {cause}", "they begin again") from cause
        self._names.restore(found.names)
        self._table.restore(found.series)

    def deliver(self, parcel: Parcel) -> Verdict:
        """See Sink."""
        assert isinstance(parcel, WriteParcel)
        while parcel.requests:
            request = parcel.requests[0]
            outcome = self._write(request)
            if (isinstance(outcome, TooLarge) or self._is_rolled_back(outcome)) and parcel.divide():
                continue
            if isinstance(outcome, Refused | TooLarge):
                reason = "too_large" if isinstance(outcome, TooLarge) else outcome.reason
                outcome = _Counted(request.samples, reason, outcome.sentence)
            if not isinstance(outcome, _Counted):
                return outcome
            parcel.settle(outcome)
        return parcel.verdict()

    def probe(self) -> Verdict:
        """See Sink."""
        outcome = self._write(_Request(_NOTHING))
        if isinstance(outcome, _Counted):
            return Refused(outcome.reason, outcome.sentence) if outcome.reason else Delivered(sentence=outcome.sentence)
        return outcome

    def close(self) -> None:
        """See Sink."""
        self._client.close()

    def _is_rolled_back(self, outcome: "_Counted | Verdict") -> bool:
        """In version 1.0 one sample that is too old costs its whole request: all others are good."""
        return self._version == 1 and isinstance(outcome, _Counted) and outcome.refused > 1 and outcome.reason in _OF_TIME

    def _new_table(self) -> SeriesTable:
        options = self._options
        return SeriesTable(self._names, series_max=options.series_max, has_pids=options.has_pids, interval_ns=options.interval_ns)

    def _learn(self, batches: Sequence[StoredBatch]) -> tuple[list[SeriesPoint], int, int]:
        """The points of the batches, their rows, and how many of them cannot be read."""
        rows = unreadable_rows = 0
        for batch in batches:
            if batch.table in NAME_TABLES:
                self._names.take(batch)
                continue
            rows += batch.entry.rows
            try:
                self._table.take(batch)
            except FormatError:
                unreadable_rows += batch.entry.rows
        return self._table.take_points(), rows, unreadable_rows

    def _write(self, request: _Request) -> "_Counted | Verdict":
        """Send one request, in version 1.0 where the receiver turns out not to speak 2.0."""
        for _ in range(2):
            version = self._version
            body = request.body(version)
            answer = self._client.post(self._options.target, body, _HEADERS[version])
            if isinstance(answer, Later):
                # Another receiver may answer next time, or a newer one.
                self._version = self._options.version or 2
                return answer
            if isinstance(answer, Paused):
                return answer
            if answer.is_page and answer.status != 415:
                # A web server or a proxy: its success means nothing, and its refusal is not for our samples.
                return self._client.verdict(answer, self._options.target, is_retried) or _Counted(0, "", "")
            said = self._client.hidden(plain_text(answer) or readable(answer.body, 200))
            outcome = outcome_of(answer.status, answer.headers, request.samples, said, is_version_2=version == 2)
            if outcome is None:
                verdict = self._client.verdict(answer, self._options.target, is_retried)
                return verdict or _Counted(0, "", "")
            if outcome.speaks_2 and answer.status < 300 and version == 1 and answer.body:
                place = self._client.place_of(self._options.target)
                return _Counted(0, "", f"{place} answered {answer.status} with words of its own; look whether a receiver is there")
            if outcome.speaks_2:
                return _Counted(outcome.refused, outcome.reason, said if outcome.reason else "")
            if self._options.version == 2:
                return Refused("no_version_2", "the receiver does not take remote write 2.0; set protocol to auto or 1.0")
            self._version = 1
            self._note("prometheus_version_1", "info", "the receiver takes remote write 1.0 only: without types and start times")
        raise AssertionError("version 1.0 is never refused as a version")


class _Counted(Struct, frozen=True):
    """A request that was answered for good."""

    refused: int
    reason: str
    sentence: str


def _headers(content_type: str, version: str) -> Mapping[str, str]:
    return {"Content-Type": content_type, "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": version}


_HEADERS = {1: _headers(version_1.CONTENT_TYPE, version_1.VERSION), 2: _headers(version_2.CONTENT_TYPE, version_2.VERSION)}


def _parts(series: Sequence[WrittenSeries], samples_max: int) -> list[Sequence[WrittenSeries]]:
    """The series in requests of so many samples or little more."""
    found: list[Sequence[WrittenSeries]] = []
    begin = samples = 0
    for place, each in enumerate(series):
        samples += len(each.samples)
        if samples >= samples_max:
            found.append(series[begin : place + 1])
            begin, samples = place + 1, 0
    if begin < len(series):
        found.append(series[begin:])
    return found
