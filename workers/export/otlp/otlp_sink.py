"""The sink of kind `otlp`: rows as OTLP over HTTP, metrics and log records in requests of their own."""

import zlib
from collections.abc import Mapping, Sequence

from agent.model.errors import ConfigError
from agent.store.batch import StoredBatch
from workers.export.http_answer import HttpAnswer
from workers.export.http_client import HttpClient
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.export.otlp.conventions_1_44_process import COMMAND_LINE_OPTION
from workers.export.otlp.encoder import NO_ZEROS, OtlpEncoder
from workers.export.otlp.response import error_text, partial_success
from workers.export.otlp.setup import COMMAND_LINES, ZERO_POINTS, OtlpSetup, otlp_setup
from workers.export.sink import Delivered, Parcel, Paused, Refused, SinkContext, TooLarge, Verdict

# Measured with scripts/bench/exports otlp-encode: level 4 makes 17 % more bytes, level 9 takes half as long again for 4 % fewer.
GZIP_LEVEL = 6
# *Source:* opentelemetry-proto, docs/specification.md, "Retryable Response Codes".
RETRIED = frozenset({429, 502, 503, 504})
_GZIP_WINDOW, _MEMORY_LEVEL = 31, 9
_NOT_SENT_LOGS = "it takes no log records at this place: they are counted as rejected; set `logs = false` if that is right"


def gzip_bytes(data: bytes) -> bytes:
    """The data with gzip: the same data gives the same bytes, for no time is in them."""
    # Filtered: fewer short matches, which makes buckets of sketches 5 % shorter and costs the points nothing.
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW, _MEMORY_LEVEL, zlib.Z_FILTERED)
    return packer.compress(data) + packer.flush()


class OtlpSignal:
    """One request of a parcel. `plain_bytes`: its size before compression. `outcome`: once the sink has settled it."""

    def __init__(self, body: bytes, plain_bytes: int, rows: int, points: int) -> None:
        self.body = body
        self.plain_bytes = plain_bytes
        self.rows = rows
        self.points = points
        self.outcome: Delivered | Refused | None = None


class OtlpParcel:
    """What one delivery carries; None: nothing of this signal. A signal that was settled is not sent again."""

    def __init__(self, metrics: OtlpSignal | None, logs: OtlpSignal | None, bad_rows: int) -> None:
        self.metrics = metrics
        self.logs = logs
        self.bad_rows = bad_rows

    @property
    def signals(self) -> list[OtlpSignal]:
        """Those that there are."""
        return [signal for signal in (self.metrics, self.logs) if signal is not None]

    @property
    def size_bytes(self) -> int:
        """See Parcel."""
        return sum(len(signal.body) for signal in self.signals)

    @property
    def points(self) -> int:
        """See Parcel."""
        return sum(signal.points for signal in self.signals)


