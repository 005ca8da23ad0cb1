"""The order that the options of `agentctl run` make."""

from agent.cli.call import Call
from agent.model.errors import MisuseError
from agent.model.workload_text import (
    CPU_WORDS,
    IO_WORDS,
    PIDS_WORDS,
    SIZE_WORDS,
    parse_count,
    parse_cpu,
    parse_io,
    parse_pair,
    parse_size,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

RESTARTS = ("no", "on-failure", "always")
# Options that are a limit, with its field, its parser and what is accepted.
_LIMITS = (
    ("--cpu", "cpu_cores", parse_cpu, CPU_WORDS),
    ("--cpu-weight", "cpu_weight", parse_count, "a whole number from 1 to 10000"),
    ("--memory", "memory_bytes", parse_size, SIZE_WORDS),
    ("--memory-high", "memory_high_bytes", parse_size, SIZE_WORDS),
    ("--pids", "pids", parse_count, PIDS_WORDS),
)
_TEXTS = (("--folder", "folder"), ("--user", "user"), ("--restart", "restart"))
GRACE_WORDS = "a duration such as 10s or 1m"


def order_of(call: Call) -> dict[str, object] | None:
    """What the command line describes. *Raises:* MisuseError.

    *Absent:* None where it has no command: what ran before runs again.
    """
    name, *argv = call.words
    if not argv:
        given = [option.name for option in call.command.options if call.has(option.name)]
        if given:
            raise MisuseError(
                name, f"{given[0]} is of no use without a command", f"write agentctl run {name} … -- PROGRAM ARGUMENT"
            )
        return None
    order: dict[str, object] = {"name": name, "argv": argv, "limits": _limits(call)}
    order.update((field, text) for option, field in _TEXTS if (text := call.text(option)) is not None)
    if (grace := call.text("--grace")) is not None:
        order["grace_ns"] = duration_ns("--grace", grace)
    if (output := call.text("--output")) is not None:
        order["output_bytes_max"] = _parsed("--output", output, parse_size, SIZE_WORDS)
    if gpus := call.texts("--gpu"):
        order["gpus"] = [part for text in gpus for part in text.split(",") if part]
    if pairs := call.texts("--env"):
        order["env"] = dict(_variable(text, call) for text in pairs)
    if pairs := call.texts("--label"):
        order["labels"] = dict(_parsed("--label", text, parse_pair, "KEY=VALUE") for text in pairs)
    if call.has("--without-limits"):
        order["without_limits"] = True
    if call.has("--no-oom-group"):
        order["is_killed_whole"] = False
    return order


def duration_ns(option: str, text: str) -> int:
    """The nanoseconds of an option. *Raises:* MisuseError."""
    from agent.model.timebase import parse_duration_ns

    return _parsed(option, text, parse_duration_ns, GRACE_WORDS)


def _limits(call: Call) -> dict[str, object]:
    limits: dict[str, object] = {}
    for option, field, parse, accepted in _LIMITS:
        if (text := call.text(option)) is not None:
            limits[field] = _parsed(option, text, parse, accepted)
    if devices := call.texts("--io"):
        limits["io"] = [_parsed("--io", text, parse_io, IO_WORDS) for text in devices]
    return limits


def _variable(text: str, call: Call) -> tuple[str, str]:
    """`KEY=VALUE`, or `KEY` alone: the value is this program's own, and stands in no command line."""
    if "=" in text:
        return _parsed("--env", text, parse_pair, "KEY=VALUE, or KEY of a variable of yours")
    value = call.environment.get(text)
    if value is None:
        raise MisuseError("--env", f"{text!r} is not among your variables", "write KEY=VALUE, or export it first")
    return text, value


def _parsed(option: str, text: str, parse: "Callable[[str], T]", accepted: str) -> "T":
    try:
        return parse(text)
    except ValueError as cause:
        raise MisuseError(option, f"{text!r} is not accepted ({cause})", f"write {accepted}") from cause
