"""The command merge: one merger in the foreground, without an agent. Several of them share the work of one group."""

from agent.cli.call import Call
from agent.cli.option import Command, Option
from agent.cli.render import counted
from agent.model.errors import ConfigError, ExitCode, MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.config import Config
    from agent.model.message import Note
    from agent.setting import AnySetting
    from workers.merger.engine import MergerEngine

# What is said of the work of so long, and how often it is looked at.
STATUS_SECONDS, LOOK_SECONDS = 10.0, 0.2
# What was taken is stored at the end; a store that takes longer keeps nobody from ending.
LEAVE_SECONDS = 10.0
# What is said when a problem is over.
_OVER = {
    "broker": "a broker answers again",
    "store": "the store is read and written again",
    "offsets": "all topics are read again",
    "marks": "the cache of marks answers again",
}
_SETTING_OF = {
    "--brokers": "merger.brokers",
    "--lake": "lake.url",
    "--group": "merger.group",
    "--topic-prefix": "merger.topic_prefix",
    "--interval": "merger.interval",
    "--redis": "marks.redis",
}


def merge(call: Call) -> int:
    """`agentctl merge`. *Raises:* EvergaugeError."""
    # Imported here: no other command needs them.
    import os
    import signal
    import threading
    import time

    from workers import registry
    from workers.merger.engine import MergerEngine
    from workers.merger.making import MergerPlace, engine_parts

    seconds = _seconds(call)
    config = merge_config(call)
    member = call.text("--member") or ""
    by = f"merge/{os.uname().nodename}/{member or os.getpid()}"
    engine = MergerEngine(engine_parts(config, MergerPlace(member, by), registry.tables(), call.environment))
    is_ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_ending.set())
    until = None if seconds is None else time.monotonic() + seconds
    teller = _Teller(call)
    engine.start()
    call.warn(f"merging {config.of_any(_setting('merger.brokers'))} into {config.of_any(_setting('lake.url'))}; Ctrl-C ends it")
    while not is_ending.wait(LOOK_SECONDS) and (until is None or time.monotonic() < until):
        teller.look(engine, time.monotonic())
    engine.stop(LEAVE_SECONDS)
    # The group, the cache and the store's last answer have a moment each.
    engine.join(LEAVE_SECONDS + 5.0)
    teller.end(engine)
    return ExitCode.DONE


class _Teller:
    """Says what happens: problems when they begin and end, events, and a line of numbers now and then."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._problems: dict[str, str] = {}
        self._status_at = 0.0

    def look(self, engine: "MergerEngine", now: float) -> None:
        """Say what is new."""
        from msgspec.structs import asdict

        for what, sentence in asdict(engine.report.problems).items():
            if sentence != self._problems.get(what, ""):
                self._problems[what] = sentence
                self._call.warn(sentence or f"{_OVER[what]}")
        for note in engine.report.take_notes():
            self._call.warn(_told(note))
        if now >= self._status_at:
            if self._status_at:
                self._show(engine.report.stats())
            self._status_at = now + STATUS_SECONDS

    def end(self, engine: "MergerEngine") -> None:
        """The last line."""
        self.look(engine, 0.0)
        self._show(engine.report.stats())

    def _show(self, stats: "Mapping[str, int]") -> None:
        if self._call.wants_json:
            import json

            self._call.show([json.dumps(dict(stats))])
        else:
            self._call.show([status_line(stats)])
        self._call.output.flush()


def status_line(stats: "Mapping[str, int]") -> str:
    """The numbers that somebody looks at."""
    parts = [
        f"{counted(stats['rows'], 'row')} in {counted(stats['commits'], 'commit')}",
        counted(stats["partitions"], "partition"),
        f"{stats['lag']} offsets behind",
    ]
    for name, words in (("unreadable", "unreadable messages"), ("refused", "commits refused"), ("offsets_lost", "offsets lost")):
        if stats[name]:
            parts.append(f"{stats[name]} {words}")
    return ", ".join(parts)


def _told(note: "Note") -> str:
    fields = " ".join(f"{name}={value}" for name, value in note.fields.items())
    return f"{note.kind} {fields}"


def _seconds(call: Call) -> float | None:
    from agent.model.timebase import S, parse_duration_ns

    text = call.text("--for")
    try:
        return None if text is None else parse_duration_ns(text) / S
    except ValueError as cause:
        raise MisuseError("--for", str(cause), "write it as 10s or 5m") from cause


def merge_config(call: Call) -> "Config":
    """The settings of the store and the merger: environment, --set, then the other options. *Raises:* MisuseError, ConfigError."""
    from agent.config import parse_config

    settings = _settings()
    known = {setting.key for setting in settings}
    names = {setting.environment_name for setting in settings}
    flags: dict[str, str] = {}
    for word in call.texts("--set"):
        key, equals, value = word.partition("=")
        if not equals or key not in known:
            raise MisuseError(
                "--set", f"{word!a} is no setting of a merger", f"write KEY=VALUE with one of {', '.join(sorted(known))}"
            )
        flags[key] = value
    for option, key in _SETTING_OF.items():
        if (text := call.text(option)) is not None:
            flags[key] = text
    config = parse_config(
        settings, environment={name: call.environment[name] for name in names & call.environment.keys()}, flags=flags
    )
    for option, key in (("--brokers", "merger.brokers"), ("--lake", "lake.url")):
        if not config.of_any(_setting(key)):
            raise ConfigError(option, "it is missing", f"write {option}, or set {key}")
    return config


def _settings() -> "Sequence[AnySetting]":
    from agent.lake_setting import LAKE_SETTINGS
    from agent.merger_setting import MARKS_SETTINGS, MERGER_SETTINGS

    return (*LAKE_SETTINGS, *MERGER_SETTINGS, *MARKS_SETTINGS)


def _setting(key: str) -> "AnySetting":
    return next(setting for setting in _settings() if setting.key == key)


COMMANDS = (
    Command(
        "merge",
        merge,
        about="take rows from Kafka into the fleet's store, in the foreground and without an agent",
        details="""\
It is what the worker `merger` of an agent does. Several of them, on any hosts, share the partitions of the topics; when one ends,
the others go on with its part. Each row is stored once, whatever is killed meanwhile.
It runs until Ctrl-C, SIGTERM or the end of --for, and then stores what it has taken. Once in ten seconds it says how far it is.
Other settings (docs/merger.md has all) come from the environment, as EVERGAUGE_MERGER_USERNAME, or by --set.""",
        options=(
            Option("--brokers", "HOST:PORT", "brokers of the topics, separated by commas"),
            Option("--lake", "URL", "the store: file:///FOLDER, s3://BUCKET/PREFIX, clickhouse+http://HOST:PORT/DATABASE …"),
            Option("--group", "NAME", "consumer group whose members share the work (default evergauge-merger)"),
            Option("--member", "NAME", "a name of this member, by which it has its partitions back at once after a crash"),
            Option("--topic-prefix", "TEXT", "what stands before the names of the topics"),
            Option("--interval", "DURATION", "how long rows are gathered for one commit (default 2s)"),
            Option("--redis", "URL", "Redis to publish marks in, for routers"),
            Option("--set", "KEY=VALUE", "another setting of the store or the merger", many=True),
            Option("--for", "DURATION", "end after this time, such as 10m"),
        ),
        examples=(
            "agentctl merge --brokers kafka-1:9092,kafka-2:9092 --lake s3://fleet/lake",
            "agentctl merge --brokers 127.0.0.1:9092 --lake file:///srv/lake --redis redis://127.0.0.1:6379/0",
        ),
    ),
)
