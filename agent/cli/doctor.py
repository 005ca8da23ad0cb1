"""The command doctor: what the agent can use on this host, and how to enable the rest."""

from agent.cli.call import Call
from agent.cli.option import Command
from agent.cli.render import TextColumn, text_of
from agent.model.errors import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.doctor import Finding, WireFacts

_ORDER = ("missing", "limited", "usable", "unused")


def doctor(call: Call) -> int:
    """`agentctl doctor`."""
    from agent.command import Invocation
    from agent.config import PLACES, Config
    from agent.config_file import load_config
    from agent.doctor import examine, lacks_essential

    # The configuration that an agent of this user would start with: file and environment.
    config = load_config(Invocation(), call.environment)
    # A running agent may have other places, by its flags.
    said = call.hello().get("places")
    if isinstance(said, dict):
        told = {setting.key: said[setting.key] for setting in PLACES if isinstance(said.get(setting.key), str)}
        config = Config({**config.values, **told})
    wires = _wires(call) if said else None
    findings = examine(config, state_dir=call.state_dir(), environment=call.environment, wires=wires)
    is_lacking = lacks_essential(findings)
    if call.wants_json:
        from msgspec import to_builtins

        call.show_json({"usable": not is_lacking, "findings": to_builtins(findings)})
    else:
        _show(call, findings)
    return ExitCode.UNAVAILABLE if is_lacking else ExitCode.DONE


def _wires(call: Call) -> "dict[str, WireFacts] | None":
    """The running agent's connections to the container runtime. *Absent:* None where it does not answer, or has none."""
    import msgspec

    from agent.doctor import WireFacts
    from agent.model.errors import EvergaugeError

    try:
        answer = call.ask("status")
    except EvergaugeError:
        # The host is examined in any case; `agentctl status` says why the agent does not answer.
        return None
    held: object = answer
    for name in ("stats", "control-plane", "runtime", "wires"):
        held = held.get(name) if isinstance(held, dict) else None
    try:
        return None if held is None else msgspec.convert(held, dict[str, WireFacts])
    except msgspec.ValidationError:
        # An agent of another version.
        return None


def _show(call: Call, findings: "list[Finding]") -> None:
    rows: list[tuple[str, str, str]] = []
    for finding in sorted(findings, key=lambda finding: _ORDER.index(finding.state)):
        rows.append((str(finding.state), finding.topic, text_of(finding.detail)))
        if finding.remedy:
            rows.append(("", "", f"→ {text_of(finding.remedy)}"))
    call.show_wrapped_table((TextColumn("STATE"), TextColumn("TOPIC"), TextColumn("DETAIL AND REMEDY")), rows)


COMMANDS = (
    Command(
        "doctor",
        doctor,
        about="what the agent can use on this host, and how to enable the rest",
        details="usable: a running agent uses it. unused: this host has nothing for it, or it is switched off.\n"
        "It checks what the calling user can do: call it as the user that runs the agent.\n"
        "The exit code is 69 when something essential is missing, else 0.",
        examples=("agentctl doctor", "agentctl doctor --json | jq '.findings[] | select(.state == \"missing\")'"),
    ),
)
