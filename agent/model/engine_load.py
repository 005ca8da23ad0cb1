"""How busy an inference server is, by its own metrics: requests waiting and running, and use of the KV cache. PURE.

Foreign bytes, never raising. Unknown is not zero: a number that the text does not have is absent, with the reason. Only the lines
of the names below are read, because a text has thousands of others.
*Source:* the Prometheus text format 0.0.4; the names: vllm/v1/metrics/loggers.py, sglang/srt/observability/metrics_collector.py,
text-generation-inference router/src/server.rs, llama.cpp tools/server/server-context.cpp.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from agent.model.absence import Absence

# A text of vLLM has 50 to 100 KB for each of its data-parallel engines.
METRICS_BYTES_MAX = 1 << 20
# Of one name: one for each data-parallel engine, rank and priority.
SERIES_MAX = 1024
LINE_BYTES_MAX = 8 << 10
# More than any server holds; an engine that writes more of them writes nonsense.
COUNT_MAX = 10**9
# A share is a quotient of fractions, and may be a little above one when the cache is full.
_SHARE_MAX = 1.01

# The labels by which processes that work on the same requests are told apart: their numbers are the same, and not added up.
_SAME_REQUESTS = frozenset({b"tp_rank", b"pp_rank", b"moe_ep_rank", b"attn_cp_rank"})
_LABEL = rb'[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*'
_LABELS = re.compile(_LABEL)
_SAMPLE = re.compile(
    rb"[a-z_:]+(?:\{((?:" + _LABEL + rb"(?:,|(?=\})))*)[ \t]*\})?[ \t]+([^ \t\r]{1,64})(?:[ \t]+-?[0-9]+)?[ \t]*\r?"
)
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# As Go reads them, and as the format has them.
_NO_NUMBER = re.compile(rb"[+-]?(?:inf|infinity)|nan", re.IGNORECASE)

_Sample = tuple[dict[bytes, bytes], float]


class EngineLoad(Struct, frozen=True):
    """What a text says. `engine` in the words of table `unit_model`; `kv_cache_share` from 0 to 1.

    Counts are of all data-parallel engines together, the share is that of the fullest of them.
    *Absent:* a number that the text does not have, or not as one; `absent` has the reasons.
    """

    engine: str | None = None
    waiting: int | None = None
    running: int | None = None
    kv_cache_share: float | None = None
    absent: tuple[Absence, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether there is any number."""
        return not (self.waiting is None and self.running is None and self.kv_cache_share is None)


class _Dialect(Struct, frozen=True):
    """How an engine names the three numbers, the newest name first."""

    engine: str
    prefix: bytes
    waiting: tuple[bytes, ...]
    running: tuple[bytes, ...]
    cache: tuple[bytes, ...] = ()


_DIALECTS = (
    # Since 0.10 it writes the new name, for some releases both; the old one is of the engine before V1 too.
    _Dialect(
        "vllm", b"vllm:", (b"vllm:num_requests_waiting",), (b"vllm:num_requests_running",),
        (b"vllm:kv_cache_usage_perc", b"vllm:gpu_cache_usage_perc"),
    ),
    _Dialect("sglang", b"sglang:", (b"sglang:num_queue_reqs",), (b"sglang:num_running_reqs",), (b"sglang:token_usage",)),
    # It has no metric of its cache.
    _Dialect("tgi", b"tgi_", (b"tgi_queue_size",), (b"tgi_batch_current_size",)),
    # The share of the cache was taken out in May 2025.
    _Dialect(
        "llama-server", b"llamacpp:", (b"llamacpp:requests_deferred",), (b"llamacpp:requests_processing",),
        (b"llamacpp:kv_cache_usage_ratio",),
    ),
)  # fmt: skip


def no_load(reason: Absence, engine: str | None = None) -> EngineLoad:
    """Nothing is known, for this reason."""
    return EngineLoad(engine, absent=(reason,))


def parse_engine_load(text: bytes) -> EngineLoad:
    """What the metrics of an engine say. A last line without its end is not read: it may be the beginning of another number.

    *Absent:* `engine`: the text has no name of a known engine, or those of several.
    """
    # So that every line has its end before it.
    text = b"\n" + text
    spoken = [dialect for dialect in _DIALECTS if _has_names(text, dialect)]
    if len(spoken) != 1:
        return no_load(Absence.SEVERAL if spoken else Absence.NOT_TOLD)
    dialect = spoken[0]
    waiting, running = (_count(_samples(text, names)) for names in (dialect.waiting, dialect.running))
    share = _share(_samples(text, dialect.cache))
    reasons = {part for part in (waiting, running, share) if isinstance(part, Absence)}
    return EngineLoad(
        dialect.engine,
        None if isinstance(waiting, Absence) else waiting,
        None if isinstance(running, Absence) else running,
        None if isinstance(share, Absence) else share,
        tuple(sorted(reasons)),
    )


