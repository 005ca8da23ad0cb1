"""Every kind of event and condition that the sources announce is in the catalogue, and every one there is announced."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from agent.model.event_catalogue import KINDS, named, severity_of
from agent.model.event_kind import ALIASES, ConditionPhase, EventAlias, EventForm, EventSeverity, split_kind

ROOT = Path(__file__).parents[2]
# What makes an event, a condition or a line of the log, by the name of what is called.
MAKERS = frozenset({"Log", "Note", "Noted", "Condition", "begin_own", "DiagnosticEvent", "Tell"})
# Methods that hand a kind on, and the words in the text of their receiver.
METHODS = {
    "begin": ("conditions",),
    "tell": ("conditions", "reporting"),
    "write": ("log",),
    "_note": ("self",),
    "note": ("context",),
}
# Lines of the log that are no events: what a worker writes to stderr, those of severity debug, and those of conditions, whose
# events have their own kinds.
LINES = frozenset(
    {"worker_stderr", "worker_stderr_hidden", "worker_stable", "condition_begins", "condition_changes", "condition_ends"}
)
# What the watchdog and the reload of settings will announce: their kinds are promised already.
RESERVED = frozenset(
    {
        "module_over_limit",
        "degraded",
        "degradation_step",
        "limit_changed",
        "limits_set_aside",
        "settings_reloaded",
        "reload_refused",
    }
)
NAME = re.compile(r"[a-z][a-z0-9_]*(:[a-z{}_]*)?")


def constants(tree: ast.Module) -> dict[str, str]:
    """The texts that a module gives names to, at its top and in its classes' properties."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            found |= dict(_pairs(node.targets[0], node.value))
        if isinstance(node, ast.FunctionDef) and len(node.body) and isinstance(node.body[-1], ast.Return):
            found.update((node.name, text) for text in texts(node.body[-1].value, {}))
    return found


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, its in zip(target.elts, value.elts, strict=False):
            yield from _pairs(each, its)
    elif isinstance(target, ast.Name):
        for text in texts(value, {}):
            yield target.id, text


def texts(node: ast.expr | None, known: Mapping[str, str]) -> list[str]:
    """What an expression may be; a part that is not known is `{}`."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)]
        case ast.IfExp(body=body, orelse=orelse):
            return texts(body, known) + texts(orelse, known)
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in known:
            return [known[name]]
        case _:
            return []


def announced(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The kinds that a module announces, each with its line."""
    known = constants(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
        receiver = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if name in MAKERS or any(word in receiver for word in METHODS.get(name, ())):
            kind = next((each.value for each in node.keywords if each.arg == "kind"), node.args[0] if node.args else None)
            yield from ((text, node.lineno) for text in texts(kind, known) if NAME.fullmatch(text.replace("{}", "x")))


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module that may announce something."""
    for package in ("agent", "supervisor", "workers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_bytes())


def matching(kind: str) -> list[str]:
    """The catalogued kinds that an announced text may stand for."""
    pattern = re.compile(re.escape(split_kind(kind)[0]).replace(re.escape("{}"), "[a-z0-9_]+"))
    return [name for name in KINDS if pattern.fullmatch(name)]


def unknown(modules: Iterable[tuple[str, ast.Module]]) -> list[str]:
    """Kinds that are announced and not catalogued, with their places."""
    told = ((path, kind, line) for path, tree in modules for kind, line in announced(tree))
    return [f"{path}:{line} {kind}" for path, kind, line in told if kind not in LINES and not matching(kind)]


def silent(modules: Iterable[tuple[str, ast.Module]]) -> set[str]:
    """Kinds that are catalogued and announced nowhere."""
    told = {name for _path, tree in modules for kind, _line in announced(tree) for name in matching(kind)}
    return KINDS.keys() - told - RESERVED


def test_what_is_announced_is_in_the_catalogue() -> None:
    """A person can look up whatever the agent tells."""
    assert unknown(sources()) == []


def test_what_is_in_the_catalogue_is_announced() -> None:
    """The catalogue promises nothing that never comes."""
    assert silent(sources()) == set()


@pytest.mark.parametrize(
    "text",
    [
        'Log("unheard_of", "info", {})',
        'bus.note(Note(kind="unheard_of", severity="info", fields={}))',
        '_KIND = "unheard_of"\nself._conditions.begin(_KIND, "a sentence")',
        'self._conditions.tell(f"unheard_{word}", "")',
        '_A, _B = "sync", "unheard_of"\nself._conditions.tell(_B, "")',
        'history.begin_own("unheard_of:subject", "a sentence", now_ns)',
    ],
)
def test_a_planted_kind_is_found(text: str) -> None:
    """In whatever way it is announced."""
    assert len(unknown([("planted.py", ast.parse(text))])) == 1


def test_a_kind_that_is_not_announced_any_more_is_found() -> None:
    """Without the module that announces it, it stands in the catalogue for nothing."""
    assert "data_gap" in silent((path, tree) for path, tree in sources() if path != "workers/writer/gap_notes.py")


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_kinds_are_whole(kind: object) -> None:
    """Each says what it means and what to do, in sentences."""
    found = KINDS[getattr(kind, "name", "")]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", found.name)
    # Counters of ends have this behind the name.
    assert not found.name.endswith("_end")
    assert found.about.endswith(".")
    assert found.remedy.endswith(".")
    assert found.normal


def test_names_known_from_elsewhere_are_kinds() -> None:
    """Each alias means a kind, and one that names a phase a condition."""
    assert len(ALIASES) == 11
    for alias in ALIASES.values():
        assert alias.phase is None or KINDS[alias.kind].form is EventForm.CONDITION
    assert named("BreakerClosed") == EventAlias("breaker_open", ConditionPhase.END)
    assert named("sealed") == EventAlias("sealed")
    assert named("nothing") is None


def test_a_condition_has_the_severity_of_its_kind() -> None:
    """Whatever its subject; one that nobody knows is a warning."""
    assert severity_of("spool") is EventSeverity.ERROR
    assert severity_of("breaker_open:io") is EventSeverity.WARNING
    assert severity_of("unheard_of") is EventSeverity.WARNING
