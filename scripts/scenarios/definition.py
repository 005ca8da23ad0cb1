"""What a scenario says: its workload, configuration, failures, validators and platforms, read from YAML and checked. PURE."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scenarios.document import Value, parse

GOALS = tuple(f"G-{number}" for number in range(1, 11))
HOST = "host"
PLATFORMS = (HOST, "guest-5.10", "guest-6.1", "guest-6.12", "guest-7.2")
Argument = str | float | int | bool
Read = Callable[[Value], Argument]

# ---- how a value is read ---------------------------------------------------------------------------------


def _text(value: Value) -> str:
    return value.text()


def _whole(least: int, most: int) -> Read:
    return lambda value: value.whole(least, most)


def _number(least: float, most: float) -> Read:
    return lambda value: value.number(least, most)


def _percent(value: Value) -> float:
    return value.percent(0.001, 10_000)


def _seconds(value: Value) -> float:
    return value.seconds(0.01, 86_400)


def _size(value: Value) -> int:
    return value.bytes(4 << 10, 64 << 30)


def _choice(*known: str) -> Read:
    return lambda value: value.choice(known)


@dataclass(frozen=True, slots=True)
class Parameter:
    """How a key is read, and its value where it is not written. *Absent:* `default` None: it must be written."""

    read: Read
    default: Argument | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What a named kind of thing is, and which keys it takes."""

    about: str
    parameters: Mapping[str, Parameter]
    # The goal that a validator of this kind serves, where the file names none.
    goal: str | None = None


