"""The metrics of engines: texts as they print them, every prefix, every byte altered, and any bytes."""

import re
from itertools import product
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.absence import Absence
from agent.model.engine_load import COUNT_MAX, LINE_BYTES_MAX, SERIES_MAX, EngineLoad, no_load, parse_engine_load

FIXTURES = Path(__file__).parents[3] / "fixtures/engine_metrics"
NOT_TOLD = (Absence.NOT_TOLD,)
TEXTS = {
    "vllm-cold": EngineLoad("vllm", 0, 0, 0.0),
    "vllm-two-engines": EngineLoad("vllm", 6, 8, 0.72),
    "vllm-before-the-new-name": EngineLoad("vllm", 1, 7, 0.0625),
    "vllm-both-names": EngineLoad("vllm", 0, 2, 0.25),
    "sglang": EngineLoad("sglang", 2, 4, 0.28),
    "sglang-ranks": EngineLoad("sglang", 3, 8, 0.05),
    "sglang-priorities": EngineLoad("sglang", 2, 14, 0.5),
    "tgi": EngineLoad("tgi", 7, 4, None, NOT_TOLD),
    "llama-server": EngineLoad("llama-server", 1, 2, None, NOT_TOLD),
    "llama-server-with-cache": EngineLoad("llama-server", 1, 2, 0.125),
}
WAITING, RUNNING, CACHE = b"vllm:num_requests_waiting", b"vllm:num_requests_running", b"vllm:kv_cache_usage_perc"


def text_of(name: str) -> bytes:
    return (FIXTURES / f"{name}.prom").read_bytes()


def relevant(text: bytes) -> bytes:
    """The lines of the engine's own gauges."""
    wanted = re.compile(
        rb"(?:# [A-Z]+ )?(?:vllm|sglang|tgi|llamacpp)[:_](?:num_re|num_run|num_q|kv|gpu|token_u|queue|batch|requests)"
    )
    return b"".join(line for line in text.splitlines(keepends=True) if wanted.match(line))


def waiting_of(*lines: bytes) -> EngineLoad:
    """Of a text with these lines, where `W` stands for the name."""
    return parse_engine_load(b"".join(line.replace(b"W", WAITING) + b"\n" for line in lines))


def test_every_fixture_is_tested() -> None:
    """None is forgotten."""
    assert {path.stem for path in FIXTURES.glob("*.prom")} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_what_an_engine_prints(name: str) -> None:
    """Sums over engines, the fullest cache; longer names, `_created` and other metrics are not meant; with any ends of lines."""
    text = text_of(name)
    assert parse_engine_load(text) == TEXTS[name]
    assert parse_engine_load(text.replace(b"\n", b"\r\n")) == TEXTS[name]
    assert parse_engine_load(relevant(text)) == TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_every_prefix(name: str) -> None:
    """A number that is cut is no number, and what is missing is not zero: each is absent or what whole lines say."""
    text, whole = relevant(text_of(name)), TEXTS[name]
    for end in range(len(text)):
        load = parse_engine_load(text[:end])
        lines = parse_engine_load(text[: text.rfind(b"\n", 0, end) + 1])
        assert load == lines
        assert load.engine in (None, whole.engine)
        for column in ("waiting", "running", "kv_cache_share"):
            number = getattr(load, column)
            assert number is None or number <= getattr(whole, column)
            assert number is not None or load.absent
    assert no_load(Absence.NOT_TOLD) == parse_engine_load(b"")


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - {"sglang-ranks"}))
def test_every_byte_altered(name: str) -> None:
    """Nothing raises, and every number is in its range."""
    text = relevant(text_of(name))
    for place, other in product(range(len(text)), (b"\xff", b"\n", b'"', b"9")):
        is_sound(parse_engine_load(text[:place] + other + text[place + 1 :]))


def is_sound(load: EngineLoad) -> None:
    numbers = (load.waiting, load.running, load.kv_cache_share)
    assert bool(load.absent) == (None in numbers)
    assert load.is_known == any(number is not None for number in numbers)
    assert all(number is None or (type(number) is int and 0 <= number <= COUNT_MAX) for number in numbers[:2])
    assert load.kv_cache_share is None or 0 <= load.kv_cache_share <= 1
    assert list(load.absent) == sorted(set(load.absent))


