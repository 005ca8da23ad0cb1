"""An exporter with a kind of sink as it is, over real segments of table `host`, and a receiver over HTTP that a test can spoil."""

from pathlib import Path

import msgspec
from cramjam import snappy
from fakes.export_host import ExportHost, SpoolFolder
from fakes.segment import WALL_NS, head_of
from fakes.stored_batch import filled
from harness.sinks.http_answer import OK, Answer, Request
from harness.sinks.http_sink import HttpSink, SinkTls
from msgspec.structs import replace

from agent.model.timebase import MS, S
from agent.store.record import Entry, encode_entry, encode_head, form_of
from workers.export.sink import SinkKind
from workers.host.schema import HOST
from workers.registry import all_sink_kinds

TABLES = (HOST.name,)


def real_kind(name: str) -> SinkKind:
    """The kind of this name."""
    return next(kind for kind in all_sink_kinds() if kind.name == name)


class HostSpool(SpoolFolder):
    """Batches of one row of table `host`; the number of a batch is also its second."""

    def rotate(self) -> None:
        """Open the next segment."""
        self.generation += 1
        self.path.write_bytes(encode_head(replace(head_of(self.segment), install=self.install, tables={HOST.name: form_of(HOST)})))

    def append(self, batches: int = 1, rows: int = 1, stamp_wall_ns: int | None = None) -> None:
        """So many seconds; from `stamp_wall_ns` on where it is given."""
        assert rows == 1
        with self.path.open("ab") as file:
            for _ in range(batches):
                self.seq += 1
                self.rows += 1
                at_ns = stamp_of(self.seq) if stamp_wall_ns is None else stamp_wall_ns + self.seq * S
                row = filled(HOST, {"timestamp": at_ns, "elapsed_ns": S, "cores": 4})
                entry = Entry("run-1", "sampler/host", 1, self.seq, HOST.name, at_ns, 1)
                file.write(encode_entry(entry, msgspec.msgpack.encode([row])))


def stamp_of(number: int) -> int:
    """The time of a batch, in ns of unix time."""
    return WALL_NS + number * S


class Receiver(HttpSink):
    """Takes everything until a test gives another `answer`; `taken` has the content of what it answered with success.

    With a size in `content_bytes_max` it refuses longer requests with 413. `sizes`: of the content of every request.
    """

    def __init__(self, tls: SinkTls | None = None) -> None:
        super().__init__(self._next, tls=tls)
        self.answer = OK
        self.content_bytes_max: int | None = None
        self.taken: list[bytes] = []
        self.sizes: list[int] = []

    def _next(self, request: Request) -> Answer:
        content = bytes(snappy.decompress_raw(request.body)) if request.header("Content-Encoding") == "snappy" else request.content
        self.sizes.append(len(content))
        if self.content_bytes_max is not None and len(content) > self.content_bytes_max:
            return Answer(413)
        if self.answer == OK:
            self.taken.append(content)
        return self.answer

    def has(self, at_ns: int) -> bool:
        """Whether a point of this time is in something that it took: as OTLP has times, or as remote write has them."""
        forms = (at_ns.to_bytes(8, "little"), _varint(at_ns // MS))
        return any(form in content for content in self.taken for form in forms)

    def missing(self, last: int) -> list[int]:
        """The numbers of batches up to this one that it does not have."""
        return [number for number in range(1, last + 1) if not self.has(stamp_of(number))]


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


class RealSinkHost(ExportHost):
    """As ExportHost, with a kind of sink as it is. Requests have 300 ms of real time."""

    def __init__(self, state: Path, kind: str, **section: int | str | bool) -> None:
        self._kind_name = kind
        super().__init__(state, values=section, tables=TABLES)

    @property
    def kind(self) -> SinkKind:
        """The real one."""
        return real_kind(self._kind_name)

    @property
    def problem(self) -> str:
        """What it says is wrong."""
        return str(self.stats.get("problem") or "")

    def wait_state(self, state: str) -> None:
        """Until it is `up`, `down` or `paused`."""
        self.run_until(lambda: self.stats["state"] == state, state)

    def wait_settled(self, rows: int) -> None:
        """Until so many rows were found, and none waits."""
        self.run_until(lambda: self.is_settled and self.ledger["produced"] == rows, f"{rows} settled rows")


def over_http(state: Path, kind: str, url: str, **more: int | str | bool) -> RealSinkHost:
    """One whose every row becomes a point, at this URL."""
    section: dict[str, int | str | bool] = {"endpoint": url, "timeout": 300 * MS, "connect_timeout": 300 * MS, **more}
    if kind == "prometheus":
        section |= {"resolution": MS, "protocol": "1.0"}
    return RealSinkHost(state, kind, **section)
