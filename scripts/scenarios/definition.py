"""What a scenario says: its workload, configuration, failures, validators and platforms, read from YAML and checked. PURE."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scenarios.document import Value, near, parse
from scenarios.shapes import (
    CONFIGURATIONS,
    FAILURES,
    GOALS,
    HOST,
    NEEDED_BEFORE,
    PLATFORMS,
    PROGRAMS,
    REACHED_BY,
    VALIDATORS,
    WORKLOADS,
    Argument,
    Shape,
)

# Each is also the name of a sink of the agent.
_PROGRAM_NAME = re.compile(r"[a-z0-9_-]{1,32}")


@dataclass(frozen=True, slots=True)
class Named:
    """A kind by its name, with its values."""

    name: str
    values: Mapping[str, Argument]


@dataclass(frozen=True, slots=True)
class ProgramChoice:
    """A real program beside the agent, and its name in the scenario; one that takes rows is a sink of this name."""

    name: str
    kind: Named


@dataclass(frozen=True, slots=True)
class Failure:
    """What happens at a time after the beginning of the measured window."""

    at_seconds: float
    kind: Named
    # The programs to which it happens; none where it happens to the agent.
    programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """A kind of event. *Absent:* `module` None: of any; `ends` None: its end is not judged."""

    kind: str
    module: str | None = None
    ends: bool | None = None


@dataclass(frozen=True, slots=True)
class ValidatorChoice:
    """Which validator judges, for which goal, within which limits."""

    name: str
    goal: str | None
    limits: Mapping[str, Argument]
    expected: tuple[ExpectedEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandStep:
    """A program whose exit code is a verdict. `tests`: it is tests of pytest, which a guest can run too."""

    name: str
    words: tuple[str, ...]
    goal: str | None
    tests: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. It has commands, or a workload with an agent, or only names other scenarios."""

    name: str
    about: str
    workload: Named
    configuration: str
    settings: Mapping[str, str]
    disk: Named | None
    sink: bool
    programs: tuple[ProgramChoice, ...]
    warm_up_seconds: float
    duration_seconds: float
    # Of the short form, for a look; 0: there is none.
    short_seconds: float
    failures: tuple[Failure, ...]
    validators: tuple[ValidatorChoice, ...]
    commands: tuple[CommandStep, ...]
    platforms: tuple[str, ...]
    # Sections of the runbook with a remedy that this scenario proves.
    runbook: tuple[str, ...]
    # Scenarios that belong to it, and are run after it.
    scenarios: tuple[str, ...]
    # The text that says all this.
    source: str

    @property
    def goals(self) -> tuple[str, ...]:
        """The goals that it judges, in order."""
        named = {each.goal for each in self.validators} | {each.goal for each in self.commands}
        return tuple(goal for goal in GOALS if goal in named)


_COMMON = ("name", "about", "platforms", "runbook", "scenarios")
_MEASURED = (
    "workload",
    "configuration",
    "settings",
    "disk",
    "sink",
    "programs",
    "warm_up",
    "duration",
    "short",
    "failures",
    "validators",
)
_ALL = (*_COMMON, *_MEASURED, "commands")


def parse_scenario(text: str, *, origin: str) -> Scenario:
    """*Raises:* DefinitionError with line and column."""
    document = parse(text, origin=origin)
    found = document.fields(_ALL, required=("name", "about"))
    if "commands" in found:
        for key in _MEASURED:
            if key in found:
                raise found[key].error(f"'{key}' has no place beside 'commands', which run without an agent of the harness")
    elif "scenarios" not in found or any(key in found for key in _MEASURED):
        document.fields(_ALL, required=("workload", "duration", "validators"))
    duration = found["duration"].seconds(1, 86_400) if "duration" in found else 0.0
    configuration, settings = _configuration(found)
    disk = _disk(found["disk"]) if "disk" in found else None
    programs = _programs(found["programs"]) if "programs" in found else ()
    failures = _failures(found["failures"], duration, disk, programs) if "failures" in found else ()
    return Scenario(
        name=found["name"].text(),
        about=found["about"].text(),
        workload=_named(found["workload"], WORKLOADS) if "workload" in found else Named("none", {}),
        configuration=configuration,
        settings=settings,
        disk=disk,
        sink=found["sink"].truth() if "sink" in found else False,
        programs=programs,
        warm_up_seconds=found["warm_up"].seconds(0, 3600) if "warm_up" in found else 4.0,
        duration_seconds=duration,
        short_seconds=found["short"].seconds(1, duration) if "short" in found else 0.0,
        failures=failures,
        validators=tuple(_validator(each) for each in _items(found, "validators")),
        commands=tuple(_command(each) for each in _items(found, "commands")),
        platforms=tuple(each.choice(PLATFORMS) for each in _items(found, "platforms")) or (HOST,),
        runbook=tuple(each.text() for each in _items(found, "runbook")),
        scenarios=tuple(each.text() for each in _items(found, "scenarios")),
        source=text,
    )


def _items(found: Mapping[str, Value], key: str) -> list[Value]:
    """At least one where the key is written."""
    return found[key].items(1) if key in found else []


def _named(value: Value, shapes: Mapping[str, Shape]) -> Named:
    """A bare word, or a mapping with `name` and values."""
    if not value.is_mapping:
        name = value.choice(shapes)
        return Named(name, _values(value, {}, shapes[name]))
    name_value = value.mapping().get("name")
    if name_value is None:
        raise value.error(f"{value.name} lacks 'name'")
    shape = shapes[name_value.choice(shapes)]
    found = value.fields(("name", *shape.parameters))
    return Named(name_value.text(), _values(value, found, shape))