_PROCESSES = Parameter(_whole(1, 20_000), 500)
WORKLOADS: Mapping[str, Shape] = {
    "standard": Shape(
        "processes of which few use most of CPU, memory and I/O; the others sleep",
        {
            "processes": _PROCESSES,
            "cpu_microseconds": Parameter(_whole(0, 1_000_000), 50_000),
            "memory_mebibytes": Parameter(_whole(0, 16_384), 1024),
            "write_kibibytes": Parameter(_whole(0, 65_536), 512),
        },
    ),
    "high_pid_churn": Shape(
        "processes that begin, burn 0.05 to 0.2 ms and end, beside some that sleep",
        {
            "rate": Parameter(_number(1, 10_000), 2000.0),
            "microseconds_least": Parameter(_whole(1, 100_000), 50),
            "microseconds_most": Parameter(_whole(1, 100_000), 200),
            "processes": Parameter(_whole(1, 20_000), 60),
        },
    ),
    "memory_pressure": Shape(
        "processes that grow and give all back, and begin again",
        {"processes": Parameter(_whole(1, 500), 8), "mebibytes": Parameter(_whole(1, 4000), 60)},
    ),
    "cpu_spikes": Shape(
        "processes that sleep and now and then burn at once",
        {
            "processes": Parameter(_whole(1, 5000), 30),
            "milliseconds": Parameter(_whole(1, 10_000), 100),
            "every_seconds": Parameter(_whole(1, 600), 6),
        },
    ),
    "high_cardinality": Shape(
        "processes each under a command of its own, in several cgroups",
        {
            "processes": Parameter(_whole(1, 20_000), 1000),
            "microseconds": Parameter(_whole(0, 100_000), 100),
            "cgroups": Parameter(_whole(1, 200), 20),
        },
    ),
    "none": Shape("nothing but the agent and what the machine has anyway", {}),
}
CONFIGURATIONS = {
    "minimal": "the process sampler alone: no host, no units, no gateway, no standby process",
    "standard": "an agent as it is delivered",
    "full": "all that can be switched on here: measured values in /metrics, more rows, a file sink",
    "custom": "as delivered, with the settings that the file gives",
}
_PART = Parameter(_text)
FAILURES: Mapping[str, Shape] = {
    "kill": Shape("a signal to a part", {"part": _PART, "signal": Parameter(_choice("KILL", "TERM", "STOP", "SEGV"), "KILL")}),
    "restart_agent": Shape("SIGTERM to the agent, and another one at once", {}),
    "limit_memory": Shape("a cgroup limit on the agent's memory", {"bytes": Parameter(_size), "lasts": Parameter(_seconds, 5.0)}),
    "limit_cpu": Shape("a cgroup quota on the agent's CPU", {"percent": Parameter(_percent), "lasts": Parameter(_seconds, 5.0)}),
    "limit_descriptors": Shape(
        "RLIMIT_NOFILE of a worker", {"part": _PART, "most": Parameter(_whole(3, 1_000_000)), "lasts": Parameter(_seconds, 5.0)}
    ),
    "corrupt": Shape("damage to stored data", {"what": Parameter(_choice("spool_record", "sealed_file", "rules"))}),
    "fill_disk": Shape("no room in the state folder (needs `disk`)", {"lasts": Parameter(_seconds, 5.0)}),
    "freeze_disk": Shape(
        "the state folder's file system answers no write (needs `disk` of kind loop)", {"lasts": Parameter(_seconds, 2.0)}
    ),
    "step_clock": Shape("the wall clock is set forward; in a guest only", {"seconds": Parameter(_number(60, 86_400))}),
    "slow_network": Shape(
        "the receiver of exports answers late", {"delay": Parameter(_seconds), "lasts": Parameter(_seconds, 5.0)}
    ),
    "partition": Shape("nobody answers exports", {"lasts": Parameter(_seconds, 5.0)}),
    "failpoint": Shape("a named point of the source fails", {"point": _PART, "order": Parameter(_text)}),
    "set_limit": Shape(
        "agentctl set-limit WORKER --cpu PERCENT, after its cost was measured for 5 s", {"part": _PART, "cpu": Parameter(_percent)}
    ),
    "relax_limit": Shape(
        "set-limit; where the worker costs more than that, `factor` times what it cost before",
        {"part": _PART, "cpu": Parameter(_percent), "factor": Parameter(_number(1, 10), 1.5)},
    ),
}
_SHARE = Parameter(_number(0, 1), 0.95)
_COUNT = _number(0, 1e12)
VALIDATORS: Mapping[str, Shape] = {
    "cost": Shape(
        "CPU and memory of the whole agent, beside a psutil loop in the same run",
        {
            "cpu_percent": Parameter(_percent, 2.0),
            "reference_percent": Parameter(_percent, 2.9),
            "pss_mib": Parameter(_COUNT, 100.0),
        },
        "G-2",
    ),
    "sketch_error": Shape(
        "percentiles of sketches against exact values",
        {"percent": Parameter(_percent, 1.0), "values_least": Parameter(_COUNT, 100.0)},
        "G-3",
    ),
    "sketch_keys": Shape(
        "how many units and commands a window of sketches has; the rest is counted in one row",
        {"keys": Parameter(_COUNT, 512.0), "further_least": Parameter(_COUNT, 0.0)},
        "G-3",
    ),
    "capture": Shape("how much of everything the named rows hold", {"cpu": _SHARE, "rss": _SHARE, "io": _SHARE}, "G-4"),
    "stability": Shape("how much the capture of CPU moves from tick to tick", {"spread": Parameter(_number(0, 1), 0.1)}, "G-4"),
    "closing": Shape(
        "named rows, tail and dead against the kernel's counts",
        {
            "percent": Parameter(_percent, 5.0),
            "goal_percent": Parameter(_percent, 0.5),
            "command_percent": Parameter(_percent, 10.0),
        },
        "G-5",
    ),
    "events": Shape("each failure is told: its event begins, and ends", {}, "G-6"),
    "continuity": Shape(
        "no tick is missing without a row of table `gap` that says why",
        {"missed_most": Parameter(_COUNT, 0.0), "explained_most": Parameter(_COUNT, 1e9)},
        "G-6",
    ),
    "replacement": Shape(
        "how soon a killed part runs again; a sealer has a pause before it is tried again",
        {"seconds": Parameter(_number(0, 600), 5.0), "sealer_seconds": Parameter(_number(0, 600), 15.0)},
    ),
    "counter": Shape(
        "how far a count of a worker grew in the window",
        {"part": _PART, "count": Parameter(_text), "least": Parameter(_COUNT, 1.0), "most": Parameter(_COUNT, 1e12)},
        "G-6",
    ),
    "calm": Shape("no worker is slowed, switched off or restarted for its cost", {"most": Parameter(_COUNT, 0.0)}, "G-2"),
    "memory": Shape("PSS of one worker", {"part": _PART, "pss_mib": Parameter(_COUNT)}, "G-2"),
}

