"""What the options of `agentctl ask` ask for."""

import io

import pytest

from agent.cli.ask_question import PERCENTS_MAX, parts_of, percents_of, question_of
from agent.cli.call import Call
from agent.cli.option import parse_line
from agent.cli.output import Output
from agent.cli.program import find_command
from agent.model.errors import MisuseError


def call_of(*words: str) -> Call:
    line = parse_line(["ask", "percentile", *words], find_command)
    return Call(find_command("ask"), line, {}, Output(io.StringIO(), "output"), Output(io.StringIO(), "warnings"))


def test_options_are_a_question() -> None:
    """Percentiles keep how they were written; pods and commands may be given again."""
    words = "--metric rss --p 50,p99.9 --by pod,command --pod a --pod b --command nginx --lines 3 --since 1970-01-02T00:00Z"
    question = question_of(call_of(*words.split()))
    assert (question.metric.name, question.by, question.lines) == ("rss", ("pod", "command"), 3)
    assert question.percents == (("50", 0.5), ("99.9", 0.9990000000000001))
    assert (question.pods, question.commands) == (frozenset("ab"), frozenset(["nginx"]))
    assert question.since_ns == 86_400 * 1_000_000_000


def test_the_usual_percentiles_are_of_everything_together() -> None:
    """Without options: the median and two of the upper end, on one line."""
    question = question_of(call_of("--metric", "cpu"))
    assert [text for text, _ in question.percents] == ["50", "95", "99"]
    assert (question.by, question.pods, question.commands) == ((), frozenset(), frozenset())


def test_a_percentile_given_twice_is_one_column() -> None:
    """Each has one column."""
    assert percents_of("50, P50 ,0,100") == (("50", 0.5), ("0", 0.0), ("100", 1.0))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("median", "no percentile"),
        ("", "no percentile"),
        ("50,,95", "no percentile"),
        ("101", "between 0 and 100"),
        ("-1", "between 0 and 100"),
        ("nan", "between 0 and 100"),
        (",".join(map(str, range(PERCENTS_MAX + 1))), "too many"),
    ],
)
def test_what_is_no_list_of_percentiles_is_refused(text: str, problem: str) -> None:
    """The sentence names the option and what to write."""
    with pytest.raises(MisuseError, match=problem) as refused:
        percents_of(text)
    assert "--p" in str(refused.value)


@pytest.mark.parametrize(("text", "parts"), [(None, ()), ("pod", ("pod",)), ("command, pod,command", ("command", "pod"))])
def test_an_answer_is_split_by_each_part_once(text: str | None, parts: tuple[str, ...]) -> None:
    """In the order in which they were written."""
    assert parts_of(text) == parts


@pytest.mark.parametrize("text", ["node", "pod,", "pods"])
def test_other_parts_are_refused(text: str) -> None:
    """The sentence names the option."""
    with pytest.raises(MisuseError, match="--by"):
        parts_of(text)


@pytest.mark.parametrize(("words", "option"), [((), "--metric"), (("--metric", "cpu", "--lines", "0"), "--lines")])
def test_a_question_that_lacks_something_is_refused(words: tuple[str, ...], option: str) -> None:
    """The sentence names the option."""
    with pytest.raises(MisuseError, match=option):
        question_of(call_of(*words))


def test_top_is_of_pods_and_commands_and_of_pods_where_only_they_are_measured() -> None:
    """Unless something else is asked for."""

    def by(*words: str) -> tuple[str, ...]:
        line = parse_line(["ask", "top", *words], find_command)
        return question_of(
            Call(find_command("ask"), line, {}, Output(io.StringIO(), "output"), Output(io.StringIO(), "warnings"))
        ).by

    assert by("--metric", "cpu") == ("pod", "command")
    assert by("--metric", "llc") == ("pod",)
    assert by("--metric", "cpu", "--by", "host") == ("host",)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("max", "--metric", "cpu", "--p", "50"), "--p: max has no percentiles"),
        (("percentile", "--metric", "llc", "--by", "command"), "--by: llc is measured of pods"),
        (("percentile", "--metric", "bandwidth", "--command", "x"), "--command: bandwidth is measured of pods"),
    ],
)
def test_what_a_metric_or_question_has_not_is_refused(words: tuple[str, ...], option: str) -> None:
    """The sentence names the option."""
    line = parse_line(["ask", *words], find_command)
    call = Call(find_command("ask"), line, {}, Output(io.StringIO(), "output"), Output(io.StringIO(), "warnings"))
    with pytest.raises(MisuseError, match=option):
        question_of(call)
