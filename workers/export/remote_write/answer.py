"""What a receiver of remote writes answered to one request. PURE.

*Source:* prometheus.io/docs/specs/prw/remote_write_spec_2_0, "Retries & Backoff", "Partial Write"; for 1.0, remote_write_spec.
"""

from collections.abc import Mapping

from msgspec import Struct

_WRITTEN = ("x-prometheus-remote-write-samples-written", "x-prometheus-remote-write-histograms-written")
# What receivers say of samples that are older than they take. Prometheus, Mimir, Thanos, VictoriaMetrics.
_TOO_OLD = ("out of order", "out of bounds", "too old", "out-of-order", "timestamp too")
_DUPLICATE = ("duplicate sample",)


class WriteOutcome(Struct, frozen=True):
    """Of one request: how many of its samples were refused for good, and why.

    `speaks_2` is False where a receiver did not understand a request of version 2.0: nothing of it was taken.
    """

    refused: int = 0
    reason: str = ""
    speaks_2: bool = True


def is_retried(status: int) -> bool:
    """Whether a request comes again, whole."""
    return status == 429 or status >= 500


def outcome_of(status: int, headers: Mapping[str, str], samples: int, said: str, *, is_version_2: bool) -> WriteOutcome | None:
    """What became of a request with so many samples and histograms; None: nothing that this protocol says, see `verdict_of`.

    A receiver that answers 2xx without the headers of version 2.0 took the bytes for version 1.0, in which they are nothing.
    """
    written = _written(headers)
    if is_version_2 and (status == 415 or (status < 300 and written is None)):
        return WriteOutcome(speaks_2=False)
    if status < 300:
        missing = 0 if written is None else max(0, samples - written)
        return WriteOutcome(missing, "not_written" if missing else "")
    if status == 400:
        return WriteOutcome(samples if written is None else max(0, samples - written), reason_in(said))
    return None


def reason_in(said: str) -> str:
    """The word for counters of what a receiver says about samples that it refused."""
    text = said.lower()
    if any(words in text for words in _TOO_OLD):
        return "too_old"
    return "duplicate" if any(words in text for words in _DUPLICATE) else "http_400"


def _written(headers: Mapping[str, str]) -> int | None:
    """How many samples and histograms were written. *Absent:* None where the receiver does not say it."""
    found = [headers[name].strip() for name in _WRITTEN if name in headers]
    return sum(int(text) for text in found if text.isdecimal() and len(text) < 19) if found else None