@pytest.mark.parametrize(
    ("word", "waiting"),
    [
        (b"0", 0), (b"-0", 0), (b"3.0", 3), (b"+3", 3), (b"2e3", 2000), (b".0", 0), (b"1.", 1), (b"1e9", COUNT_MAX),
        (b"3 1700000000000", 3), (b"3 -5 ", 3), (b"\t3\t", 3), (b"3\r", 3),
    ],
)  # fmt: skip
def test_numbers(word: bytes, waiting: int) -> None:
    """As the format has them; a time behind is not the number."""
    assert waiting_of(b"W " + word) == EngineLoad("vllm", waiting, None, None, NOT_TOLD)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        *((word, Absence.OUT_OF_RANGE) for word in (b"NaN", b"+Inf", b"-inf", b"-1", b"2.5", b"1e10", b"1e999", b"9" * 40, b"nan")),
        *((word, Absence.MALFORMED) for word in (b"x", b"1_0", b"0x10", b"1 2 3", b"", b"1,5", b"9" * 65, b"\xff", "٣".encode())),
    ],
)
def test_what_is_no_number_of_requests(word: bytes, reason: Absence) -> None:
    """It is absent, and does not spoil the others."""
    text = WAITING + b" " + word + b"\n" + RUNNING + b" 4\n" + CACHE + b" 0.5\n"
    assert parse_engine_load(text) == EngineLoad("vllm", None, 4, 0.5, (reason,))


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ((b"0.5", b"0.75"), 0.75),
        ((b"1",), 1.0),
        ((b"1.004",), 1.0),
        ((b"-0.0",), 0.0),
        ((b"1.02",), None),
        ((b"-0.1",), None),
        ((b"0.5", b"NaN"), None),
        ((b"83",), None),
    ],
)
def test_shares(words: tuple[bytes, ...], share: float | None) -> None:
    """The fullest; a little too much is full; one that is unknown may be the fullest."""
    text = b"".join(CACHE + b'{engine="%d"} ' % number + word + b"\n" for number, word in enumerate(words))
    assert parse_engine_load(RUNNING + b" 1\n" + text).kv_cache_share == share


def test_the_newest_name_counts() -> None:
    """An engine that writes both may go on with one of them alone."""
    old = b"vllm:gpu_cache_usage_perc 0.5\n"
    assert parse_engine_load(old).kv_cache_share == 0.5
    assert parse_engine_load(old + CACHE + b" 0.25\n").kv_cache_share == 0.25
    assert parse_engine_load(old + CACHE + b" NaN\n") == EngineLoad("vllm", absent=(Absence.NOT_TOLD, Absence.OUT_OF_RANGE))


def test_a_name_without_a_sample_is_not_told() -> None:
    """Declared only, as a server does before its engine runs; and a longer name is another one."""
    assert waiting_of(b"# HELP W x", b"# TYPE W gauge") == no_load(Absence.NOT_TOLD)
    assert waiting_of(b'W_by_reason{reason="capacity"} 9', b"W_created 5", b"xW 3", b" W 3") == no_load(Absence.NOT_TOLD)


def test_labels() -> None:
    """Values of labels have whatever they want; blanks and a last comma are allowed."""
    hostile = rb'W{model_name="a} 5\n \"b\", W 7",engine="0"} 3'
    assert waiting_of(hostile).waiting == 3
    assert waiting_of(b'W{ engine = "0" , model="\xff\xfe", } 4').waiting == 4
    assert waiting_of(b"W{} 5").waiting == 5


@pytest.mark.parametrize(
    "line",
    [
        b'W{engine="0" 3', b"W{engine=0} 3", b'W{engine="0"}', b'W{engine="0"}3', b'W{a="1" b="2"} 3', b'W{a="1",a="2"} 3',
        b'W{a="\\"} 3', b'W{,} 3', b"W ", b"W{" + b'a="1",' * 2000 + b"} 3", b'W{a="' + b"x" * LINE_BYTES_MAX + b'"} 3',
    ],
)  # fmt: skip
def test_a_line_that_is_no_sample(line: bytes) -> None:
    """Nothing is guessed from its parts."""
    assert waiting_of(b'W{engine="1"} 1', line) == EngineLoad("vllm", absent=(Absence.MALFORMED, Absence.NOT_TOLD))


