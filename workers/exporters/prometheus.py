"""The kind of sink `prometheus`: remote write, version 2.0 with fallback to 1.0."""

from agent.endpoint import parse_endpoint
from agent.model.errors import ConfigError
from agent.model.timebase import HOUR, MS, S
from agent.setting import Choice, Duration, Switch, Text, Whole
from workers.export.http_option import HTTP_OPTIONS, check_http, http_setup
from workers.export.series.catalogue import NAME_TABLES, TABLES
from workers.export.sink import Sink, SinkContext, SinkKind, SinkValues

ENDPOINT = Text("endpoint", "", "URL that takes remote writes, such as http://prometheus:9090/api/v1/write")
# As most scrapers scrape. Counters lose nothing by it: their sums go on with every row.
RESOLUTION = Duration("resolution", 15 * S, 1 * MS, 1 * HOUR, "one sample of each series in this time; 1ms: of each row")
PROTOCOL = Choice(
    "protocol", "auto", ("auto", "2.0", "1.0"), "version of remote write; auto: 2.0, or 1.0 where the receiver takes no other"
)
SERIES_MAX = Whole("series_max", 10_000, 1, 1_000_000, "how many series are sent at most; the rest is counted")
PID_LABEL = Switch("pid_label", False, "rank processes instead of commands, with their pid as label")
JOB = Text("job", "evergauge", "label `job` of every series; `instance` is the name of the host")
LABELS = Text("labels", "", "further labels of every series: `name=value`, separated by commas")

_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_OWN = ("job", "instance")


def common_labels(values: SinkValues, host: str) -> tuple[tuple[str, str], ...]:
    """The labels of every series. *Raises:* ConfigError where they are not `name=value`."""
    found = dict(zip(_OWN, (values.of(JOB), host), strict=True))
    for text in filter(None, (part.strip() for part in values.of(LABELS).split(","))):
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or name[0].isdecimal() or not _NAME_LETTERS.issuperset(name) or name.startswith("__"):
            raise ConfigError(LABELS.key, "a label is written name=value, with a name of letters, digits and _", "cluster=eu-1")
        found[name] = value
    return tuple(sorted((name, value) for name, value in found.items() if value))


def _check(values: SinkValues) -> str:
    try:
        check_http(values, parse_endpoint(values.of(ENDPOINT)))
        common_labels(values, "host")
    except ConfigError as failure:
        return failure.sentence
    return ""


def _open(context: SinkContext) -> Sink:
    from workers.export.http_client import HttpClient
    from workers.export.remote_write_sink import RemoteWriteOptions, RemoteWriteSink

    values = context.settings
    endpoint = parse_endpoint(values.of(ENDPOINT))
    protocol = values.of(PROTOCOL)
    options = RemoteWriteOptions(
        endpoint.target,
        common_labels(values, context.host),
        values.of(RESOLUTION),
        values.of(SERIES_MAX),
        values.of(PID_LABEL),
        None if protocol == "auto" else int(protocol[0]),
    )
    setup = http_setup(values, "a receiver of remote writes", context.variables)
    return RemoteWriteSink(options, HttpClient(endpoint, setup, wall_ns=context.wall_ns), context.note)


SINK = SinkKind(
    name="prometheus",
    about="Prometheus remote write: Prometheus, Mimir, Thanos, VictoriaMetrics and others that take it",
    options=(ENDPOINT, RESOLUTION, PROTOCOL, SERIES_MAX, PID_LABEL, JOB, LABELS, *HTTP_OPTIONS),
    identity=(ENDPOINT,),
    open=_open,
    tables=TABLES,
    context_tables=NAME_TABLES,
    is_ordered=True,
    check=_check,
    preload=("workers.export.remote_write_sink",),
)