# ---- what a file says ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Named:
    """A kind by its name, with its values."""

    name: str
    values: Mapping[str, Argument]


@dataclass(frozen=True, slots=True)
class Failure:
    """What happens at a time after the beginning of the measured window."""

    at_seconds: float
    kind: Named


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
    """One file. It has commands, or else a workload with an agent."""

    name: str
    about: str
    workload: Named
    configuration: str
    settings: Mapping[str, str]
    disk: Named | None
    sink: bool
    warm_up_seconds: float
    duration_seconds: float
    failures: tuple[Failure, ...]
    validators: tuple[ValidatorChoice, ...]
    commands: tuple[CommandStep, ...]
    platforms: tuple[str, ...]
    # Sections of the runbook with a remedy that this scenario proves.
    runbook: tuple[str, ...]
    # The text that says all this.
    source: str

    @property
    def goals(self) -> tuple[str, ...]:
        """The goals that it judges, in order."""
        named = {each.goal for each in self.validators} | {each.goal for each in self.commands}
        return tuple(goal for goal in GOALS if goal in named)


_COMMON = ("name", "about", "platforms", "runbook")
_MEASURED = ("workload", "configuration", "settings", "disk", "sink", "warm_up", "duration", "failures", "validators")


def parse_scenario(text: str, *, origin: str) -> Scenario:
    """*Raises:* DefinitionError with line and column."""
    document = parse(text, origin=origin)
    found = document.fields((*_COMMON, *_MEASURED, "commands"), required=("name", "about"))
    if "commands" in found:
        for key in _MEASURED:
            if key in found:
                raise found[key].error(f"'{key}' has no place beside 'commands', which run without an agent of the harness")
    else:
        document.fields((*_COMMON, *_MEASURED, "commands"), required=("workload", "duration", "validators"))
    duration = found["duration"].seconds(1, 86_400) if "duration" in found else 0.0
    configuration, settings = _configuration(found)
    disk = _disk(found["disk"]) if "disk" in found else None
    failures = _failures(found["failures"], duration, disk) if "failures" in found else ()
    return Scenario(
        name=found["name"].text(),
        about=found["about"].text(),
        workload=_named(found["workload"], WORKLOADS) if "workload" in found else Named("none", {}),
        configuration=configuration,
        settings=settings,
        disk=disk,
        sink=found["sink"].truth() if "sink" in found else False,
        warm_up_seconds=found["warm_up"].seconds(0, 3600) if "warm_up" in found else 4.0,
        duration_seconds=duration,
        failures=failures,
        validators=tuple(_validator(each) for each in found["validators"].items(1)) if "validators" in found else (),
        commands=tuple(_command(each) for each in found["commands"].items(1)) if "commands" in found else (),
        platforms=tuple(each.choice(PLATFORMS) for each in found["platforms"].items(1)) if "platforms" in found else (HOST,),
        runbook=tuple(each.text() for each in found["runbook"].items(1)) if "runbook" in found else (),
        source=text,
    )


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


def _failures(value: Value, duration: float, disk: Named | None) -> tuple[Failure, ...]:
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
        found.append(Failure(at_seconds, Named(do.text(), _values(each, fields, shape))))
    return tuple(sorted(found, key=lambda failure: failure.at_seconds))


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