def test_a_series_that_is_there_twice_has_no_number() -> None:
    """Also where both are the same, or the labels in another order: nothing says that it is the same request."""
    twice = b'W{a="1",b="2"} 3', b'W{b="2",a="1"} 3'
    assert waiting_of(*twice).absent == (Absence.MALFORMED, Absence.NOT_TOLD)
    assert waiting_of(b"W 3", b"W 4").waiting is None


def test_several_engines_in_one_text() -> None:
    """As a router may print: whose numbers they are is not known."""
    assert parse_engine_load(text_of("tgi") + text_of("sglang")) == no_load(Absence.SEVERAL)


def test_ranks_that_work_on_the_same_requests_are_counted_once() -> None:
    """Tensor, pipeline and expert ranks do, data-parallel ones do not; one without a rank among them is their total."""
    ranks = [
        b'sglang:num_queue_reqs{dp_rank="%d",pp_rank="%d",tp_rank="%d"} %d\n' % (dp, pp, tp, 3 + dp)
        for dp, pp, tp in product(range(2), range(2), range(4))
    ]
    total = b'sglang:num_queue_reqs{tp_rank="0"} 7\n'
    assert parse_engine_load(b"".join(ranks)).waiting == 7
    assert parse_engine_load(total + b"".join(ranks)).waiting == 7
    assert parse_engine_load(b'sglang:num_queue_reqs{priority="1"} 2\nsglang:num_queue_reqs{priority="2"} 3\n').waiting == 5


def test_more_than_anybody_has() -> None:
    """Of one name a thousand series; together no more requests than one may have."""
    lines = [b'W{engine="%d"} 1' % number for number in range(SERIES_MAX)]
    assert waiting_of(*lines).waiting == SERIES_MAX
    assert waiting_of(*lines, b"W 1").absent == (Absence.NOT_TOLD, Absence.TOO_MANY)
    assert waiting_of(*(b'W{engine="%d"} 1e9' % number for number in range(2))).absent == (Absence.NOT_TOLD, Absence.OUT_OF_RANGE)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\n", b"<html>\n", b"\xff\xfe" * 1000, b"\0" * 1000, b'"# TYPE llamacpp:x gauge\\nllamacpp:requests_deferred 0\\n"',
        b"vllm:", b"vllm:x 1\n", b"vllm:num_requests_waiting", b"python_info 1\n",
    ],
)  # fmt: skip
def test_what_says_nothing(text: bytes) -> None:
    """Other servers, other documents, other bytes."""
    assert parse_engine_load(text) == no_load(Absence.NOT_TOLD)


@given(st.binary(max_size=300))
def test_any_bytes(noise: bytes) -> None:
    """Alone, as a value, as labels, between good lines."""
    is_sound(parse_engine_load(noise))
    is_sound(waiting_of(b"W " + noise))
    is_sound(waiting_of(b"W{" + noise + b"} 3"))
    is_sound(parse_engine_load(RUNNING + b" 1\n" + noise + b"\n" + CACHE + b" 0.5\n"))


@given(
    st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5), st.floats(0, 1)), min_size=1, max_size=8),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_what_a_library_would_print(engines: list[tuple[int, int, float]], model: str) -> None:
    """With any name of a model, escaped as the format wants it."""
    escaped = model.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").encode()
    names = (WAITING, RUNNING, CACHE)
    text = b"".join(
        name + b'{engine="%d",model_name="%s"} %s\n' % (number, escaped, repr(float(values[place])).encode())
        for place, name in enumerate(names)
        for number, values in enumerate(engines)
    )
    waiting, running, shares = zip(*engines, strict=True)
    assert parse_engine_load(text) == EngineLoad("vllm", sum(waiting), sum(running), max(shares))


@pytest.mark.parametrize(
    "line",
    [b"W{" + b'a="' * 2700, b'W{a="' + b"\\" * 8000, b"W" + b" " * 8100, b"W{" + b" " * 8000, b'W{a="b",' + b'a ="b",' * 1000],
)
def test_no_line_takes_long(line: bytes) -> None:
    """Patterns that go back over a line again and again would let an engine use up the sampler's processor."""
    begun = perf_counter()
    for _ in range(10):
        waiting_of(*[line] * 10)
    # Some ten milliseconds; a pattern that goes back would take hours.
    assert perf_counter() - begun < 10
