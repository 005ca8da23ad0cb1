"""agentd's command line: each setting is a flag, plus a few options. PURE, and light, because every start loads it."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from agent.config import POLICY_SETTINGS, Config, policy_key
from agent.model.errors import MisuseError
from agent.model.timebase import parse_duration_ns
from agent.model.toml import quoted
from agent.model.workload_section import section_document
from agent.setting import AnySetting

HEAD = """usage: agentd [--config FILE] [--for DURATION] [--check-config [--connect] | --keep-workloads] [--SETTING VALUE ...]

Runs the evergauge agent in the foreground until it gets SIGINT or SIGTERM.

  --config FILE      read settings from this TOML file (default: EVERGAUGE_CONFIG, else /etc/evergauge/agentd.toml if it exists)
  --for DURATION     stop this long after the start, such as 10s; the start ends when the agent is ready, or has failed to be
  --keep-workloads   be the keeper of workloads, the process that starts them, waits for them and outlives the agent
  --check-config     check the configuration, print it as a settings file, and exit
  --connect          with --check-config: try to reach each sink too, without sending rows, and say what is wrong
  --version, --help

  [worker."NAME"]    a section of the file: the keys hang_timeout to stable_period of [supervisor], for one worker
  [workload."NAME"]  a section of the file: a program that the agent runs within limits (docs/workloads.md)
  [sink."NAME"]      a section of the file: where measured rows are sent (docs/exports.md)

Every setting can be in the file, in the environment and in a flag; the later of these wins. A file consists of the lines
`[section]` and `key = value` below, keys without a section first. The values shown are the defaults.
"""


class Invocation(Struct, frozen=True):
    """What a command line asks for. `flags` maps keys of settings to texts. *Absent:* `for_ns` None: run until told to stop."""

    config_path: str = ""
    for_ns: int | None = None
    check_config: bool = False
    connect: bool = False
    keep_workloads: bool = False
    help: bool = False
    version: bool = False
    flags: dict[str, str] = {}


def parse_invocation(arguments: Sequence[str], settings: Sequence[AnySetting]) -> Invocation:
    """What agentd's arguments ask for. *Raises:* MisuseError that names the argument that is not understood."""
    keys = {setting.flag: setting.key for setting in settings}
    switches = {
        "--check-config": "check_config",
        "--connect": "connect",
        "--keep-workloads": "keep_workloads",
        "--help": "help",
        "-h": "help",
        "--version": "version",
    }
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
    if "connect" in found and "check_config" not in found:
        raise MisuseError("--connect", "it is a part of checking the configuration", "write --check-config --connect")
    return Invocation(
        config_path=str(found.get("--config", "")),
        for_ns=_duration(found.get("--for")),
        check_config="check_config" in found,
        connect="connect" in found,
        keep_workloads="keep_workloads" in found,
        help="help" in found,
        version="version" in found,
        flags=flags,
    )


def usage(settings: Sequence[AnySetting]) -> str:
    """The help text: every setting with its default, range and reason, under its section of the file."""
    lines = [HEAD]
    for section, members in _by_section(settings).items():
        lines.append(f"[{section}]\n" if section else "before any section\n")
        for setting in members:
            # The union of setting types cannot be told apart here, and each shows only its own default.
            default = setting.show(setting.default) or "empty"  # type: ignore[arg-type]
            lines += [
                f"  {setting.flag}",
                f"      {setting.name} = {setting.toml(setting.default)}",  # type: ignore[arg-type]  # As above.
                f"      {setting.about}",
                f"      {setting.accepted}; default {default}; {setting.environment_name}",
            ]
        lines.append("")
    return "\n".join(lines)


def settings_document(
    config: Config, settings: Sequence[AnySetting], workers: Iterable[str], sinks: Mapping[str, Sequence[AnySetting]] | None = None
) -> str:
    """Every setting with its value, as a settings file that gives exactly this configuration. `sinks`: the settings of each kind
    of sink."""
    lines: list[str] = []
    for section, members in _by_section(settings).items():
        lines += ["", f"[{section}]"] if section else []
        # As in `usage`: each value came from its own setting.
        lines += [f"{each.name} = {each.toml(config.values.get(each.key, each.default))}" for each in members]  # type: ignore[arg-type]
    for worker in workers:
        own = [(each, policy_key(each, worker)) for each in POLICY_SETTINGS if policy_key(each, worker) in config.values]
        if own:
            lines += ["", f"[worker.{quoted(worker)}]"]
            lines += [f"{each.name} = {each.toml(int(config.values[key]))}" for each, key in own]
    for name, described in config.workloads.items():
        lines += section_document(name, described)
    if config.sinks:
        # Imported here: few files describe sinks.
        from agent.sink_section import sink_document

        for name, described in config.sinks.items():
            lines += sink_document(name, described, (sinks or {}).get(described["kind"], ()))
    return "\n".join(lines)


def _by_section(settings: Sequence[AnySetting]) -> dict[str, list[AnySetting]]:
    """The settings by section, in order of appearance; those without a section come first."""
    sections: dict[str, list[AnySetting]] = {"": []}
    for setting in settings:
        sections.setdefault(setting.section, []).append(setting)
    return {section: members for section, members in sections.items() if members}


def _duration(text: str | bool | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_duration_ns(str(text))
    except ValueError as cause:
        raise MisuseError("--for", str(cause), "write --for 10s") from cause
