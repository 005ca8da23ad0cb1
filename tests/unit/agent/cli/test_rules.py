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


def test_a_name_alone_gives_each_pod_its_own_group() -> None:
    """Nothing said about pods takes all of them."""
    assert rule("all") == {"name": "all", "priority": 0, "match": {}, "action": {"kind": "own"}}
    assert rule("all", "--ignore")["action"] == {"kind": "ignore"}


def test_json_describes_the_whole_rule() -> None:
    """The JSON that list-rules prints can be given back; the name may stand before it."""
    quiet = GroupRule("quiet", action=Action("ignore"))
    assert decode_rule(json.dumps(rule("--from-json", canonical(quiet).decode())).encode()) == quiet
    assert rule("loud", "--from-json", "{}") == {"name": "loud"}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 64, "NAME is missing"),
        (("a", "--own", "--ignore"), 64, "exclude each other"),
        (("a", "--label", "x"), 64, "write KEY=VALUE"),
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
