"""The rule that a command line describes."""

import io
import json
from typing import Any

import pytest

from agent.cli.call import Call
from agent.cli.option import parse_line
from agent.cli.output import Output
from agent.cli.program import find_command
from agent.cli.rules import rule_of
from agent.model.errors import EvergaugeError
from agent.model.rule import Action, GroupRule, Match, QosClass, canonical, decode_rule


def call_of(*words: str) -> Call:
    line = parse_line(["add-rule", *words], find_command)
    return Call(find_command("add-rule"), line, {}, Output(io.StringIO(), "output"), Output(io.StringIO(), "warnings"))


def rule(*words: str) -> dict[str, Any]:
    return rule_of(call_of(*words))


def test_options_describe_a_rule_that_the_agent_decodes() -> None:
    """Every option becomes its part of the rule."""
    line = "web --priority 10 --namespace prod-* --pod web-? --label a=b --label c=d=e --qos burstable --shared web"
    match = Match(namespace="prod-*", pod="web-?", labels={"a": "b", "c": "d=e"}, qos=QosClass.BURSTABLE)
    expected = GroupRule("web", 10, match, Action("shared", "web"))
    assert decode_rule(json.dumps(rule(*line.split())).encode()) == expected


def test_a_rule_for_every_pod_says_so() -> None:
    """`--all` takes all of them, and so does a glob that was written on purpose."""
    assert rule("all", "--all") == {"name": "all", "priority": 0, "match": {}, "action": {"kind": "own"}}
    assert rule("all", "--ignore", "--all")["action"] == {"kind": "ignore"}
    assert rule("all", "--pod", "*")["match"] == {"pod": "*"}


@pytest.mark.parametrize("words", [("web",), ("web", "--shared", "web"), ("web", "--ignore", "--priority", "3")])
def test_a_rule_that_selects_no_pods_is_refused(words: tuple[str, ...]) -> None:
    """A forgotten option must not take every pod of the host."""
    with pytest.raises(EvergaugeError) as failure:
        rule(*words)
    assert failure.value.code == 64
    assert failure.value.sentence == (
        "add-rule: it is not said which pods the rule takes; "
        "choose them by --namespace, --pod, --label or --qos, or write --all for every pod"
    )


def test_json_with_a_byte_order_mark_is_json() -> None:
    """Some programs write one before what they pipe."""
    assert rule("--from-json", '\ufeff{"name": "a", "match": {"pod": "*"}}') == {"name": "a", "match": {"pod": "*"}}


def test_json_describes_the_whole_rule() -> None:
    """The JSON that list-rules prints can be given back; the name may stand before it."""
    quiet = GroupRule("quiet", action=Action("ignore"))
    assert decode_rule(json.dumps(rule("--from-json", canonical(quiet).decode())).encode()) == quiet
    assert rule("loud", "--from-json", '{"match": {"qos": "burstable"}}') == {"name": "loud", "match": {"qos": "burstable"}}


@pytest.mark.parametrize("text", ["{}", '{"match": {}}', '{"match": null}', '{"action": {"kind": "ignore"}}'])
def test_json_that_selects_no_pods_is_refused(text: str) -> None:
    """A forgotten key must not take every pod either; who means that writes it."""
    with pytest.raises(EvergaugeError) as failure:
        rule("a", "--from-json", text)
    assert failure.value.code == 64
    assert "it is not said which pods the rule takes; name them in its `match`" in failure.value.sentence


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 64, "NAME is missing"),
        (("a", "--own", "--ignore"), 64, "exclude each other"),
        (("a", "--label", "x"), 64, "write KEY=VALUE"),
        (("a", "--all", "--label", "x=y"), 64, "--all and --label exclude each other"),
        (("--all", "--from-json", '{"name": "a"}'), 64, "give one of them"),
        (("a", "--qos", "best"), 64, "guaranteed"),
        (("a", "--from-json", "{"), 65, "not JSON"),
        (("a", "--from-json", "[" * 100_000), 65, "not JSON"),
        (("a", "--from-json", "[]"), 65, "not a JSON object"),
        (("a", "--from-json", '{"name": "b"}'), 64, "name it once"),
        (("a", "--own", "--from-json", "{}"), 64, "give one of them"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(words: tuple[str, ...], code: int, told: str) -> None:
    """The sentence says what to write."""
    with pytest.raises(EvergaugeError, match=told) as failure:
        rule(*words)
    assert failure.value.code == code
