"""The command verify: whether the sketches of a fleet's store say the same as its raw rows."""

from collections import Counter

from agent.cli.call import Call
from agent.cli.option import Command, Option
from agent.cli.render import TextColumn, counted, text_of
from agent.model.errors import ExitCode, MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.lake.window_check import CheckedWindow, WindowDifference

# A day of a hundred hosts takes minutes; --timeout gives less.
VERIFY_SECONDS = 86_400.0
SHOWN_MAX = 100


class _Found:
    """What was found so far."""

    def __init__(self) -> None:
        self.compared = self.partly = self.with_differences = self.differences = 0
        self.not_compared: Counter[str] = Counter()
        self.hosts: set[str] = set()
        self.shown: list[WindowDifference] = []

    def take(self, window: "CheckedWindow") -> None:
        """Compare one window."""
        self.hosts.add(window.host)
        if why := window.why_not_compared:
            self.not_compared[why] += 1
            return
        self.compared += 1
        self.partly += bool(window.why_incomplete)
        found = window.differences()
        self.with_differences += bool(found)
        self.differences += len(found)
        self.shown += found[: SHOWN_MAX - len(self.shown)]


def verify(call: Call) -> int:
    """`agentctl verify`. *Raises:* EvergaugeError."""
    import time

    from agent.model.errors import BusyError
    from agent.model.timebase import HOUR, parse_duration_ns

    def ago_ns(option: str, otherwise: int) -> int:
        text = call.text(option)
        try:
            return time.time_ns() - (otherwise if text is None else parse_duration_ns(text))
        except ValueError as cause:
            raise MisuseError(option, str(cause), "write it as 30m or 2h") from cause

    since_ns, until_ns = ago_ns("--since", HOUR), ago_ns("--until", 0)
    if since_ns >= until_ns:
        raise MisuseError("--until", "it lies before --since", "write a shorter time than --since")
    found = _Found()
    for windows in _windows(call, since_ns, until_ns):
        for window in windows:
            found.take(window)
        if not call.seconds_left():
            problem = f"{found.compared} windows were compared in {call.timeout_seconds:g} s"
            raise BusyError("verify", problem, "give a longer --timeout, or a shorter time with --since")
    _show(call, found)
    return ExitCode.FAILED if found.differences else ExitCode.DONE


def _windows(call: Call, since_ns: int, until_ns: int) -> "Iterator[list[CheckedWindow]]":
    from agent.config import parse_config
    from agent.lake.log import LakeLog
    from agent.lake.opening import open_lake
    from agent.lake.setup import lake_setup
    from agent.lake.window_rows import WindowReader
    from agent.lake_setting import LAKE_SETTINGS
    from agent.model.command_family import command_of

    names = {setting.environment_name for setting in LAKE_SETTINGS}
    known = {name: call.environment[name] for name in names & call.environment.keys()}
    config = parse_config(LAKE_SETTINGS, environment=known, flags={})
    bucket = open_lake(lake_setup(config, call.text("--lake") or ""), call.environment)
    reader = WindowReader(
        bucket, LakeLog(bucket, "verify"), lambda comm, is_kernel_thread: command_of(comm, is_kernel_thread=is_kernel_thread)
    )
    return reader.windows(since_ns, until_ns)


def _show(call: Call, found: _Found) -> None:
    from msgspec import structs

    from agent.model.timebase import iso_utc

    if call.wants_json:
        document = {
            "hosts": len(found.hosts),
            "compared": found.compared,
            "partly_compared": found.partly,
            "with_differences": found.with_differences,
            "not_compared": dict(found.not_compared),
            "differences": [structs.asdict(each) for each in found.shown],
        }
        call.show_json(document)
        return
    if found.shown:
        rows = [
            (
                text_of(each.host),
                iso_utc(each.window_ns),
                each.metric or "-",
                text_of(f"{each.pod_uid or '-'} {each.command or '-'}"),
                "-" if each.bucket is None else str(each.bucket),
                text_of(each.problem),
            )
            for each in found.shown
        ]
        titles = ("HOST", "WINDOW", "METRIC", "POD, COMMAND", "BUCKET", "WHAT DIFFERS")
        call.show_wrapped_table(tuple(TextColumn(title) for title in titles), rows)
        call.show([""])
    parts = [f"{counted(found.compared, 'window')} of {counted(len(found.hosts), 'host')} compared"]
    if found.partly:
        parts.append(f"{found.partly} of them only above raw rows that are missing")
    parts.append(f"{found.with_differences} differ" if found.differences else "none differs")
    call.show([": ".join((parts[0], ", ".join(parts[1:])))])
    for why, count in sorted(found.not_compared.items()):
        call.show([f"not compared: {counted(count, 'window')} with {why}"])


COMMANDS = (
    Command(
        "verify",
        verify,
        about="compare the sketches of a fleet's store with its raw rows, bucket by bucket",
        details="""\
The named processes of each window are put into buckets again. Above the largest value that the sums of `process_tail` may hide,
every bucket of a sketch must count the same values, exactly; below it count and sum must be equal. What differs is named by host,
window, unit, command and bucket. Windows that cannot be compared, because rows of them are not there, are counted with the reason.
Exit codes: 1 where something differs.""",
        options=(
            Option("--lake", "URL", "the store, a folder or bucket (else EVERGAUGE_LAKE_URL)"),
            Option("--since", "DURATION", "only windows that began at most so long ago (default 1h)"),
            Option("--until", "DURATION", "only windows that ended at least so long ago (default 0s)"),
        ),
        examples=(
            "agentctl verify --lake s3://fleet/lake",
            "agentctl verify --lake file:///srv/lake --since 1d --json | jq .differences",
        ),
        timeout_seconds=VERIFY_SECONDS,
    ),
)
