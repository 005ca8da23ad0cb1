"""The commands about operator rules: list-rules, add-rule, remove-rule."""

import sys

from agent.cli.call import Call
from agent.cli.option import SWITCH, WHOLE, Argument, Command, Option
from agent.cli.render import TextColumn, number_of, text_of
from agent.model.control import REQUEST_BYTES_MAX
from agent.model.control.result import RuleChange, RuleList
from agent.model.errors import FormatError, MisuseError, StorageError

RULE_COLUMNS = (
    TextColumn("PRIORITY", right=True),
    TextColumn("NAME", yields=True),
    TextColumn("NAMESPACE", yields=True),
    TextColumn("POD", yields=True),
    TextColumn("LABELS", yields=True),
    TextColumn("QOS"),
    TextColumn("ACTION", yields=True),
)

_WHICH_PODS = "it is not said which pods the rule takes"


def _part(rule: dict[str, object], name: str) -> dict[str, object]:
    part = rule.get(name)
    return part if isinstance(part, dict) else {}


def _cells(rule: dict[str, object]) -> tuple[str, ...]:
    match, action = _part(rule, "match"), _part(rule, "action")
    labels = _part(match, "labels")
    kind = text_of(action.get("kind") or "own")
    return (
        text_of(rule.get("priority", 0)),
        text_of(rule.get("name")),
        text_of(match.get("namespace", "*")),
        text_of(match.get("pod", "*")),
        text_of(",".join(f"{key}={value}" for key, value in labels.items())),
        text_of(match.get("qos")),
        f"{kind} {text_of(action['group'])}" if action.get("group") else kind,
    )


def show_rules(call: Call, rules: list[dict[str, object]]) -> None:
    """Print rules as a table, in the order in which they are tried: a rule's JSON leaves its defaults out."""
    ordered = sorted(rules, key=lambda rule: (-(number_of(rule.get("priority")) or 0), text_of(rule.get("name"))))
    if ordered:
        call.show_table(RULE_COLUMNS, map(_cells, ordered))
    else:
        call.show(["no rules: every pod has a group of its own"])


def list_rules(call: Call) -> int:
    """`agentctl list-rules`."""
    answer = call.ask("list-rules")
    if call.wants_json:
        call.show_json(answer)
        return 0
    listed = call.read(RuleList, answer)
    show_rules(call, listed.rules)
    call.show([f"revision {listed.revision}, digest {text_of(listed.digest)}"])
    return 0


def rule_of(call: Call) -> dict[str, object]:
    """The rule that a command line describes, as JSON. *Raises:* MisuseError, FormatError."""
    text = call.text("--from-json")
    if text is None:
        return _rule_of_options(call)
    described = [name for name in _DESCRIBING if call.has(name)]
    if described:
        raise MisuseError("add-rule", f"--from-json and {described[0]} both describe the rule", "give one of them")
    rule = _rule_of_json(_standard_input() if text == "-" else text)
    name = call.words[0] if call.words else rule.get("name")
    if rule.get("name", name) != name:
        raise MisuseError("add-rule", f"the rule is named {rule['name']!r} in its JSON and {name!r} before it", "name it once")
    if not rule.get("match"):
        advice = 'name them in its `match`; {"match": {"namespace": "*"}} takes every pod'
        raise MisuseError("add-rule", _WHICH_PODS, advice)
    return {**rule, "name": name}


def _standard_input() -> str:
    try:
        return sys.stdin.read(REQUEST_BYTES_MAX + 1)
    except OSError as cause:
        raise StorageError("standard input", cause.strerror or str(cause)) from cause
    except UnicodeDecodeError as cause:
        raise FormatError("add-rule", "the rule on standard input is not UTF-8 text") from cause


def _rule_of_json(text: str) -> dict[str, object]:
    import json

    try:
        # Some programs write a byte-order mark before what they pipe.
        rule = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as cause:
        raise FormatError("add-rule", f"the rule is not JSON ({cause})", "`agentctl list-rules --json` shows some") from cause
    if not isinstance(rule, dict):
        raise FormatError("add-rule", "the rule is not a JSON object", "`agentctl list-rules --json` shows some")
    return rule


def _rule_of_options(call: Call) -> dict[str, object]:
    if not call.words:
        raise MisuseError("add-rule", "NAME is missing", "`agentctl add-rule --help` shows an example")
    action = _action(call)
    match: dict[str, object] = {}
    for name in ("namespace", "pod", "qos"):
        if (text := call.text(f"--{name}")) is not None:
            match[name] = text
    if labels := call.texts("--label"):
        match["labels"] = dict(map(label_of, labels))
    _check_selection(call, match)
    return {"name": call.words[0], "priority": call.whole("--priority", 0), "match": match, "action": action}