def _values(value: Value, found: Mapping[str, Value], shape: Shape) -> dict[str, Argument]:
    values: dict[str, Argument] = {}
    for key, parameter in shape.parameters.items():
        if key in found:
            values[key] = parameter.read(found[key])
        elif parameter.default is None:
            raise value.error(f"{value.name} lacks '{key}'")
        else:
            values[key] = parameter.default
    return values


def _configuration(found: Mapping[str, Value]) -> tuple[str, dict[str, str]]:
    name = found["configuration"].choice(CONFIGURATIONS) if "configuration" in found else "standard"
    if "settings" not in found:
        if name == "custom":
            raise found["configuration"].error("configuration custom needs 'settings'")
        return name, {}
    if name != "custom":
        raise found["settings"].error(f"settings are given to configuration custom, and this one is {name}")
    return name, {key: value.plain() for key, value in found["settings"].mapping().items()}


def _disk(value: Value) -> Named:
    fields = value.fields(("kind", "size"), required=("kind", "size"))
    return Named(fields["kind"].choice(("tmpfs", "loop")), {"size": fields["size"].bytes(1 << 20, 8 << 30)})


def _programs(value: Value) -> tuple[ProgramChoice, ...]:
    found: dict[str, ProgramChoice] = {}
    for each in value.items(1):
        kind = each.mapping().get("kind")
        if kind is None:
            raise each.error(f"{each.name} lacks 'kind'")
        shape = PROGRAMS[kind.choice(PROGRAMS)]
        fields = each.fields(("kind", "name", *shape.parameters))
        named = fields.get("name", kind)
        name = named.text()
        if not _PROGRAM_NAME.fullmatch(name):
            raise named.error(f"{named.name} must be at most 32 small letters, digits, '-' and '_': it is the name of a sink too")
        needed = NEEDED_BEFORE.get(kind.text())
        if needed is not None and needed not in [other.kind.name for other in found.values()]:
            raise kind.error(f"{kind.text()} needs a program of kind {needed} before it")
        if name in found:
            raise each.error(f"there are two programs '{name}': give one of them a 'name'")
        found[name] = ProgramChoice(name, Named(kind.text(), _values(each, fields, shape)))
    return tuple(found.values())


def _failures(value: Value, duration: float, disk: Named | None, programs: tuple[ProgramChoice, ...]) -> tuple[Failure, ...]:
    found = []
    for each in value.items():
        do = each.mapping().get("do")
        if do is None:
            raise each.error(f"{each.name} lacks 'do'")
        shape = FAILURES[do.choice(FAILURES)]
        fields = each.fields(("at", "do", *shape.parameters), required=("at", "do"))
        at_seconds = fields["at"].seconds(0, duration)
        if do.text().endswith("_disk") and (disk is None or (do.text() == "freeze_disk" and disk.name != "loop")):
            raise do.error(f"{do.text()} needs a disk of the scenario's own: add `disk: {{kind: loop, size: 64m}}`")
        kind = Named(do.text(), _values(each, fields, shape))
        found.append(Failure(at_seconds, kind, _concerned(do, fields.get("program"), programs) if "program" in kind.values else ()))
    return tuple(sorted(found, key=lambda failure: failure.at_seconds))


def _concerned(do: Value, named: Value | None, programs: tuple[ProgramChoice, ...]) -> tuple[str, ...]:
    """The programs to which a failure happens: the one that is named, or all that it can happen to."""
    key, word = REACHED_BY.get(do.text(), ("", ""))
    able = [each.name for each in programs if not key or word in (each.kind.name, each.kind.values.get("way"))]
    if not able:
        raise do.error(f"{do.text()} needs a program with `{key or 'kind'}: {word or '...'}` under 'programs'")
    if named is None:
        return tuple(able)
    if named.text() not in able:
        raise named.error(f"{do.text()} cannot happen to '{named.text()}'{near(named.text(), able)}")
    return (named.text(),)


def _validator(value: Value) -> ValidatorChoice:
    judge = value.mapping().get("judge")
    if judge is None:
        raise value.error(f"{value.name} lacks 'judge'")
    shape = VALIDATORS[judge.choice(VALIDATORS)]
    more = ("expect",) if judge.text() == "events" else ()
    fields = value.fields(("judge", "goal", *more, *shape.parameters), required=("judge", *more))
    goal = fields["goal"].choice(GOALS) if "goal" in fields else shape.goal
    expected = tuple(_expected(each) for each in fields["expect"].items(1)) if more else ()
    return ValidatorChoice(judge.text(), goal, _values(value, fields, shape), expected)


def _expected(value: Value) -> ExpectedEvent:
    fields = value.fields(("kind", "module", "ends"), required=("kind",))
    module = fields["module"].text() if "module" in fields else None
    return ExpectedEvent(fields["kind"].text(), module, fields["ends"].truth() if "ends" in fields else None)


def _command(value: Value) -> CommandStep:
    fields = value.fields(("name", "run", "tests", "goal", "within"), required=("name",))
    if ("run" in fields) == ("tests" in fields):
        raise value.error(f"{value.name} has either 'run', a program and its words, or 'tests', files of tests")
    words = _words(fields["run"] if "run" in fields else fields["tests"])
    goal = fields["goal"].choice(GOALS) if "goal" in fields else None
    within = fields["within"].seconds(1, 86_400) if "within" in fields else 600.0
    return CommandStep(fields["name"].text(), words, goal, "tests" in fields, within)


def _words(value: Value) -> tuple[str, ...]:
    return tuple(each.text() for each in value.items(1))