class OtlpSink:
    """See `workers.export.sink.Sink`."""

    def __init__(self, context: SinkContext) -> None:
        values = context.settings
        self._wall_ns = context.wall_ns
        self._tables = frozenset(context.tables)
        options = {COMMAND_LINE_OPTION} if values.of(COMMAND_LINES) else set()
        self._encoder = OtlpEncoder(
            CONVENTIONS, context.agent_version, frozenset(options if values.of(ZERO_POINTS) else options | {NO_ZEROS})
        )
        self._setup: OtlpSetup | None = None
        self._problem = ""
        self._clients: dict[str, tuple[HttpClient, str]] = {}
        try:
            self._setup = otlp_setup(values, context.variables)
        except ConfigError as failure:
            # A variable, for the section was checked: a person can repair it, and what is stored waits.
            self._problem = failure.sentence

    def take(self, batches: Sequence[StoredBatch]) -> OtlpParcel | None:
        """See Sink."""
        encoded = self._encoder.take(batches, self._tables)
        setup = self._setup
        metrics = self._signal(
            encoded.metrics, encoded.metric_rows, encoded.points, is_sent=setup is None or setup.metrics is not None
        )
        logs = self._signal(encoded.logs, encoded.log_rows, encoded.records, is_sent=setup is None or setup.logs is not None)
        if metrics is None and logs is None and not encoded.bad_rows:
            return None
        return OtlpParcel(metrics, logs, encoded.bad_rows)

    def skip(self, batches: Sequence[StoredBatch]) -> None:
        """See Sink."""
        self._encoder.skip(batches, self._tables)

    def snapshot(self) -> bytes:
        """See Sink."""
        return self._encoder.state.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """See Sink."""
        self._encoder.restore(snapshot)

    def left_out(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def deliver(self, parcel: Parcel) -> Verdict:
        """See Sink. One signal that is refused does not keep the other one back."""
        assert isinstance(parcel, OtlpParcel)
        setup = self._setup
        if setup is None:
            return Paused(self._problem)
        if any(signal.plain_bytes > setup.request_most for signal in parcel.signals):
            return TooLarge(f"a request of more than {setup.request_most} bytes before compression (request_most)")
        for name, signal in (("metrics", parcel.metrics), ("logs", parcel.logs)):
            if signal is None or signal.outcome is not None:
                continue
            outcome = self._post(name, signal.body, signal.rows)
            if not isinstance(outcome, Delivered | Refused):
                return outcome
            signal.outcome = outcome
        return _sum_of(parcel)

    def probe(self) -> Verdict:
        """See Sink. Sends empty requests, which OTLP allows and which change nothing."""
        if self._setup is None:
            return Paused(self._problem)
        wanted = [name for name, there in (("metrics", self._setup.metrics), ("logs", self._setup.logs)) if there is not None]
        warning = ""
        for name in wanted:
            outcome = self._post(name, self._packed(b""), 0)
            if not isinstance(outcome, Delivered):
                return outcome
            warning = warning or outcome.sentence
        return Delivered(sentence=warning)

    def close(self) -> None:
        """See Sink."""
        for client, _ in self._clients.values():
            client.close()
        self._clients.clear()

    def _signal(self, request: bytes, rows: int, points: int, *, is_sent: bool) -> OtlpSignal | None:
        if not request or not is_sent:
            return None
        return OtlpSignal(self._packed(request), len(request), rows, points)

    def _packed(self, request: bytes) -> bytes:
        return gzip_bytes(request) if self._setup is None or self._setup.is_zipped else request

    def _client(self, name: str) -> tuple[HttpClient, str]:
        """The connection of a signal and its path; both signals of one host share one."""
        if name not in self._clients:
            setup = self._setup
            assert setup is not None
            found = setup.metrics if name == "metrics" else setup.logs
            assert found is not None
            endpoint, http = found
            other = setup.logs if name == "metrics" else setup.metrics
            other_name = "logs" if name == "metrics" else "metrics"
            is_shared = other is not None and (other[0].place, other[1]) == (endpoint.place, http) and other_name in self._clients
            client = self._clients[other_name][0] if is_shared else HttpClient(endpoint, http, wall_ns=self._wall_ns)
            self._clients[name] = (client, endpoint.target)
        return self._clients[name]

    def _post(self, name: str, body: bytes, rows: int) -> Verdict:
        client, target = self._client(name)
        headers = {"Content-Type": "application/x-protobuf"}
        if self._setup is not None and self._setup.is_zipped:
            headers["Content-Encoding"] = "gzip"
        answer = client.post(target, body, headers)
        if not isinstance(answer, HttpAnswer):
            return answer
        if name == "logs" and answer.status == 404 and not answer.is_page and self._takes_metrics:
            return Refused("no_logs", f"{target}: {_NOT_SENT_LOGS}")
        verdict = client.verdict(answer, target, RETRIED.__contains__, error_text(answer))
        if verdict is not None:
            return verdict
        return _delivered(answer, client, rows, client.place_of(target))

    @property
    def _takes_metrics(self) -> bool:
        """Whether metrics go to the same place: in `deliver` and `probe` they went there before."""
        setup = self._setup
        return (
            setup is not None
            and setup.metrics is not None
            and setup.logs is not None
            and setup.metrics[0].place == setup.logs[0].place
        )


def _delivered(answer: HttpAnswer, client: HttpClient, rows: int, place: str) -> Delivered:
    found = partial_success(answer)
    if found is None:
        return Delivered(
            sentence=f"{place} answered {answer.status} in no form that OTLP has; look whether an OTLP receiver is there"
        )
    if not found.rejected:
        return Delivered(sentence=client.hidden(found.message))
    # The receiver counts points and records, the account counts rows: a row is rejected once any of its points is.
    sentence = f"the receiver rejected {found.rejected} points or records: {client.hidden(found.message) or 'it does not say why'}"
    return Delivered(min(found.rejected, rows), "partial_success", sentence)


def _sum_of(parcel: OtlpParcel) -> Verdict:
    """One verdict of what became of both signals."""
    outcomes = [(signal, signal.outcome) for signal in parcel.signals]
    refused = [outcome for _, outcome in outcomes if isinstance(outcome, Refused)]
    if refused and len(refused) == len(outcomes):
        return refused[0]
    rows, reason, sentence = parcel.bad_rows, "bad_row" if parcel.bad_rows else "", ""
    if parcel.bad_rows:
        sentence = f"{parcel.bad_rows} rows do not fit their columns or have no histogram"
    for signal, outcome in outcomes:
        if isinstance(outcome, Refused):
            rows, reason, sentence = rows + signal.rows, outcome.reason, outcome.sentence
        elif outcome is not None:
            rows += outcome.refused_rows
            reason, sentence = outcome.reason or reason, outcome.sentence or sentence
    return Delivered(rows, reason, sentence)