def _check_selection(call: Call, match: dict[str, object]) -> None:
    """*Raises:* MisuseError when it is not said which pods are meant: a forgotten option must not take them all."""
    if call.has("--all") and match:
        raise MisuseError("add-rule", f"--all and --{next(iter(match)).removesuffix('s')} exclude each other", "give one of them")
    if not call.has("--all") and not match:
        advice = "choose them by --namespace, --pod, --label or --qos, or write --all for every pod"
        raise MisuseError("add-rule", _WHICH_PODS, advice)


def label_of(text: str) -> tuple[str, str]:
    """The key and the value of an option --label. *Raises:* MisuseError."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise MisuseError("--label", f"{text!r} is not accepted", "write KEY=VALUE")
    return key, value


def _action(call: Call) -> dict[str, object]:
    given = [name for name in _ACTIONS if call.has(name)]
    if len(given) > 1:
        raise MisuseError("add-rule", f"{given[0]} and {given[1]} exclude each other", "give one of them")
    group = call.text("--shared")
    if group is not None:
        return {"kind": "shared", "group": group}
    return {"kind": "ignore" if call.has("--ignore") else "own"}


def add_rule(call: Call) -> int:
    """`agentctl add-rule NAME ...`."""
    rule = rule_of(call)
    answer = call.ask("add-rule", {"rule": rule})
    code = _changed(call, answer, text_of(rule.get("name")), "is in force")
    if not call.wants_json:
        from agent.cli.rule_preview import preview

        preview(call, rule)
    return code


def remove_rule(call: Call) -> int:
    """`agentctl remove-rule NAME`."""
    return _changed(call, call.ask("remove-rule", {"name": call.words[0]}), text_of(call.words[0]), "is removed")


def _changed(call: Call, answer: dict[str, object], name: str, outcome: str) -> int:
    if call.wants_json:
        call.show_json(answer)
    else:
        change = call.read(RuleChange, answer)
        call.show([f"rule {text_of(name)} {outcome if change.changed else 'changed nothing'}; revision {change.revision}"])
    return 0


_ACTIONS = ("--own", "--shared", "--ignore")
_DESCRIBING = ("--priority", "--all", "--namespace", "--pod", "--label", "--qos", *_ACTIONS)

COMMANDS = (
    Command(
        "list-rules",
        list_rules,
        about="the operator rules, in the order of evaluation",
        examples=("agentctl list-rules",),
    ),
    Command(
        "add-rule",
        add_rule,
        about="add an operator rule, or replace the one of this name",
        details="The rule matches a pod if all given conditions hold; --all matches every pod.\n"
        "In a GLOB `*` is any text (at most 16 of them), `?` any letter, `[ab]` one of these.\n"
        "If several rules match, the highest priority wins; if priorities are equal, the first by name.\n"
        "The answer comes once the rule is durable. It says how many pods and units the rule matches now, whatever other\n"
        "rules take them. Namespaces and labels come from the container runtime: `agentctl doctor` says whether it is connected.",
        arguments=(Argument("NAME", "the rule's name; with --from-json the JSON may have it instead", required=False),),
        options=(
            Option(
                "--priority",
                "N",
                "the highest wins if several rules match, and is measured first if monitoring ids are few (default 0)",
                kind=WHOLE,
            ),
            Option("--all", "", "every pod", kind=SWITCH),
            Option("--namespace", "GLOB", "pods of these namespaces"),
            Option("--pod", "GLOB", "pods, services and scopes of these names"),
            Option("--label", "K=V", "pods with this label", many=True),
            Option(
                "--qos",
                "CLASS",
                "pods of this class: guaranteed, burstable or besteffort",
                choices=("guaranteed", "burstable", "besteffort"),
            ),
            Option("--own", "", "each pod gets a group of its own (the default)", kind=SWITCH),
            Option("--shared", "GROUP", "all these pods share the group of this name"),
            Option("--ignore", "", "these pods get no group", kind=SWITCH),
            Option("--from-json", "TEXT|-", "the whole rule as JSON, `-`: from standard input"),
        ),
        examples=(
            "agentctl add-rule web --priority 10 --namespace 'prod-*' --label app=web --shared web",
            'agentctl add-rule --from-json \'{"name": "quiet", "match": {"qos": "besteffort"}, "action": {"kind": "ignore"}}\'',
        ),
    ),
    Command(
        "remove-rule",
        remove_rule,
        about="remove the operator rule of this name",
        arguments=(Argument("NAME", "the rule, as list-rules names it"),),
        examples=("agentctl remove-rule web",),
    ),
)
