"""In which format a client wants metrics. PURE. *Source:* RFC 9110, 12.5.1."""

import re
from enum import Enum


class MetricsFormat(Enum):
    """The formats in which metrics are shown; between equals in an Accept header the later one wins."""

    PLAIN = ("text/plain", ())
    OPENMETRICS = ("application/openmetrics-text", (("version", "1."),))
    PROTOBUF = (
        "application/vnd.google.protobuf",
        (("proto", "io.prometheus.client.metricfamily"), ("encoding", "delimited")),
    )


def preferred_format(accept: str) -> MetricsFormat:
    """The format that an Accept header prefers by the quality of its ranges; the plain text format where it names none.

    A range of another version, message or encoding, or of quality 0, does not count.
    """
    best: dict[MetricsFormat, float] = {}
    for media_range in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in media_range.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        for each in MetricsFormat:
            if media_type == each.value[0] and all(values.get(name, wanted).startswith(wanted) for name, wanted in each.value[1]):
                best[each] = max(best.get(each, 0.0), _quality(values.get("q", "1")))
    found = [(quality, number) for number, each in enumerate(MetricsFormat) if (quality := best.get(each, 0.0)) > 0]
    return list(MetricsFormat)[max(found)[1]] if found else MetricsFormat.PLAIN


def _quality(text: str) -> float:
    # Three decimals at most (RFC 9110, 12.4.2); anything else counts as not acceptable.
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 0.0
