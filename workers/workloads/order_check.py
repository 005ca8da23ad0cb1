"""What a client asks of worker `workloads`, checked: it comes from another process. PURE."""

from typing import Any

import msgspec

from agent.model.errors import ExitCode
from agent.model.foreign import readable
from workers.keeper.protocol import RefusalWord, WorkloadSpec
from workers.keeper.refusal import WorkloadRefused
from workers.keeper.spec_check import check_name, check_spec

_EXIT_CODES: dict[str, ExitCode] = {
    RefusalWord.NAME_TAKEN: ExitCode.TRY_AGAIN,
    RefusalWord.STILL_RUNS: ExitCode.TRY_AGAIN,
    RefusalWord.NO_LIMITS: ExitCode.UNAVAILABLE,
    RefusalWord.SYSTEM: ExitCode.FAILED,
    RefusalWord.NOT_UNDERSTOOD: ExitCode.BAD_DATA,
}
ENV_MAX = 1_000
LABELS_MAX = 32


def parse_spec(order: object) -> WorkloadSpec:
    """What is to run. *Raises:* WorkloadRefused with the first thing that cannot be."""
    try:
        spec = msgspec.convert(order, WorkloadSpec)
    except msgspec.ValidationError as wrong:
        problem = f"this is no workload: {readable(str(wrong), 200)}"
        raise WorkloadRefused(RefusalWord.BAD_SETTING, "", problem, "`agentctl run --help` shows one") from wrong
    check_spec(spec)
    if len(spec.env) > ENV_MAX or len(spec.labels) > LABELS_MAX:
        problem = f"{len(spec.env)} variables and {len(spec.labels)} labels are too many"
        raise WorkloadRefused(RefusalWord.BAD_SETTING, spec.name, problem, f"give at most {ENV_MAX} and {LABELS_MAX}")
    return spec


def parse_name(arguments: dict[str, Any]) -> str:
    """Which workload is meant. *Raises:* WorkloadRefused."""
    name = arguments.get("name")
    if not isinstance(name, str):
        raise WorkloadRefused(RefusalWord.BAD_NAME, "", f"a name is text, not {readable(repr(name), 80)}")
    check_name(name)
    return name


def parse_grace_ns(arguments: dict[str, Any]) -> int | None:
    """How long a stop waits after SIGTERM. *Absent:* None: as the workload itself says. *Raises:* WorkloadRefused."""
    grace_ns = arguments.get("grace_ns")
    if grace_ns is None:
        return None
    if isinstance(grace_ns, bool) or not isinstance(grace_ns, int) or not 0 <= grace_ns <= 3_600_000_000_000:
        raise WorkloadRefused(RefusalWord.BAD_SETTING, "", f"a grace cannot be {readable(repr(grace_ns), 40)}", "give 0s to 1h")
    return grace_ns


def refused_body(code: str, sentence: str) -> dict[str, Any]:
    """The answer of an operation that was refused: the exit code follows from the word."""
    exit_code = _EXIT_CODES.get(code, ExitCode.MISUSE if code in set(RefusalWord) else ExitCode.FAILED)
    return {"refused": {"code": code, "sentence": sentence, "exit": int(exit_code)}}
