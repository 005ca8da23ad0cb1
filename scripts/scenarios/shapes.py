"""The kinds of things that a scenario can name: workloads, configurations, failures, validators, and their keys. PURE."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scenarios.document import Value

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
_WAY = Parameter(_choice("direct", "proxy", "lossy"), "direct")
# By commas; empty: what a sink of this kind gets by default.
_TABLES = Parameter(_text, "")
PROGRAMS: Mapping[str, Shape] = {
    "collector": Shape("an OpenTelemetry collector, which gets OTLP over HTTP", {"way": _WAY, "tables": _TABLES}),
    "prometheus": Shape("a Prometheus, which gets every row by remote write", {"way": _WAY, "tables": _TABLES}),
    "files": Shape(
        "a folder with lines of OTLP, on a small file system of its own", {"size": Parameter(_size, 64 << 20), "tables": _TABLES}
    ),
    "kafka": Shape(
        "a broker of Kafka, which gets rows and sketches in one transaction",
        {"way": _WAY, "tables": _TABLES, "prefix": Parameter(_text, "")},
    ),
    "topics": Shape(
        "further topics of the broker before it, by a sink of their own", {"tables": Parameter(_text), "prefix": Parameter(_text)}
    ),
    "redis": Shape("a Redis server, in which a merger after it publishes marks", {}),
    "merger": Shape(
        "agentctl merge, which takes rows from the broker before it into a lake in a folder; a second one into the same",
        {"interval": Parameter(_seconds, 2.0), "prefix": Parameter(_text, "")},
    ),
    "router": Shape(
        "the agent answers questions from the lake of the merger before it, and is asked one every so often",
        {"every": Parameter(_seconds, 5.0), "look": Parameter(_seconds, 10.0)},
    ),
}
CONFIGURATIONS = {
    "minimal": "the process sampler alone: no host, no units, no gateway, no standby process",
    "standard": "an agent as it is delivered",
    "full": "all that can be switched on here: measured values in /metrics, more rows, a file sink",
    "custom": "as delivered, with the settings that the file gives",
}
# Of which programs a failure can happen to, by the way to them or by their kind.
REACHED_BY: Mapping[str, tuple[str, str]] = {
    "delay": ("way", "proxy"),
    "half_open": ("way", "proxy"),
    "cut": ("way", "proxy"),
    "refuse": ("way", "proxy"),
    "lose_packets": ("way", "lossy"),
    "fill_sink": ("kind", "files"),
}
# What a program needs before it.
NEEDED_BEFORE: Mapping[str, str] = {"topics": "kafka", "merger": "kafka", "router": "merger"}
_PART = Parameter(_text)
_LASTS = Parameter(_seconds, 5.0)
# Empty: every program to which this can happen.
_PROGRAM = Parameter(_text, "")
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
    "delay": Shape(
        "answers of programs behind a proxy arrive later", {"by": Parameter(_seconds), "lasts": _LASTS, "program": _PROGRAM}
    ),
    "lose_packets": Shape(
        "packets to and from programs behind a lossy network are lost",
        {"percent": Parameter(_percent), "lasts": _LASTS, "program": _PROGRAM},
    ),
    "half_open": Shape(
        "programs behind a proxy take connections, and nothing comes through", {"lasts": _LASTS, "program": _PROGRAM}
    ),
    "cut": Shape("programs behind a proxy refuse connections, and open ones end", {"lasts": _LASTS, "program": _PROGRAM}),
    "refuse": Shape(
        "programs behind a proxy answer with a status; 400, and 413 to a single row, are final",
        {"status": Parameter(_whole(400, 599)), "lasts": _LASTS, "program": _PROGRAM},
    ),
    "fill_sink": Shape("no room in the folder of a sink", {"lasts": _LASTS, "program": _PROGRAM}),
    "restart": Shape(
        "a program is ended by a signal, and started again after a time",
        {"program": Parameter(_text), "signal": Parameter(_choice("KILL", "TERM"), "KILL"), "lasts": Parameter(_seconds, 2.0)},
    ),
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
    "lateness": Shape(
        "how late samplers take their ticks while something is wrong with a sink, beyond the time when nothing is: p99",
        {"milliseconds": Parameter(_number(0, 60_000), 1.0), "ticks_least": Parameter(_COUNT, 60.0)},
    ),
    "sink_memory": Shape("how far PSS of each exporter grows once something goes wrong", {"mib": Parameter(_COUNT, 8.0)}),
    "delivery": Shape(
        "what is stored here is at each sink, once; a sink that cannot tell may have one delivery twice for each break", {}
    ),
    "recovery": Shape(
        "from the moment at which a program can be reached again to the first delivery that it acknowledges",
        {"seconds": Parameter(_number(0, 600), 5.0), "goal_seconds": Parameter(_number(0, 600), 2.0)},
    ),
    "catch_up": Shape(
        "from then on: when new rows arrive, and when those that were missed have",
        {"live_seconds": Parameter(_number(0, 600), 5.0), "backlog_seconds": Parameter(_number(0, 3600), 120.0)},
    ),
    "same_rows": Shape("topics and stores have each row that is stored here, once, with all its values", {}),
    "rebinned": Shape(
        "sketches in topics and stores are those of the raw rows, bit for bit above the largest value that only a sum has",
        {"values_least": Parameter(_COUNT, 1000.0)},
    ),
    "wire_cost": Shape(
        "bytes per process and second at each place, beside those of OTLP with gzip; 0: only stated",
        {"otlp": Parameter(_COUNT, 0.0), "kafka": Parameter(_COUNT, 0.0), "lake": Parameter(_COUNT, 0.0)},
    ),
    "marks": Shape(
        "no commit of a store says to have rows that are not there, and each has its place in the topics with its rows",
        {"commits_least": Parameter(_COUNT, 5.0)},
    ),
    "cursor": Shape(
        "the mark that the broker keeps of a sink, committed with the rows, counts the rows that are in its topics",
        {"transactions_least": Parameter(_COUNT, 10.0)},
    ),
    "truth": Shape(
        "the truth, by the rows that the agent stored itself, is in the interval of each number that a router gives",
        {"numbers_least": Parameter(_COUNT, 10.0)},
    ),
    "fallback": Shape(
        "a router answers windows without sketches from raw rows, soon after their end, and others by sketches in the end",
        {"seconds": Parameter(_number(0, 600), 60.0), "windows_after": Parameter(_COUNT, 1.0)},
    ),
}