def _has_names(text: bytes, dialect: _Dialect) -> bool:
    if b"\n" + dialect.prefix not in text:
        return False
    return any(_next_line(text, name, 0) is not None for name in (*dialect.waiting, *dialect.running, *dialect.cache))


def _next_line(text: bytes, name: bytes, start: int) -> tuple[int, int] | None:
    """Where the next whole line of this name and no longer one begins and ends, at `start` or behind it."""
    wanted = b"\n" + name
    while (found := text.find(wanted, start)) >= 0:
        start = found + len(wanted)
        if text[start : start + 1] in (b"{", b" ", b"\t") and (end := text.find(b"\n", start)) >= 0:
            return found + 1, end
    return None


def _samples(text: bytes, names: Sequence[bytes]) -> list[_Sample] | Absence:
    """The samples of the first of these names that the text has, each series once."""
    for name in names:
        place = _next_line(text, name, 0)
        if place is None:
            continue
        samples: list[_Sample] = []
        known: set[frozenset[tuple[bytes, bytes]]] = set()
        while place is not None:
            if len(samples) == SERIES_MAX:
                return Absence.TOO_MANY
            sample = _parse_sample(text, *place)
            if isinstance(sample, Absence):
                return sample
            # A series that is there twice has two values, and nothing says which is meant.
            if (series := frozenset(sample[0].items())) in known:
                return Absence.MALFORMED
            known.add(series)
            samples.append(sample)
            place = _next_line(text, name, place[1])
        return samples
    return Absence.NOT_TOLD


def _parse_sample(text: bytes, start: int, end: int) -> _Sample | Absence:
    found = _SAMPLE.fullmatch(text, start, end) if end - start <= LINE_BYTES_MAX else None
    if found is None:
        return Absence.MALFORMED
    labels, word = found[1] or b"", found[4]
    pairs: list[tuple[bytes, bytes]] = []
    place = 0
    # One behind the other: looked for from each place, a long name without a value would take the square of its length.
    while (label := _LABELS.match(labels, place)) is not None:
        pairs.append((label[1], label[2]))
        place = label.end() + 1
    if len({name for name, _ in pairs}) < len(pairs):
        return Absence.MALFORMED
    if _NUMBER.fullmatch(word) is None:
        return Absence.OUT_OF_RANGE if _NO_NUMBER.fullmatch(word) else Absence.MALFORMED
    # An exponent of any size is infinity here, and is refused as such.
    return dict(pairs), float(word)


def _count(samples: list[_Sample] | Absence) -> int | Absence:
    """All engines together: of processes that work on the same requests the highest, of all others the sum."""
    if isinstance(samples, Absence):
        return samples
    counts: dict[frozenset[tuple[bytes, bytes]], float] = {}
    for labels, number in _without_parts(_without_totals(samples)):
        if not 0 <= number <= COUNT_MAX or number != int(number):
            return Absence.OUT_OF_RANGE
        who = frozenset(pair for pair in labels.items() if pair[0] not in _SAME_REQUESTS)
        counts[who] = max(number, counts.get(who, 0))
    together = int(sum(counts.values()))
    return together if together <= COUNT_MAX else Absence.OUT_OF_RANGE


def _without_parts(samples: list[_Sample]) -> list[_Sample]:
    """SGLang writes the total with an empty priority, and beside it the part of each priority."""
    totals = [sample for sample in samples if not sample[0].get(b"priority")]
    return totals or samples


def _without_totals(samples: list[_Sample]) -> list[_Sample]:
    """Where some samples are of a data-parallel rank, those without one are of all of them together."""
    ranks = [sample for sample in samples if sample[0].get(b"dp_rank")]
    return ranks or samples


def _share(samples: list[_Sample] | Absence) -> float | Absence:
    """That of the fullest engine."""
    if isinstance(samples, Absence):
        return samples
    if not all(0 <= number <= _SHARE_MAX for _, number in samples):
        return Absence.OUT_OF_RANGE
    # Minus zero is zero.
    return min(1.0, max(number for _, number in samples)) + 0.0
