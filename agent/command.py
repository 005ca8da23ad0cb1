"""agentd's command line: each setting is a flag, and a few words besides. PURE; light, because every start pays for it."""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.errors import MisuseError
from agent.model.timebase import parse_duration_ns
from agent.setting import AnySetting

HEAD = """usage: agentd [--config FILE] [--for DURATION] [--check-config] [--SETTING VALUE ...]

Runs the evergauge agent in the foreground until it gets SIGINT or SIGTERM.

  --config FILE      read settings from this TOML file (else EVERGAUGE_CONFIG, else /etc/evergauge/agentd.toml if it is there)
  --for DURATION     end by itself this long after it became ready, such as 10s
  --check-config     say whether the configuration is good, and end
  --version, --help

  [worker."NAME"]    in the file: the keys of [supervisor] for one worker alone, hang_timeout to stable_spell

Settings, in the file as `key = value`, in the environment and as flags; the later wins:
"""


class Invocation(Struct, frozen=True):
    """What a command line asks for. `flags` maps setting keys to texts."""

    config_path: str = ""
    for_ns: int | None = None
    check_config: bool = False
    help: bool = False
    version: bool = False
    flags: dict[str, str] = {}


def parse_invocation(arguments: Sequence[str], settings: Sequence[AnySetting]) -> Invocation:
    """*Raises:* MisuseError naming the argument that cannot be understood."""
    keys = {setting.flag: setting.key for setting in settings}
    switches = {"--check-config": "check_config", "--help": "help", "-h": "help", "--version": "version"}
    found: dict[str, str | bool] = {}
    flags: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        if word in switches and not equals:
            found[switches[word]] = True
            continue
        if word not in keys and word not in ("--config", "--for"):
            raise MisuseError(word, "agentd knows no such argument", "`agentd --help` lists them")
        if not equals:
            if not rest:
                raise MisuseError(word, "its value is missing", "`agentd --help` shows what it takes")
            value = rest.pop(0)
        if word in keys:
            flags[keys[word]] = value
        else:
            found[word] = value
    return Invocation(
        config_path=str(found.get("--config", "")),
        for_ns=_duration(found.get("--for")),
        check_config="check_config" in found,
        help="help" in found,
        version="version" in found,
        flags=flags,
    )


def usage(settings: Sequence[AnySetting]) -> str:
    """The help text, with every setting's default, range and reason."""
    lines = [HEAD]
    for setting in settings:
        # The union of setting types cannot be told apart here, and each shows only its own default.
        default = setting.show(setting.default) or "empty"  # type: ignore[arg-type]
        lines.append(
            f"  {setting.flag}\n      {setting.about}\n      {setting.accepted}; default {default}; {setting.environment_name}"
        )
    return "\n".join(lines)


def _duration(text: str | bool | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_duration_ns(str(text))
    except ValueError as cause:
        raise MisuseError("--for", str(cause), "write --for 10s") from cause
